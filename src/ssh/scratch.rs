//! A directory of this process for what ssh reads and writes: what it says itself, apart from what it passes on, and the key
//! that a host must show.
//!
//! Its owner holds a lock on it. A process that was killed leaves its directory without one, and the next push removes it.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// What their names begin with, below the directory for temporary files.
const PREFIX: &str = "octad-ssh-";

/// A directory that only this user can look into. It goes with this value.
pub(super) struct Scratch {
    path: PathBuf,
    _lock: OwnedFd,
}

impl Scratch {
    /// Makes one, and removes what processes of this user have left that are no more.
    pub(super) fn new() -> io::Result<Self> {
        static SWEPT: Once = Once::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let parent = std::env::temp_dir();
        SWEPT.call_once(|| sweep(&parent));
        for _ in 0..100 {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                // Of a process with the same number in another container, or of somebody else.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            // Between the two, another process may take it for one that was left.
            if let Some(lock) = lock(&path)
                && fs::symlink_metadata(&path).is_ok()
            {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(io::Error::other(format!("no directory can be made and locked in {}", parent.display())))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Takes the lock of a directory; `None` where it isn't one, or somebody has it.
fn lock(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open(path, flags, Mode::empty()).ok()?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(directory)
}

/// Removes what was left in `parent`. What is another user's stays, and what has an owner.
fn sweep(parent: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && fs::symlink_metadata(entry.path()).is_ok_and(|found| found.is_dir() && found.uid() == own);
        if let Some(_lock) = is_ours.then(|| lock(&entry.path())).flatten() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_has_no_owner_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        for name in ["octad-ssh-1-0", "octad-ssh-2-0", "octad-else", "kept"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("log"), "x").unwrap();
        }
        symlink(at("kept"), at("octad-ssh-3-0")).unwrap();
        fs::write(at("octad-ssh-4-0"), "").unwrap();
        let owner = lock(&at("octad-ssh-2-0")).unwrap();
        sweep(parent.path());
        let left = |name: &str| fs::symlink_metadata(at(name)).is_ok();
        assert!(!left("octad-ssh-1-0"));
        for name in ["octad-ssh-2-0/log", "octad-else/log", "kept/log", "octad-ssh-3-0", "octad-ssh-4-0"] {
            assert!(left(name), "{name}");
        }
        drop(owner);
        sweep(parent.path());
        assert!(!left("octad-ssh-2-0"));
    }

    #[test]
    fn another_users_directory_stays() {
        if !rustix::process::getuid().is_root() {
            return;
        }
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("octad-ssh-1-0");
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(64001), None).unwrap();
        sweep(parent.path());
        assert!(path.exists());
    }
}
