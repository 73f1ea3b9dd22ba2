//! What needs real servers, a real Maven, or both: whole clusters, small ones, the wire, drills, jars.
//!
//! All in one target, so that what waits and what works go on side by side.

mod artifacts;
mod bench;
mod canary;
mod client;
mod cluster;
mod documents;
#[cfg(feature = "drill")]
mod drill;
#[cfg(feature = "drill")]
mod long;
#[path = "../support/skip.rs"]
mod skip;
mod slow;
mod small;
#[path = "../support/subnet.rs"]
mod subnet;
mod traces;
mod watch;
mod wire;
