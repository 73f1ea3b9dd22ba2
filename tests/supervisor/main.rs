//! The supervisor as a process, with small children in the place of servers.

mod archive;
mod host;
mod log;
mod process;
mod unit;
mod wire;
