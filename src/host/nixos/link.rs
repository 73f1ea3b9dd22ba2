//! The way to one machine: a shell there, kept for as long as it answers.

use super::error::NixosError;
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
    shell: Mutex<Option<Shell>>,
}

impl Link {
    pub(super) fn new(ssh: Ssh, host: &str) -> Self {
        Self { ssh, host: host.to_owned(), shell: Mutex::new(None) }
    }

    /// Has a script run there. It may run twice: where a connection that was kept turns out to be broken, it is told anew.
    pub(super) async fn run(
        &self,
        asked: &'static str,
        script: &str,
        patience: Duration,
    ) -> Result<Answer, NixosError> {
        let unreached = |source| NixosError::Unreached { host: self.host.clone(), asked, source };
        // Held while it runs: a machine is told one thing after the other.
        let mut held = self.shell.lock().await;
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
