//! `octad watchdog`: starts a broker and stops it where it is cut off from the others. Run by supervisors and systemd
//! in front of the broker's own command, which takes its place, process id and all.

use crate::kafka::Watched;
use crate::report::exit;
use clap::Args;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Run a broker, and stop it where it is cut off from most of the other brokers and they can do without it
#[derive(Debug, Args)]
#[command(
    after_help = "Supervisors run it in front of a broker's own command, and so does a systemd service in ExecStart. It \
    waits while most of the other brokers are out of reach, leaves a second process behind that watches, and becomes \
    COMMAND. The one that watches vouches for the broker where the watchdog of another one asks, and asks them all \
    before it kills its own; starting it again is for whoever started it.\n\nExamples:\n  \
    octad watchdog --zookeeper 10.0.0.11:2181,10.0.0.12:2181 --broker 3 -- kafka-server-start.sh server.properties\n  \
    octad watchdog --zookeeper 10.0.0.11:2181 --broker 3 --pid 4711"
)]
pub(super) struct Watchdog {
    /// The ensemble's servers
    #[arg(long, required = true, value_delimiter = ',', value_name = "HOST:PORT")]
    zookeeper: Vec<String>,
    /// The broker's id
    #[arg(long, value_name = "ID")]
    broker: i32,
    /// The broker's min.insync.replicas, for topics that don't say otherwise
    #[arg(long, default_value_t = 1, value_name = "N")]
    min_insync_replicas: usize,
    /// The broker's replica.lag.time.max.ms, in milliseconds
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    replica_lag_ms: u64,
    /// How long the broker's start may be put off while it is cut off
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = humantime::parse_duration)]
    give_up: Duration,
    /// Only watch: the broker is this process
    #[arg(long, value_name = "PID", conflicts_with = "command")]
    pid: Option<i32>,
    /// What runs the broker
    #[arg(last = true, required_unless_present = "pid", value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Watchdog {
    /// On a runtime of its own: one thread, which becomes the command, and no signal is caught.
    pub(super) fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let watched = Watched {
            zookeeper: self.zookeeper.clone(),
            broker: self.broker,
            min_insync: self.min_insync_replicas,
            replica_lag: Duration::from_millis(self.replica_lag_ms),
        };
        let ended = runtime.and_then(|runtime| match self.pid {
            Some(pid) => runtime.block_on(watch(&watched, pid)),
            None => {
                runtime.block_on(watched.hold(self.give_up, say));
                match self.make_way()? {}
            }
        });
        match ended {
            Ok(()) => ExitCode::from(exit::OK),
            Err(error) => {
                say(format_args!("{error}"));
                ExitCode::from(exit::FAILED)
            }
        }
    }

    /// Starts the process that watches, and becomes the broker.
    fn make_way(&self) -> io::Result<Infallible> {
        let mut watcher = Command::new("/proc/self/exe");
        watcher.args(["watchdog", "--zookeeper", &self.zookeeper.join(",")]);
        watcher.args(["--broker", &self.broker.to_string()]);
        watcher.args(["--min-insync-replicas", &self.min_insync_replicas.to_string()]);
        watcher.args(["--replica-lag-ms", &self.replica_lag_ms.to_string()]);
        watcher.args(["--pid", &std::process::id().to_string()]);
        let named = |path: &OsString, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot start {}: {error}", path.display()))
        };
        watcher
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| named(&watcher.get_program().to_owned(), error))?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no command"));
        };
        Err(named(program, Command::new(program).args(arguments).exec()))
    }
}

/// Watches until the process ends or has to.
async fn watch(watched: &Watched, pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // Not by its id, which may be another process's by then.
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    // SAFETY: an `OwnedFd` is open and stays the same descriptor until it is dropped, and nothing takes it out of the
    // `AsyncFd`.
    let process: AsyncFd<OwnedFd> = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?;
    tokio::select! {
        ended = process.readable() => ended.map(drop),
        why = watched.cut_off(say) => {
            // Before anything that could take time, such as a word into a pipe that nobody reads.
            pidfd_send_signal(process.get_ref(), Signal::KILL)?;
            say(format_args!("{why}"));
            Ok(())
        }
    }
}

fn say(what: std::fmt::Arguments<'_>) {
    // It goes into the broker's log.
    println!("[octad watchdog] {what}");
}
