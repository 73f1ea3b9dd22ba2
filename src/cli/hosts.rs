//! Holding a stack's hosts for a change, where others than those who share this directory may reach them.

use super::session::Session;
use super::{Changing, CliError};
use crate::engine::{self, Claimant, Holder, LeaseError, Leased, Lock};
use crate::stack::{Name, ValidStack};
use std::time::{Duration, Instant};

/// How often it is tried, while somebody else has them.
const RETRY: Duration = Duration::from_secs(1);

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
        self.lacking.take().map_or(Ok(()), Err)
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
        let deadline = Instant::now() + arguments.lock_timeout;
        let (holder, over, minority) = (&lock.holder, lock.abandoned.as_ref(), arguments.minority);
        let claimant = Claimant { holder, over, minority };
        let cancelled = || async { self.interrupt().wait().await };
        let leased = loop {
            let taken = tokio::select! {
                taken = engine::lease(&context, stack, &state, claimant) => taken,
                () = cancelled() => return Err(CliError::Cancelled),
            };
            match taken {
                Err(LeaseError::Held { .. } | LeaseError::Busy { .. }) if Instant::now() < deadline => {}
                Ok(leased) => break leased,
                // The plan tells better what is the matter with each host, and nothing need be to do.
                Err(error @ LeaseError::NoMajority { .. }) => {
                    return Ok(Hosts { leased: None, lacking: Some(error) });
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
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
