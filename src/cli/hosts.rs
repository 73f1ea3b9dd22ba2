//! Holding a stack's hosts for a change, where others than those who share this directory may reach them.

use super::session::Session;
use super::{Changing, CliError};
use crate::clock::jitter;
use crate::engine::{self, Claimant, Holder, LeaseError, Leased, Lock};
use crate::stack::{Name, ValidStack};
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How often it is tried, while somebody else has them.
const RETRY: Duration = Duration::from_secs(1);
/// For so long what was begun before is waited for, whatever was said.
const AT_WORK: Duration = Duration::from_secs(90);
/// How long hosts may take to answer once nobody wants to know any more.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The hosts of a stack, held or not.
#[derive(Debug)]
pub(super) struct Hosts {
    leased: Option<Leased>,
    /// Why not, where they aren't: that is no matter where nothing is to be done.
    lacking: Option<LeaseError>,
}

impl Hosts {
    /// Fails where they aren't held, and should be.
    pub(super) fn are_held(&mut self) -> Result<(), LeaseError> {
        match (self.lacking.take(), &self.leased) {
            (Some(lacking), _) => Err(lacking),
            (None, Some(leased)) if !leased.holds() => Err(LeaseError::Lost),
            _ => Ok(()),
        }
    }

    pub(super) async fn give_back(self) {
        if let Some(leased) = self.leased {
            leased.give_back().await;
        }
    }
}

impl Session {
    /// Takes the hosts of a stack away from the holder of this lease, who is gone. Returns who that was.
    pub(super) async fn take_hosts_away(&self, name: &Name, id: &str) -> Result<Option<Holder>, CliError> {
        let state = self.state(name)?;
        let stack = self.declare().unwrap_or_else(|_| ValidStack::empty(name.clone()));
        let context = self.context(&stack, &state)?;
        Ok(engine::take_away(&context, &stack, &state, &engine::holder("unlock"), id).await?)
    }

    /// Takes the hosts of a stack for the holder of its lock, and tells where they were left by an octad that is gone.
    pub(super) async fn hold(
        &self,
        stack: &ValidStack,
        lock: &Lock,
        arguments: &Changing,
    ) -> Result<Hosts, CliError> {
        let state = self.state(stack.name())?;
        let context = self.context(stack, &state)?;
        let begun = Instant::now();
        let (deadline, mut tries) = (begun + arguments.lock_timeout, 3);
        let (holder, over, minority) = (&lock.holder, lock.abandoned.as_ref(), arguments.minority);
        let claimant = Claimant { holder, over, minority };
        let cancelled = || async { self.interrupt().wait().await };
        let leased = loop {
            let mut taking = pin!(engine::lease(&context, stack, &state, claimant));
            let taken = tokio::select! {
                taken = &mut taking => taken,
                () = cancelled() => {
                    // What is about to be given isn't left held by nobody.
                    if let Ok(Ok(Some(leased))) = timeout(AT_ONCE, taking).await {
                        leased.give_back().await;
                    }
                    return Err(CliError::Cancelled);
                }
            };
            match taken {
                Err(LeaseError::Held { .. }) if Instant::now() < deadline => {}
                // What was begun by an octad that is gone ends by itself.
                Err(LeaseError::Busy { .. }) if Instant::now() < deadline.max(begun + AT_WORK) => {}
                // Two that ask at once have each other wait.
                Err(LeaseError::Contended) if tries > 0 => tries -= 1,
                Ok(leased) => break leased,
                // The plan tells better what is the matter with each host, and nothing need be to do.
                Err(error @ LeaseError::NoMajority { .. }) => {
                    return Ok(Hosts { leased: None, lacking: Some(error) });
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY + jitter(RETRY)) => {}
                () = cancelled() => return Err(CliError::Cancelled),
            }
        };
        if let Some(holder) = leased.as_ref().and_then(|leased| leased.abandoned.as_ref()) {
            let Holder { verb, pid, user, host, since, .. } = holder;
            self.events().notice(format!(
                "took the hosts over from `octad {verb}` of {user}@{host} (process {pid}, since {since}), which is gone"
            ));
        }
        Ok(Hosts { leased, lacking: None })
    }
}
