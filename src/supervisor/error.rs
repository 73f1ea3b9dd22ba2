//! What can go wrong between Octad and a host's supervisor, on either side.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use super::{name::UnitName, protocol::Refusal};

/// A failure of the supervisor or of a conversation with it. A unit that fails is no error: it is a
/// [`UnitState`](super::UnitState).
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The host directory is missing or can't be entered.
    #[error("cannot enter the host directory {}", dir.display())]
    HostDirectory {
        /// The host directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another supervisor holds the lock of this host.
    #[error("{} already has a supervisor{}", dir.display(), pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    AlreadyRunning {
        /// The host directory.
        dir: PathBuf,
        /// The holder, as it wrote itself into the lock file.
        pid: Option<u32>,
    },
    /// A file of the host can't be read, written or locked.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "read", "write", "lock", …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A JSON file of the host doesn't hold what it should.
    #[error("{} is not valid", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The event loop, signals or the socket can't be set up.
    #[error("the supervisor of {} cannot set up its {what}", dir.display())]
    SetUp {
        /// The host directory.
        dir: PathBuf,
        /// What was being set up.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The supervisor's program can't be started.
    #[error("cannot start {} as the supervisor of {}", exe.display(), dir.display())]
    Spawn {
        /// The program.
        exe: PathBuf,
        /// The host directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The supervisor was started and didn't answer in time, or ended at once.
    #[error(
        "the supervisor of {} {}{}",
        dir.display(),
        ended.map(|s| format!("ended at once ({s})")).unwrap_or_else(|| "did not answer in time".to_owned()),
        if log_tail.is_empty() { String::new() } else { format!("; its log ends with:\n{log_tail}") },
    )]
    NotUp {
        /// The host directory.
        dir: PathBuf,
        /// How it ended, if it ended.
        ended: Option<ExitStatus>,
        /// The last lines that it wrote to `supervisor.log`.
        log_tail: String,
    },
    /// A supervisor holds the host and doesn't answer on its socket. What it was asked may have been done.
    #[error(
        "the supervisor of {}{} did not answer {request:?} within {} s, so how its servers stand is not known",
        dir.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        after.as_secs(),
    )]
    Unresponsive {
        /// The host directory.
        dir: PathBuf,
        /// The holder, as it wrote itself into the lock file.
        pid: Option<u32>,
        /// What it was asked.
        request: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// A unit's process outlived SIGKILL.
    #[error(
        "process {pid} of {unit} was told to end {} s ago, was killed and is still there: it is stuck in the kernel, as \
         on a disk that does not answer",
        after.as_secs()
    )]
    NotEnded {
        /// The host directory.
        dir: PathBuf,
        /// The unit.
        unit: UnitName,
        /// Its process.
        pid: u32,
        /// How long it was given.
        after: Duration,
    },
    /// The supervisor went away in the middle of a request, or can't be reached any more.
    #[error("lost the supervisor of {} during {request:?}", dir.display())]
    Disconnected {
        /// The host directory.
        dir: PathBuf,
        /// The request.
        request: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The answer isn't one that this version of the protocol knows.
    #[error("the supervisor of {} gave an answer to {request:?} that is not understood", dir.display())]
    Answer {
        /// The host directory.
        dir: PathBuf,
        /// The request.
        request: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The supervisor speaks another version of the protocol.
    #[error("the supervisor of {} speaks protocol {theirs}, this octad speaks {ours}", dir.display())]
    Protocol {
        /// The host directory.
        dir: PathBuf,
        /// Its version.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// The supervisor understood the request and refused it.
    #[error("the supervisor of {} refused {request:?}", dir.display())]
    Refused {
        /// The host directory.
        dir: PathBuf,
        /// The request.
        request: &'static str,
        /// Its reason.
        source: Refusal,
    },
}
