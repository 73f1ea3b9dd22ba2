//! What a unit is doing and what it waits for meanwhile. The moves between phases are in [`super::unit`].

use std::time::{Duration, SystemTime};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    exit::Ending,
    process::Process,
    protocol::Refusal,
    spec::UnitSpec,
    unit::{Command, Reply},
};

/// What a unit is doing.
pub(super) enum Phase {
    Down(Down),
    Running(Running),
    Stopping(Stopping),
    Backoff(Waiting),
}

/// No process and none to come.
pub(super) struct Down {
    pub(super) last: Option<Ending>,
    pub(super) failed: Option<String>,
}

/// A process that nobody has asked to end.
pub(super) struct Running {
    pub(super) live: Live,
    /// When its class-data archive is to be made; `None` where there is one, or that was tried.
    pub(super) archive_due: Option<Instant>,
}

/// A process that was asked to end.
pub(super) struct Stopping {
    pub(super) live: Live,
    pub(super) since: SystemTime,
    /// `None` once SIGKILL is sent.
    pub(super) kill_at: Option<Instant>,
    /// Answered when the process is gone, each with what came of writing the desired state down.
    pub(super) stops: Vec<(Reply, Result<(), Refusal>)>,
    /// Asked for during the stop; answered when the unit has been started anew.
    pub(super) starts: Vec<Reply>,
}

/// A failure whose restart is due later.
pub(super) struct Waiting {
    pub(super) until: Instant,
    pub(super) last: Ending,
}

/// A process with all that belongs to it.
pub(super) struct Live {
    pub(super) process: Process,
    pub(super) capture: JoinHandle<()>,
    pub(super) spec: UnitSpec,
    pub(super) since: SystemTime,
    pub(super) since_boot_ms: u64,
    pub(super) forked: Instant,
}

/// What can happen to a unit.
pub(super) enum Event {
    Asked(Command, Reply),
    /// The process has ended.
    Ended,
    /// The phase's deadline has come.
    Due,
    /// The supervisor has let the unit go.
    Closed,
}

/// Longer deadlines are cut to this: they come from files, and the clock's type overflows.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Phase {
    /// Waits for whatever comes next. The end of the process before a command: the command then meets a unit
    /// that knows of it.
    pub(super) async fn event(&self, inbox: &mut mpsc::Receiver<(Command, Reply)>) -> Event {
        let ended = async {
            match self.live() {
                Some(live) => live.process.ended().await,
                None => std::future::pending().await,
            }
        };
        let due = async {
            match self.deadline() {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ended => Event::Ended,
            asked = inbox.recv() => match asked {
                Some((command, reply)) => Event::Asked(command, reply),
                None => Event::Closed,
            },
            () = due => Event::Due,
        }
    }

    /// The process, if there is one.
    pub(super) fn live(&self) -> Option<&Live> {
        match self {
            Self::Running(Running { live, .. }) | Self::Stopping(Stopping { live, .. }) => Some(live),
            Self::Down(_) | Self::Backoff(_) => None,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Down(_) => None,
            Self::Running(running) => running.archive_due,
            Self::Stopping(stopping) => stopping.kill_at,
            Self::Backoff(waiting) => Some(waiting.until),
        }
    }
}

/// The moment that lies `delay` ahead.
pub(super) fn after(delay: Duration) -> Instant {
    Instant::now() + delay.min(FAR)
}
