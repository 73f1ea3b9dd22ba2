//! How others reach a unit: what can be asked of it, and how it stands.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{Shared, Unit};
use crate::{
    clock::Until,
    supervisor::{
        backoff::Backoff,
        name::UnitName,
        phase::{Down, Phase},
        protocol::{Refusal, RefusalCode, UnitState, UnitStatus},
        run_state::Desired,
        signal::Signal,
    },
};

/// Where the answer to a command goes.
pub(in crate::supervisor) type Reply = oneshot::Sender<Result<UnitStatus, Refusal>>;

/// What can be asked of a unit; the same as on the wire.
#[derive(Debug)]
pub(in crate::supervisor) enum Command {
    Start,
    Stop {
        timeout: Option<Duration>,
        until: Option<Until>,
    },
    Kill {
        signal: Signal,
    },
    Remove,
    /// A stop that changes nothing in what is wanted.
    Shutdown,
}

/// How others reach a unit.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct UnitHandle {
    commands: mpsc::Sender<(Command, Reply)>,
    status: watch::Receiver<Published>,
}

/// A status and the moment that it counts down to.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) status: UnitStatus,
    pub(super) next_start: Option<Instant>,
}

impl UnitHandle {
    /// Makes the task of a unit; one that is wanted up is started at once.
    pub(in crate::supervisor) fn launch(name: UnitName, shared: Arc<Shared>) -> Self {
        // Commands are few; whoever is faster waits.
        let (commands, inbox) = mpsc::channel(16);
        let mut unit = Unit { name, shared, inbox, backoff: Backoff::default(), restarts: 0, dump: None };
        let phase = match unit.shared.desired(&unit.name) {
            Desired::Up => unit.begin(),
            Desired::Down => Phase::Down(Down { last: None, failed: None }),
        };
        let (publisher, status) = watch::channel(unit.published(&phase));
        tokio::spawn(unit.run(phase, publisher));
        Self { commands, status }
    }

    /// Asks and waits for the answer.
    pub(in crate::supervisor) async fn ask(&self, command: Command) -> Result<UnitStatus, Refusal> {
        let gone = || Refusal::new(RefusalCode::UnknownUnit, "the unit was removed meanwhile");
        let (reply, answer) = oneshot::channel();
        self.commands.send((command, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The unit as it is now.
    pub(in crate::supervisor) fn status(&self) -> UnitStatus {
        self.status.borrow().now()
    }

    /// Whether the unit was removed.
    pub(in crate::supervisor) fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }
}

impl Published {
    pub(super) fn now(&self) -> UnitStatus {
        let mut status = self.status.clone();
        if let (UnitState::Backoff { next_start_in_ms, .. }, Some(at)) = (&mut status.state, self.next_start)
        {
            *next_start_in_ms = at.saturating_duration_since(Instant::now()).as_millis() as u64;
        }
        status
    }
}

pub(super) fn answer(reply: Reply, answer: Result<UnitStatus, Refusal>) {
    // Whoever asked may have gone; what was asked is done all the same.
    let _ = reply.send(answer);
}
