//! The way to one machine: a shell there, kept for as long as it answers.

use super::error::NixosError;
use super::lease::{Beside, Clock, Leases, deed};
use super::look::{Look, SCRIPT};
use crate::ssh::{Answer, Shell, ShellError, Ssh};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a machine may take to tell how it stands. One that is gone is noticed within 15 s by ssh.
const LOOK: Duration = Duration::from_secs(30);

/// The way to one machine.
pub(super) struct Link {
    ssh: Ssh,
    host: String,
    leases: Leases,
    shell: Mutex<Option<Shell>>,
    /// For what doesn't wait until the other one is free.
    second: Mutex<Option<Shell>>,
}

impl Link {
    pub(super) fn new(ssh: Ssh, host: &str, leases: Leases) -> Self {
        Self { ssh, host: host.to_owned(), leases, shell: Mutex::default(), second: Mutex::default() }
    }

    /// Has a script run there that changes nothing. It may run twice: where a connection that was kept turns out to be broken, it
    /// is told anew.
    pub(super) async fn run(
        &self,
        asked: &'static str,
        script: &str,
        patience: Duration,
    ) -> Result<Answer, NixosError> {
        self.run_by(&self.shell, asked, script, patience).await
    }

    /// The same beside what is under way.
    pub(super) async fn run_beside(
        &self,
        asked: &'static str,
        script: &str,
        patience: Duration,
    ) -> Result<Answer, NixosError> {
        let by = if self.shell.try_lock().is_ok() { &self.shell } else { &self.second };
        self.run_by(by, asked, script, patience).await
    }

    /// Has a script run there that changes something, under the lease that this process has: not where it has none any more
    /// when the machine comes to it.
    pub(super) async fn deed(
        &self,
        asked: &'static str,
        beside: Beside,
        script: &str,
        patience: Duration,
    ) -> Result<Answer, NixosError> {
        let lease = self.leases.current().ok_or_else(|| NixosError::NoLease { host: self.host.clone() })?;
        let clock = self.clock().await?;
        let answer = self.run(asked, &deed(&lease, &clock, beside, script), patience).await?;
        match NixosError::of_deed(&self.host, &answer) {
            None => Ok(answer),
            Some(error) => Err(error),
        }
    }

    /// The fencing token of the lease that this process has; 0 where it has none.
    pub(super) fn token(&self) -> u64 {
        self.leases.current().map_or(0, |lease| lease.token)
    }

    /// The machine's clock. It read it before this returns: what is left from then on is left from that as well.
    pub(super) async fn clock(&self) -> Result<Clock, NixosError> {
        let said = self.run("asked for its clock", Clock::SCRIPT, LOOK).await?.said;
        Clock::of(&said).ok_or_else(|| NixosError::Strange { host: self.host.clone(), said })
    }

    async fn run_by(
        &self,
        shell: &Mutex<Option<Shell>>,
        asked: &'static str,
        script: &str,
        patience: Duration,
    ) -> Result<Answer, NixosError> {
        let unreached = |source| NixosError::Unreached { host: self.host.clone(), asked, source };
        // Held while it runs: a machine is told one thing after the other.
        let mut held = shell.lock().await;
        if let Some(kept) = held.take() {
            match kept.run(script, patience).await {
                Ok((shell, answer)) => {
                    *held = Some(shell);
                    return Ok(answer);
                }
                Err(ShellError::Broke { .. }) => {}
                Err(error) => return Err(unreached(error)),
            }
        }
        let shell = Shell::open(&self.ssh, &self.host).await.map_err(unreached)?;
        let (shell, answer) = shell.run(script, patience).await.map_err(unreached)?;
        *held = Some(shell);
        Ok(answer)
    }

    /// Lets the connection go: the next one is made anew.
    pub(super) async fn renew(&self) {
        self.shell.lock().await.take();
    }

    /// How the machine stands.
    pub(super) async fn look(&self) -> Result<Look, NixosError> {
        let answer = self.run("asked how it is", SCRIPT, LOOK).await?;
        let look = Look::of(&answer.said).ok_or_else(|| {
            let end: Vec<&str> = answer.said.lines().rev().take(3).collect();
            let said = end.into_iter().rev().collect::<Vec<_>>().join("; ");
            NixosError::Strange { host: self.host.clone(), said }
        })?;
        match look.is_nixos {
            true => Ok(look),
            false => Err(NixosError::NotNixos { host: self.host.clone() }),
        }
    }
}
