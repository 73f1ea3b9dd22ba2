//! One Octad at a time per stack. The kernel's file lock decides, so that the lock of a process that is gone is free
//! at once; the text in the file only tells people whose it is or was.

use super::state::StateError;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Identifies this holding of the lock.
    pub id: String,
    /// Process id.
    pub pid: u32,
    /// The user's name.
    pub user: String,
    /// The machine's name.
    pub host: String,
    /// The verb, such as `up`.
    pub verb: String,
    /// When it was taken (RFC 3339).
    pub since: String,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Who held it before and never released it: a process that was killed.
    pub abandoned: Option<Holder>,
}

/// Why the lock isn't ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another Octad holds it.
    #[error("the stack is locked{}", held_by(.holder.as_ref()))]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// Who, where the file tells.
        holder: Option<Holder>,
    },
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] StateError),
}

fn held_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |h| {
        format!(" by `octad {}` of {}@{} (process {}, since {})", h.verb, h.user, h.host, h.pid, h.since)
    })
}

impl Lock {
    /// Takes the lock of the stack at `site`, waiting for it at most `timeout`.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process still holds it then.
    pub fn take(site: &Path, verb: &str, timeout: Duration) -> Result<Self, LockError> {
        let path = site.join("lock");
        let io = |action| StateError::io(action, &path);
        let deadline = Instant::now() + timeout;
        let mut file = loop {
            fs::create_dir_all(site).map_err(StateError::io("create", site))?;
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .map_err(io("open"))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // A `destroy` that ended just now took the file with it: then this lock keeps nobody out.
                Ok(()) if is_at(&file, &path) => break file,
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() >= deadline => {
                    return Err(LockError::Held { holder: read(&mut file), path });
                }
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(100)),
                Err(error) => return Err(io("lock")(error.into()).into()),
            }
        };
        let abandoned = read(&mut file);
        let mut lock = Self { file, abandoned };
        lock.write(&serde_json::to_vec(&holder(verb)).expect("a holder is plain text"))
            .map_err(io("write"))?;
        Ok(lock)
    }

    fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file tells that the holder released it; the kernel's lock goes with the file.
        let _ = self.write(b"");
    }
}

/// The process that the lock of the stack at `site` names, where it is still there. For people only: the kernel's
/// lock, which decides, can't be asked without being taken for a moment.
pub(super) fn living_holder(site: &Path) -> Option<u32> {
    let pid = read(&mut File::open(site.join("lock")).ok()?)?.pid;
    Path::new("/proc").join(pid.to_string()).exists().then_some(pid)
}

/// Whether the open file is the one that stands at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// This process, as the holder of a lock.
pub(super) fn holder(verb: &str) -> Holder {
    let now = SystemTime::now();
    let pid = std::process::id();
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Holder {
        id: format!("{:x}-{pid:x}", since_epoch.as_micros()),
        pid,
        user: std::env::var("USER").unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string()),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        verb: verb.to_owned(),
        since: humantime::format_rfc3339_seconds(now).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let site = tempfile::tempdir().unwrap();
        let first = Lock::take(site.path(), "up", Duration::ZERO).unwrap();
        match Lock::take(site.path(), "destroy", Duration::ZERO) {
            Err(LockError::Held { holder: Some(holder), .. }) => {
                assert_eq!((holder.verb.as_str(), holder.pid), ("up", std::process::id()));
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        let second = Lock::take(site.path(), "destroy", Duration::ZERO).unwrap();
        assert_eq!(second.abandoned, None);
    }

    #[test]
    fn a_lock_left_by_a_process_that_is_gone_is_taken_over_and_told() {
        let site = tempfile::tempdir().unwrap();
        let left = r#"{"id":"x","pid":1,"user":"u","host":"h","verb":"up","since":"then"}"#;
        fs::write(site.path().join("lock"), left).unwrap();
        let lock = Lock::take(site.path(), "up", Duration::ZERO).unwrap();
        assert_eq!(lock.abandoned.as_ref().unwrap().id, "x");
    }
}
