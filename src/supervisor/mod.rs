//! The supervisor of a local host: one small process per host directory that plays systemd's part.
//!
//! It starts units, captures and rotates their logs, restarts them with back-off unless it was asked to stop them, keeps
//! their desired run state across its own restarts and makes their class-data archives. Its death is the
//! death of the host: every child asks the kernel to be killed with it.
//!
//! [`serve`] is the process itself; [`Supervisor`] is how the rest of Octad speaks to it; [`unit_logs`] and [`LogFollower`] read
//! what the units wrote, with or without a supervisor alive. This module does I/O. It knows neither Kafka nor
//! ZooKeeper nor stacks: a unit is a program with arguments.
//!
//! Under the host directory: `lock`, `supervisor.sock`, `supervisor.log`, `run.json`, `units/<name>.json`
//! (written by others), `log/<unit>.log` and `.1` … `.4`.

mod after_end;
mod archive;
mod backoff;
mod begin;
mod capture;
mod cgroup;
mod client;
mod error;
mod exit;
mod follow;
mod host;
mod journal;
mod layout;
mod lock;
mod logs;
mod name;
mod phase;
mod process;
mod protocol;
mod replace;
mod rotate;
mod run_state;
mod server;
mod signal;
mod spec;
mod start;
mod timestamp;
mod unit;

pub use begin::{Beginning, Begun, LEAVE_FILE};
pub use cgroup::other_processes;
pub use client::Supervisor;
pub use error::SupervisorError;
pub use exit::{Ending, Exit};
pub use follow::LogFollower;
pub use logs::{LogLine, LogLines, rename_logs, unit_logs};
pub use name::{InvalidUnitName, UnitName};
pub use protocol::{Hello, PROTOCOL_VERSION, Refusal, RefusalCode, UnitState, UnitStatus};
pub use run_state::Desired;
pub use server::serve;
pub use signal::Signal;
pub use spec::{AfterEnd, ArchiveSpec, DumpCommand, RestartPolicy, UnitSpec};
