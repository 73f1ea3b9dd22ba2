//! The dump of a class-data archive in the background of a running unit.
//!
//! Nothing here may ever hurt the unit: a failure is a line in `supervisor.log`, the next start of the unit
//! is the next attempt.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::oneshot, task::JoinHandle};

use super::{
    exit::Exit,
    journal::{Chain, Journal},
    name::UnitName,
    process::{Priority, Process},
    spec::{ArchiveSpec, UnitSpec},
};

/// A dump takes seconds, minutes on a starved machine. One that hangs would hold its memory and the lock.
const DUMP_LIMIT: Duration = Duration::from_secs(600);

/// Bytes of a failed dump's output that are told, the last ones.
const OUTPUT_TOLD: usize = 2048;

/// For output still in the pipe of an ended dump. Longer only lasts a pipe that a stray process holds.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// A dump under way, or over.
#[derive(Debug)]
pub(super) struct Dump {
    task: JoinHandle<()>,
    cancel: oneshot::Sender<()>,
}

#[derive(Debug, thiserror::Error)]
enum DumpError {
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the dump failed with {exit}; its output ends with: {output}")]
    Failed { exit: Exit, output: String },
    #[error("the dump was not done within {} s", DUMP_LIMIT.as_secs())]
    TimedOut,
}

/// How a dump ended that did not fail.
enum Outcome {
    Made,
    /// Another host is at it, or was faster.
    Elsewhere,
    Cancelled,
}

impl Dump {
    /// Starts the dump of `archive`, an archive of `unit`.
    pub(super) fn start(
        unit: UnitName,
        archive: ArchiveSpec,
        surroundings: &UnitSpec,
        journal: Arc<Journal>,
    ) -> Self {
        let (cancel, mut cancelled) = oneshot::channel();
        let mut command = Command::new(&archive.dump.program);
        command.envs(&surroundings.env);
        if let Some(dir) = &surroundings.working_dir {
            command.current_dir(dir);
        }
        let task = tokio::spawn(async move {
            let path = archive.path.display();
            match make(&archive, command, &mut cancelled).await {
                Ok(Outcome::Made) => journal.note(format_args!("{unit}: made the archive {path}")),
                Ok(Outcome::Elsewhere) => {}
                Ok(Outcome::Cancelled) => {
                    journal.note(format_args!("{unit}: gave up making the archive {path}"));
                }
                Err(error) => {
                    journal.note(format_args!("{unit}: could not make the archive {path}: {}", Chain(&error)))
                }
            }
        });
        Self { task, cancel }
    }

    /// Whether there is nothing left to cancel.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Kills the dump and returns when it and its temporary file are gone.
    pub(super) async fn cancel(self) {
        drop(self.cancel);
        // A panic of the task has ended the supervisor already.
        let _ = self.task.await;
    }
}

async fn make(
    archive: &ArchiveSpec,
    mut command: Command,
    cancelled: &mut oneshot::Receiver<()>,
) -> Result<Outcome, DumpError> {
    let Some(_lock) = lock(&archive.path)? else { return Ok(Outcome::Elsewhere) };
    if archive.path.exists() {
        return Ok(Outcome::Elsewhere);
    }
    // A fixed name: the lock makes it ours, and what a killed supervisor left is overwritten.
    let made = Temporary(beside(&archive.path, ".tmp"));
    made.remove();

    command.args(archive.dump.arguments(&made.0));
    let (process, output) = Process::spawn(command, Priority::Background)
        .map_err(|source| DumpError::Start { program: archive.dump.program.clone(), source })?;
    let output = tokio::spawn(tail(output));
    tokio::select! {
        () = process.ended() => {}
        _ = cancelled => {
            end(process).await;
            return Ok(Outcome::Cancelled);
        }
        () = tokio::time::sleep(DUMP_LIMIT) => {
            end(process).await;
            return Err(DumpError::TimedOut);
        }
    }
    let exit = process.reap();
    if exit != (Exit::Code { code: 0 }) {
        let output = tokio::time::timeout(OUTPUT_PATIENCE, output).await;
        let output = output.map(Result::unwrap_or_default).unwrap_or_default();
        return Err(DumpError::Failed { exit, output });
    }
    publish(&made.0, &archive.path).await?;
    Ok(Outcome::Made)
}

/// Kills a process without blocking the supervisor while the kernel takes its memory down.
pub(super) async fn end(process: Process) {
    process.kill();
    process.ended().await;
    process.reap();
}

/// The lock of the archive; `None` if another supervisor makes it.
///
/// The file stays: removing it could give two holders two different files.
fn lock(archive: &Path) -> Result<Option<File>, DumpError> {
    let path = beside(archive, ".lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(file("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(self::file("lock", &path)(errno.into())),
    }
}

/// Syncs before renaming: a JVM maps the archive without reading it, so one that lost its pages in a power
/// failure would crash every start.
async fn publish(made: &Path, archive: &Path) -> Result<(), DumpError> {
    let opened = File::open(made).map_err(file("open", made))?;
    let synced = tokio::task::spawn_blocking(move || opened.sync_all()).await;
    synced.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(file("sync", made))?;
    fs::rename(made, archive).map_err(file("rename", made))
}

/// Reads the output to its end and keeps the last of it.
pub(super) async fn tail(mut output: pipe::Receiver) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = output.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..length]);
        kept.drain(..kept.len().saturating_sub(OUTPUT_TOLD));
    }
    String::from_utf8_lossy(&kept).trim().replace('\n', " | ")
}

/// A file that goes when it is not needed any more.
struct Temporary(PathBuf);

impl Temporary {
    fn remove(&self) {
        // Usually it isn't there.
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.remove();
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DumpError {
    let path = path.to_owned();
    move |source| DumpError::File { action, path, source }
}
