//! How the rest of Octad speaks to the supervisor of a host.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::clock::Until;

use super::{
    error::SupervisorError,
    layout, lock,
    name::UnitName,
    protocol::{AllUnits, Hello, Nothing, PROTOCOL_VERSION, Request, UnitState, UnitStatus, decode_answer},
    signal::Signal,
    spec::UnitSpec,
};

/// A supervisor answers in milliseconds; one that doesn't in this time is stopped or starved.
const PROMPT: Duration = Duration::from_secs(10);

/// What may follow the time that a stop gives a process: the kernel takes a killed JVM apart, and what is to be run behind
/// it has 3 s.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// From its fork to its first answer.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Between looks at something that changes within milliseconds.
const POLL: Duration = Duration::from_millis(10);

/// What a supervisor, and so each unit, gets of the caller's environment, apart from `JAVA_…` and `JDK_…`.
const ENVIRONMENT: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Bytes of the log that an error tells.
const LOG_TOLD: u64 = 2048;

/// A supervisor that answered. Each request is a connection of its own, so requests don't wait for each
/// other.
#[derive(Debug, Clone)]
pub struct Supervisor {
    dir: PathBuf,
    hello: Hello,
}

impl Supervisor {
    /// The supervisor of the host at `dir`; `None` if the host has none.
    ///
    /// # Errors
    /// [`SupervisorError::Unresponsive`] if one holds the host and doesn't answer, and
    /// [`SupervisorError::Protocol`] if it speaks another version.
    pub async fn connect(dir: &Path) -> Result<Option<Self>, SupervisorError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match ask::<Hello>(dir, &Request::Hello, PROMPT).await {
                Ok(hello) => return Self::adopt(dir, hello).map(Some),
                // It is starting or ending, or there is none: the lock tells.
                Err(SupervisorError::Disconnected { .. }) => {}
                Err(error) => return Err(error),
            }
            if !lock::is_held(dir)? {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Err(unresponsive(dir, &Request::Hello, START_LIMIT));
            }
            sleep(POLL).await;
        }
    }

    /// The supervisor of the host at `dir`, an existing directory; if there is none, `exe supervise <dir>` is
    /// started, detached from this process, in the network namespace that `netns` stands for, else in this process's.
    /// One from an older octad is adopted.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and [`SupervisorError::NotUp`] with the end of its log if it doesn't
    /// answer within 5 s.
    pub async fn ensure(dir: &Path, exe: &Path, netns: Option<&Path>) -> Result<Self, SupervisorError> {
        if let Some(supervisor) = Self::connect(dir).await? {
            return Ok(supervisor);
        }
        let log_start = fs::metadata(layout::supervisor_log(dir)).map_or(0, |metadata| metadata.len());
        let mut child = detach(dir, exe, netns)?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            // Looked at before connecting: one that ended because another was faster leaves that one to find.
            let ended = child.try_wait().ok().flatten();
            if let Ok(hello) = ask::<Hello>(dir, &Request::Hello, PROMPT).await {
                return Self::adopt(dir, hello);
            }
            if Instant::now() >= deadline || (ended.is_some() && !lock::is_held(dir)?) {
                let log_tail = log_tail(dir, log_start);
                return Err(SupervisorError::NotUp { dir: dir.to_owned(), ended, log_tail });
            }
            sleep(POLL).await;
        }
    }

    fn adopt(dir: &Path, hello: Hello) -> Result<Self, SupervisorError> {
        let dir = dir.to_owned();
        match hello.protocol {
            PROTOCOL_VERSION => Ok(Self { dir, hello }),
            theirs => Err(SupervisorError::Protocol { dir, theirs, ours: PROTOCOL_VERSION }),
        }
    }

    /// The host directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who it was when it was found.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// All units of the host, by name.
    pub async fn status(&self) -> Result<Vec<UnitStatus>, SupervisorError> {
        self.prompt::<AllUnits>(Request::Status).await.map(|all| all.units)
    }

    /// Wants `unit` up and starts it, at once if it waits for a restart. Returns when it is forked or can't
    /// be; in the middle of a stop that takes as long as the stop. A running unit is left alone.
    ///
    /// # Errors
    /// [`SupervisorError::Refused`] for an unknown unit or when a later stop overtakes this start, and as
    /// [`stop`](Self::stop). A unit that can't be started is no error: it is a [`UnitState::Backoff`](super::UnitState::Backoff)
    /// after [`Exit::NotStarted`](super::Exit::NotStarted), or a [`UnitState::Failed`](super::UnitState::Failed) where its
    /// specification makes no sense.
    pub async fn start(&self, unit: &UnitName) -> Result<UnitStatus, SupervisorError> {
        let stop = self.stop_timeout(unit);
        self.patient(Request::Start { unit: unit.clone() }, unit, stop).await
    }

    /// Wants `unit` down, asks its process to end, and returns when it is gone. After `within` (default: the
    /// specification's timeout) it is killed. A second stop can shorten the first, never lengthen it. A process that
    /// runs is asked to end before `until`, or not at all.
    ///
    /// Dropping the future doesn't cancel the stop.
    ///
    /// # Errors
    /// [`SupervisorError::Refused`] with [`RefusalCode::TooLate`](super::RefusalCode::TooLate) after `until`,
    /// [`SupervisorError::NotEnded`] if the process is still there 10 s after it was killed, which takes one that is
    /// stuck in the kernel, and [`SupervisorError::Unresponsive`] 10 s later if the supervisor doesn't tell.
    pub async fn stop(
        &self,
        unit: &UnitName,
        within: Option<Duration>,
        until: Option<Until>,
    ) -> Result<UnitStatus, SupervisorError> {
        let until_ms = until.map(Until::millis);
        let timeout_ms = within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let own = within.unwrap_or_else(|| self.stop_timeout(unit));
        self.patient(Request::Stop { unit: unit.clone(), timeout_ms, until_ms }, unit, own).await
    }

    /// Sends `signal` to the process of `unit`, to that alone. What is wanted of the unit doesn't change by
    /// this: a process that ends of it is started again.
    pub async fn kill(&self, unit: &UnitName, signal: Signal) -> Result<UnitStatus, SupervisorError> {
        self.prompt(Request::Kill { unit: unit.clone(), signal }).await
    }

    /// Forgets `unit`, which must be down: its specification and what is wanted of it. Its log stays.
    /// Removing an unknown unit changes nothing.
    pub async fn remove(&self, unit: &UnitName) -> Result<(), SupervisorError> {
        self.prompt(Request::Remove { unit: unit.clone() }).await.map(|Nothing {}| ())
    }

    /// Stops all units in parallel and ends the supervisor; returns when the host is free. What is wanted of
    /// the units is kept: the next supervisor starts them again.
    ///
    /// # Errors
    /// [`SupervisorError::Unresponsive`] if it is still there 20 s after the longest of the units' own stop timeouts.
    pub async fn shutdown(self) -> Result<(), SupervisorError> {
        let units = self.status().await?;
        let own = units.iter().map(|unit| self.stop_timeout(&unit.name)).max().unwrap_or_default();
        let Nothing {} = ask(&self.dir, &Request::Shutdown, own + AFTER_KILL).await?;
        let deadline = Instant::now() + PROMPT;
        while lock::is_held(&self.dir)? {
            if Instant::now() >= deadline {
                return Err(unresponsive(&self.dir, &Request::Shutdown, PROMPT));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// The time that the specification of `unit` gives its process to end.
    fn stop_timeout(&self, unit: &UnitName) -> Duration {
        // One that can't be read is the supervisor's to refuse.
        UnitSpec::load(&self.dir, unit).map_or(Duration::ZERO, |spec| spec.stop_timeout())
    }

    /// For what a supervisor answers at once.
    async fn prompt<T: DeserializeOwned>(&self, request: Request) -> Result<T, SupervisorError> {
        ask(&self.dir, &request, PROMPT).await
    }

    /// For what waits for the process of `unit` to end, which takes `own` at most where it can be killed. A supervisor
    /// that stood still meanwhile doesn't begin any more what was given up here.
    async fn patient(
        &self,
        request: Request,
        unit: &UnitName,
        own: Duration,
    ) -> Result<UnitStatus, SupervisorError> {
        let limit = own + AFTER_KILL;
        match ask(&self.dir, &request, limit).await {
            Err(error @ SupervisorError::Unresponsive { .. }) => {
                // Is it the supervisor that stands still, or the process?
                let units = self.status().await.unwrap_or_default();
                let state = units.into_iter().find(|status| status.name == *unit).map(|status| status.state);
                match state {
                    Some(UnitState::Stopping { pid, .. }) => {
                        let (dir, unit) = (self.dir.clone(), unit.clone());
                        Err(SupervisorError::NotEnded { dir, unit, pid, after: limit })
                    }
                    _ => Err(error),
                }
            }
            answered => answered,
        }
    }
}

fn unresponsive(dir: &Path, request: &Request, after: Duration) -> SupervisorError {
    SupervisorError::Unresponsive {
        dir: dir.to_owned(),
        pid: lock::holder(dir),
        request: request.name(),
        after,
    }
}

async fn ask<T: DeserializeOwned>(
    dir: &Path,
    request: &Request,
    limit: Duration,
) -> Result<T, SupervisorError> {
    let line = timeout(limit, exchange(dir, request)).await.map_err(|_| unresponsive(dir, request, limit))?;
    let (dir, request) = (dir.to_owned(), request.name());
    match line {
        Ok(line) => match decode_answer(&line) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(SupervisorError::Refused { dir, request, source }),
            Err(source) => Err(SupervisorError::Answer { dir, request, source }),
        },
        Err(source) => Err(SupervisorError::Disconnected { dir, request, source }),
    }
}

/// One request on a connection of its own, and the line that answers it.
async fn exchange(dir: &Path, request: &Request) -> io::Result<Vec<u8>> {
    // An address has 108 bytes, a host directory may have more: the path goes through the open directory.
    let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), layout::SOCKET);
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(&request.encode()).await?;
    let mut line = Vec::new();
    BufReader::new(stream).read_until(b'\n', &mut line).await?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Starts a supervisor that lives on when this process, its terminal or its session ends. Tokio reaps it if
/// it ends first.
fn detach(dir: &Path, exe: &Path, netns: Option<&Path>) -> Result<Child, SupervisorError> {
    let spawn = || -> io::Result<Child> {
        let (dir, exe) = (fs::canonicalize(dir)?, std::path::absolute(exe)?);
        let log = File::options().create(true).append(true).open(layout::supervisor_log(&dir))?;
        let mut command = Command::new(exe);
        command.arg("supervise").arg(&dir).args(netns).current_dir(&dir);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let inherited = open_descriptors()?;
        let alone = move || {
            rustix::process::setsid()?;
            inherited.iter().for_each(|descriptor| close_on_exec(*descriptor));
            Ok(())
        };
        // SAFETY: runs between fork and exec, where only async-signal-safe calls are allowed. It makes system
        // calls and reads a list made before; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(alone) };
        command.spawn()
    };
    spawn().map_err(|source| SupervisorError::Spawn { exe: exe.to_owned(), dir: dir.to_owned(), source })
}

/// The descriptors of this process above the standard ones.
fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let entries = fs::read_dir("/proc/self/fd")?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|descriptor| *descriptor > 2).collect())
}

/// Keeps a descriptor of unknown origin, such as a pipe whose reader waits for its end, out of the
/// supervisor and its units.
fn close_on_exec(descriptor: RawFd) {
    // SAFETY: used for one call that changes a flag in the forked child's own table; a number that is closed
    // by now gives EBADF.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
}

fn is_kept(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        ENVIRONMENT.contains(&name) || name.starts_with("JAVA_") || name.starts_with("JDK_")
    })
}

/// What was written to the supervisor's log since it had `start` bytes, the last of it.
fn log_tail(dir: &Path, start: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(layout::supervisor_log(dir))?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(LOG_TOLD)).min(end)))?;
        let mut tail = Vec::new();
        file.take(LOG_TOLD).read_to_end(&mut tail)?;
        Ok(tail)
    };
    // The error that is being made says enough without it.
    String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
}
