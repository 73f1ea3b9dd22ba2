//! A disk of a node's own: a file that holds a file system, mounted where the node has its data. It is as large as it
//! says and takes of the machine what is in it.

use super::program::run;
use crate::host::HostError;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open, statvfs};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What fills the disk. Servers pass over files that they don't know.
const FILLING: &str = "octad-filling";

/// A block of the file system.
const BLOCK: u64 = 4096;

/// Shuts a file system down: `FS_IOC_SHUTDOWN` of Linux, which ext4 took over from XFS under its number.
const SHUT_DOWN: Opcode = opcode::read::<u32>(b'X', 125);

/// What of it is written before: neither data nor the file system's own journal.
const WRITE_NOTHING: u32 = 2;

/// How long those that have files of a disk open may take to die, once they were killed.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// Between attempts to take a disk from them.
const LOOK: Duration = Duration::from_millis(50);

/// The disk of one node, there or not.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    image: PathBuf,
    data: PathBuf,
}

impl Disk {
    /// The disk of the node in this directory, whose data is at `data`.
    pub(super) fn of(node: &Path, data: PathBuf) -> Self {
        Self { image: node.join("disk.img"), data }
    }

    pub(super) fn exists(&self) -> bool {
        self.image.exists()
    }

    /// Whether the data is what is on the disk, and not what lies below it.
    pub(super) fn is_mounted(&self) -> bool {
        let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
        let above = self.data.parent().and_then(device);
        device(&self.data).is_some_and(|here| Some(here) != above)
    }

    /// Makes the disk where there is none, and mounts it. What lies where it would be mounted is not covered up.
    pub(super) async fn make(&self, mib: u32) -> Result<(), HostError> {
        let in_the_way = || fs::read_dir(&self.data).is_ok_and(|mut entries| entries.next().is_some());
        if !self.exists() {
            if in_the_way() {
                return Ok(());
            }
            let fresh = self.image.with_extension("new");
            let length = u64::from(mib) << 20;
            let made = fs::create_dir_all(&self.data).and_then(|()| File::create(&fresh)?.set_len(length));
            made.map_err(|source| self.failed("make", source))?;
            // No blocks are put aside for root, as whom the servers run: full is full.
            run("mkfs.ext4", &["-q", "-F", "-m", "0", &fresh.to_string_lossy()]).await?;
            let put = sync(&fresh).and_then(|()| fs::rename(&fresh, &self.image));
            put.map_err(|source| self.failed("make", source))?;
        }
        self.mount().await.map(drop)
    }

    /// Mounts the disk where there is one; one that was shut down comes back with what was on it by then. Returns whether
    /// it had to be.
    pub(super) async fn mount(&self) -> Result<bool, HostError> {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            if self.is_shut_down() {
                self.release().await?;
            }
            if !self.exists() || self.is_mounted() {
                return Ok(false);
            }
            let (image, data) = (self.image.to_string_lossy(), self.data.to_string_lossy());
            // What is deleted goes back to the machine.
            run("mount", &["-t", "ext4", "-o", "loop,noatime,discard", &image, &data]).await?;
            if !self.is_shut_down() {
                break;
            }
            // The file system as it was: somebody with mounts of his own, such as a program that enters another host's
            // namespace just now, has it mounted still.
            if Instant::now() >= deadline {
                let held = "a process with mounts of its own holds what was shut down";
                return Err(self.failed("mount", io::Error::new(io::ErrorKind::ResourceBusy, held)));
            }
            tokio::time::sleep(LOOK).await;
        }
        // A server would take it for data. Where it isn't, it was removed before.
        let _ = fs::remove_dir(self.data.join("lost+found"));
        Ok(true)
    }

    /// Unmounts the disk where it is mounted.
    pub(super) async fn unmount(&self) -> Result<(), HostError> {
        if self.is_mounted() {
            run("umount", &[&self.data.to_string_lossy()]).await?;
        }
        Ok(())
    }

    /// Unmounts the disk once those that have files of it open, and were killed, are gone.
    async fn release(&self) -> Result<(), HostError> {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            match self.unmount().await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                result => return result,
            }
        }
    }

    /// Has the disk end as power ends: nothing more is read or written, and what wasn't on it yet is gone. Of all but the
    /// directories at its top whose names begin with `expendable`, everything that was written is put on it before.
    /// Blocks.
    pub(super) fn shut_down(&self, expendable: &str) -> Result<(), HostError> {
        let shut_down = || -> io::Result<()> {
            for entry in fs::read_dir(&self.data)? {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().starts_with(expendable) {
                    sync(&entry.path())?;
                }
            }
            let disk = File::open(&self.data)?;
            // SAFETY: this request reads one 32 bit number, and Setter hands it a pointer to one.
            unsafe { ioctl(&disk, Setter::<SHUT_DOWN, u32>::new(WRITE_NOTHING)) }?;
            Ok(())
        };
        shut_down().map_err(|source| self.failed("shut down", source))
    }

    /// Whether it was shut down and not mounted again since.
    pub(super) fn is_shut_down(&self) -> bool {
        // A file without a name: it leaves no trace where it can be made.
        let probe = || open(&self.data, OFlags::TMPFILE | OFlags::WRONLY, Mode::RUSR);
        self.exists() && self.is_mounted() && matches!(probe(), Err(Errno::IO))
    }

    /// Takes all space that is left.
    pub(super) fn fill(&self) -> Result<(), HostError> {
        let fill = || -> io::Result<()> {
            let file = File::create(self.data.join(FILLING))?;
            let space = statvfs(&self.data)?;
            let (mut offset, mut chunk) = (0, space.f_bavail * space.f_frsize);
            while chunk >= BLOCK {
                match fallocate(&file, FallocateFlags::empty(), offset, chunk) {
                    Ok(()) => offset += chunk,
                    // The file system's own books need a little; what others take or give meanwhile too.
                    Err(Errno::NOSPC) => chunk /= 2,
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        };
        fill().map_err(|source| self.failed("fill", source))
    }

    pub(super) fn is_filled(&self) -> bool {
        self.data.join(FILLING).exists()
    }

    /// Gives back what was taken by [`Disk::fill`].
    pub(super) fn free(&self) -> Result<(), HostError> {
        match fs::remove_file(self.data.join(FILLING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed("free", error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> HostError {
        HostError::Io { action, path: self.image.display().to_string(), source }
    }
}

/// Puts all that was written below a path on its disk. What is removed meanwhile needs it no more.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    let sync = || -> io::Result<()> {
        if path.is_dir() {
            fs::read_dir(path)?.try_for_each(|entry| sync(&entry?.path()))?;
        }
        File::open(path)?.sync_all()
    };
    match sync() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
