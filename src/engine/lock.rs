//! One Octad at a time per stack. The kernel's file lock decides, so that the lock of a process that is gone is free
//! at once; the text in the file tells whose it is or was. Nothing here is decided by a clock.

use super::process;
use super::state::StateError;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Identifies this holding of the lock.
    pub id: String,
    /// Process id.
    pub pid: u32,
    /// When the process began: the id of the machine's boot and clock ticks since then. A later process of the same
    /// id began at another time.
    #[serde(default)]
    pub started: String,
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
    path: PathBuf,
    file: File,
    /// It is another process's, which waits until this one is done.
    borrowed: bool,
    /// Who has it: this process, or the one that lent it.
    pub holder: Holder,
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

pub(super) fn held_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |h| {
        let Holder { id, pid, user, host, verb, since, .. } = h;
        format!(" by `octad {verb}` of {user}@{host} (process {pid}, since {since}, lock {id})")
    })
}

impl Holder {
    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        self.host == process::host_name()
    }

    /// Whether its very process is seen from here.
    pub(super) fn is_alive(&self) -> bool {
        self.is_here()
            && !self.started.is_empty()
            && process::started(self.pid).as_ref() == Some(&self.started)
    }
}

/// Where the lock of the stack at `site` lies.
pub(super) fn path(site: &Path) -> PathBuf {
    site.join("lock")
}

/// Who holds a lock: `None` where it is free, `Some(None)` where the file doesn't tell.
pub(super) fn holder_of(path: &Path) -> Result<Option<Option<Holder>>, StateError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::io("open", path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(read(&mut file))),
        Err(error) => Err(StateError::io("look at", path)(error.into())),
    }
}

impl Lock {
    /// Takes the lock of the stack at `site`.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process holds it.
    pub fn take(site: &Path, verb: &str) -> Result<Self, LockError> {
        let path = path(site);
        let io = |action| StateError::io(action, &path);
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
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(LockError::Held { holder: read(&mut file), path });
                }
                Err(error) => return Err(io("lock")(error.into()).into()),
            }
        };
        let abandoned = read(&mut file);
        let mut lock = Self { path, file, borrowed: false, holder: holder(verb), abandoned };
        lock.write(&serde_json::to_vec(&lock.holder).expect("a holder is plain text"))
            .map_err(StateError::io("write", &lock.path))?;
        Ok(lock)
    }

    /// A handle on this lock for a child process to work under, as its standard input: the kernel's lock belongs to the
    /// open file, whoever else has it open. It is free once both have let go of it.
    ///
    /// # Errors
    /// Where the process may not open any more files.
    pub fn lend(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    /// The lock of the stack at `site` that another process lent to this one as its standard input. Who holds it stays
    /// written there.
    ///
    /// # Errors
    /// [`LockError::Held`] where standard input is no such lock.
    pub fn borrow(site: &Path) -> Result<Self, LockError> {
        let path = path(site);
        let io = |action| StateError::io(action, &path);
        let mut file = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(io("borrow"))?);
        // Taken once more by whoever has it, which changes nothing; refused to everybody else.
        if is_at(&file, &path) && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let holder = read(&mut file).unwrap_or_else(|| holder("?"));
            return Ok(Self { path, file, borrowed: true, holder, abandoned: None });
        }
        Err(LockError::Held { holder: read(&mut file), path })
    }

    /// Whether it still keeps others out; not so once [`super::unlock()`] took it away.
    pub fn holds(&self) -> bool {
        is_at(&self.file, &self.path)
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
        if !self.borrowed {
            let _ = self.write(b"");
        }
    }
}

/// The process that the lock of the stack at `site` names, where it is still there. For people only: the kernel's
/// lock, which decides, can't be asked without being taken for a moment.
pub(super) fn living_holder(site: &Path) -> Option<u32> {
    let holder = read(&mut File::open(path(site)).ok()?)?;
    holder.is_alive().then_some(holder.pid)
}

/// Whether the open file is the one that stands at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    identity(file.metadata()).is_some_and(|open| Some(open) == identity(fs::metadata(path)))
}

/// What tells a file from all others, also from a later one at its place: device and inode.
pub(super) fn identity(metadata: io::Result<fs::Metadata>) -> Option<(u64, u64)> {
    metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// This process, as the holder of a lock.
pub fn holder(verb: &str) -> Holder {
    let now = SystemTime::now();
    let pid = std::process::id();
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Holder {
        id: format!("{:x}-{pid:x}", since_epoch.as_micros()),
        pid,
        started: process::started(pid).unwrap_or_default(),
        user: user(),
        host: process::host_name(),
        verb: verb.to_owned(),
        since: humantime::format_rfc3339_seconds(now).to_string(),
    }
}

/// Who runs this process, by name where it has one: what started it may have left `$USER` away.
fn user() -> String {
    let told = std::env::var("USER").ok().filter(|name| !name.is_empty());
    told.unwrap_or_else(|| {
        let id = rustix::process::getuid().as_raw().to_string();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        name_of(&id, &users).unwrap_or(id)
    })
}

/// The name of the user of this id in a file such as `/etc/passwd`.
fn name_of(id: &str, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, of) = (fields.next()?, fields.next()?, fields.next()?);
        (of == id).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_by_name_where_it_has_one() {
        let users = "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:0:::\n";
        assert_eq!(name_of("0", users).as_deref(), Some("root"));
        assert_eq!(name_of("1000", users).as_deref(), Some("anna"));
        assert_eq!(name_of("100", users), None);
    }

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let site = tempfile::tempdir().unwrap();
        let first = Lock::take(site.path(), "up").unwrap();
        match Lock::take(site.path(), "destroy") {
            Err(LockError::Held { holder: Some(holder), .. }) => {
                assert_eq!((holder.verb.as_str(), holder.pid), ("up", std::process::id()));
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        // A process that another test is just starting has all open files for a moment.
        let second = loop {
            match Lock::take(site.path(), "destroy") {
                Ok(lock) => break lock,
                Err(LockError::Held { holder: None, .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error:?}"),
            }
        };
        assert_eq!(second.abandoned, None);
    }

    #[test]
    fn a_lock_left_by_a_process_that_is_gone_is_taken_over_and_told() {
        let site = tempfile::tempdir().unwrap();
        let left = r#"{"id":"x","pid":1,"user":"u","host":"h","verb":"up","since":"then"}"#;
        fs::write(site.path().join("lock"), left).unwrap();
        let lock = Lock::take(site.path(), "up").unwrap();
        assert_eq!(lock.abandoned.as_ref().unwrap().id, "x");
    }

    #[test]
    fn a_lock_that_was_lent_is_taken_by_whom_it_was_lent_to_and_by_nobody_else() {
        let site = tempfile::tempdir().unwrap();
        let lock = Lock::take(site.path(), "drill").unwrap();
        // util-linux's own: takes a lock on the open file with this number.
        let taken = |input: Stdio| {
            let mut flock = std::process::Command::new("flock");
            flock.args(["--nonblock", "0"]).stdin(input).status().unwrap().success()
        };
        assert!(!taken(File::open(path(site.path())).unwrap().into()), "one that opened the file itself");
        assert!(taken(lock.lend().unwrap()));
        assert!(lock.holds());
        assert!(matches!(Lock::take(site.path(), "up"), Err(LockError::Held { .. })));
    }
}
