//! The lock that makes one process the supervisor of a host.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{error::SupervisorError, layout};

/// A client that asks whether the lock is held has it for an instant. Only a lock that stays held this long
/// belongs to a supervisor.
const PATIENCE: Duration = Duration::from_millis(250);

/// The held lock; dropping it, or dying, gives it back.
#[derive(Debug)]
pub(super) struct HostLock {
    _file: File,
}

impl HostLock {
    /// Takes the lock of the host at `dir`.
    ///
    /// # Errors
    /// [`SupervisorError::AlreadyRunning`] if another process keeps it.
    pub(super) fn acquire(dir: &Path) -> Result<Self, SupervisorError> {
        let path = layout::lock(dir);
        let failed = |action| {
            let path = path.clone();
            move |source| SupervisorError::File { action, path, source }
        };
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open.map_err(failed("open"))?;
        let deadline = Instant::now() + PATIENCE;
        while !try_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(failed("lock"))? {
            if Instant::now() >= deadline {
                return Err(SupervisorError::AlreadyRunning { dir: dir.to_owned(), pid: holder(dir) });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed("write"))?;
        Ok(Self { _file: file })
    }
}

/// Whether a process holds the lock of the host at `dir`. A host without a lock file has no supervisor.
pub(super) fn is_held(dir: &Path) -> Result<bool, SupervisorError> {
    let path = layout::lock(dir);
    let asked = match File::open(&path) {
        Ok(file) => try_lock(&file, FlockOperation::NonBlockingLockShared).map(|free| !free),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    };
    asked.map_err(|source| SupervisorError::File { action: "lock", path, source })
}

/// The process that wrote itself into the lock file last. Only a hint for people.
pub(super) fn holder(dir: &Path) -> Option<u32> {
    fs::read_to_string(layout::lock(dir)).ok()?.trim().parse().ok()
}

fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
