//! What hosts must do, as suites over the traits: what any host must, what one that is changed as a whole must, what one that
//! can be drilled must, and what only local hosts do. The fake world and local hosts (with a real Java and a real ZooKeeper
//! server) pass them; a new backend joins by a [`bench::Bench`] of its own.

#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/subnet.rs"]
mod subnet;

mod any;
mod archive;
mod bench;
mod drillable;
mod fake;
mod isolated;
mod local;
mod whole;
