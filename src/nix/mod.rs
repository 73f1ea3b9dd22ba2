//! Nix closures, and how they come to other machines: read from this machine's store, sent over SSH to the daemons of others.
//!
//! | part | what it knows |
//! |---|---|
//! | `wire`, `daemon`, `path_info` | the protocol of Nix daemons |
//! | `nar` | how a path is written as an archive |
//! | `closure` | what is to be pushed, as this machine's daemon tells it |
//! | `order` | in which operations that is sent, and which hosts get each |
//! | `frames` | reads and compresses each operation once, for all hosts |
//! | `remote` | a daemon at the other end of an SSH connection |
//! | `push` | all of it |
//! | `systems` | where what is pushed comes from: NixOS systems of a flake |
//!
//! It knows nothing of stacks and nodes.

mod closure;
mod daemon;
mod error;
mod frames;
mod nar;
mod order;
mod path_info;
mod push;
mod remote;
mod store_path;
mod systems;
mod wire;

pub use closure::{Closure, sign};
pub use error::{DaemonError, LocalError, PushError};
pub use nar::write_nar;
pub use path_info::PathInfo;
pub use push::{OnSent, Options, Pushed, Sent, Target, push};
pub use store_path::{NotAStorePath, STORE, StorePath};
pub use systems::{BuildError, BuildOptions, Built, Documents, Evaluated, FACTS, Locked, build, evaluate};
