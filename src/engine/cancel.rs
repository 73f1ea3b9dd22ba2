//! Having another octad stop. [`cancel()`] asks the one that holds the lock. [`unlock()`] is for one that can't be asked,
//! since it is on another machine: it takes the lock's file away, so that the next octad makes and locks a new one, and
//! the old one, should it live, stops before it would write its next journal record.

use super::lock::{Holder, held_by, holder_of, path};
use super::process;
use super::state::StateError;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

/// Why a holder could not be asked to stop, or its lock not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// It is on another machine.
    #[error("`octad {}` works on the stack on {}, and can't be asked from {here}", holder.verb, holder.host)]
    Elsewhere {
        /// Who.
        holder: Holder,
        /// This machine.
        here: String,
    },
    /// The lock is held, and no process that is seen here holds it.
    #[error("the lock {} is held{}; that process can't be seen from here", path.display(), held_by(.holder.as_ref()))]
    NotSeen {
        /// The lock's file.
        path: PathBuf,
        /// Who, where the file tells.
        holder: Option<Holder>,
    },
    /// It belongs to somebody else.
    #[error("could not ask `octad {}` of {} (process {}) to stop", holder.verb, holder.user, holder.pid)]
    NotAllowed {
        /// Who.
        holder: Holder,
        /// What the system said.
        source: io::Error,
    },
    /// It was asked and has not come to a safe point yet.
    #[error("`octad {}` (process {}) was asked to stop and is still at it after {}", holder.verb, holder.pid, humantime::format_duration(*after))]
    StillWorking {
        /// Who.
        holder: Holder,
        /// How long it was waited for.
        after: Duration,
    },
    /// The lock to take away is another one.
    #[error("the lock {wanted} is not held{}", instead_of(.holder.as_ref()))]
    OtherLock {
        /// As asked for.
        wanted: String,
        /// Who holds the stack.
        holder: Option<Holder>,
    },
    /// The holder can be asked.
    #[error("`octad {}` of {} (process {}) is alive on this machine", holder.verb, holder.user, holder.pid)]
    Alive {
        /// Who.
        holder: Holder,
    },
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] StateError),
}

fn instead_of(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| format!("; the stack is locked{}", held_by(Some(holder))))
}

/// How often [`cancel()`] looks whether the holder is gone.
const LOOK: Duration = Duration::from_millis(50);

/// Asks the octad that holds the lock of the stack at `site` to stop, as ^C would, and waits until its process is gone,
/// at most `timeout`. `at_once` asks twice. Returns who it was; `None` where nobody holds the lock.
///
/// # Errors
/// Where the holder can't be asked, or is still there in the end. Another process than the holder is never signalled.
pub async fn cancel(site: &Path, at_once: bool, timeout: Duration) -> Result<Option<Holder>, HolderError> {
    let path = path(site);
    let Some(holder) = holder_of(&path)? else { return Ok(None) };
    let Some(holder) = holder else { return Err(HolderError::NotSeen { path, holder: None }) };
    if !holder.is_here() {
        return Err(HolderError::Elsewhere { holder, here: process::host_name() });
    }
    // The descriptor stays that of one process. That this is the holder is looked at only once we have it: then a
    // later process of the same id can't take its place any more.
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).filter(|_| holder.is_alive());
    let Some(process) = process else { return Err(HolderError::NotSeen { path, holder: Some(holder) }) };
    // Two equal signals may arrive as one.
    for signal in [Signal::TERM, Signal::INT].into_iter().take(1 + usize::from(at_once)) {
        match pidfd_send_signal(&process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(HolderError::NotAllowed { holder, source: error.into() }),
        }
    }
    let asked = Instant::now();
    while holder.is_alive() {
        if asked.elapsed() >= timeout {
            return Err(HolderError::StillWorking { holder, after: timeout });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(Some(holder))
}

/// Takes the lock with this id away from its holder, which is not seen to be alive. Returns who it was.
///
/// # Errors
/// Where another lock is held or none, or the holder is alive on this machine.
pub fn unlock(site: &Path, id: &str) -> Result<Holder, HolderError> {
    let path = path(site);
    match holder_of(&path)?.flatten() {
        Some(holder) if holder.id != id => {
            Err(HolderError::OtherLock { wanted: id.to_owned(), holder: Some(holder) })
        }
        Some(holder) if holder.is_alive() => Err(HolderError::Alive { holder }),
        Some(holder) => {
            fs::remove_file(&path).map_err(StateError::io("remove", &path))?;
            Ok(holder)
        }
        None => Err(HolderError::OtherLock { wanted: id.to_owned(), holder: None }),
    }
}
