//! Installs packages, where Octad knows how: with apt-get, as root or through sudo. The only part that changes the
//! machine outside of stacks, and only after it was asked to.

use super::{Family, Lack, find};
use rustix::process::geteuid;
use std::io::IsTerminal as _;
use std::process::{ExitStatus, Stdio};
use tokio::process::Command;

/// Installs tools on this machine.
#[derive(Debug)]
pub struct Installer {
    /// What each command begins with: `sudo`, or nothing for root.
    before: Vec<String>,
}

/// Why tools could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A command could not be started.
    #[error("`{command}` could not be run")]
    NotRun {
        /// As a person would write it.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A command ended with a failure; it has said why.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// As a person would write it.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

impl Installer {
    /// `None` where this machine has another package manager, or nobody may use it.
    pub fn of_this_machine() -> Option<Self> {
        if Family::of_this_machine() != Some(Family::Debian) || find("apt-get").is_none() {
            return None;
        }
        let before = match (geteuid().is_root(), find("sudo")) {
            (true, _) => Vec::new(),
            // Without a terminal nobody can give a password.
            (false, Some(_)) if std::io::stdin().is_terminal() => vec!["sudo".into()],
            (false, Some(_)) => vec!["sudo".into(), "-n".into()],
            (false, None) => return None,
        };
        Some(Self { before })
    }

    /// The command that [`Installer::install`] will run, as far as is known before the package lists are up to date.
    pub fn command(&self, lacks: &[Lack]) -> String {
        self.words(&install(&Family::Debian.packages(lacks))).join(" ")
    }

    /// Installs what is lacking; nothing is removed for it. What the package manager says goes to stderr.
    ///
    /// # Errors
    /// Where the installation fails. Package lists that can't be brought up to date are none: those that there are may
    /// do, and where they don't, that is told.
    pub async fn install(&self, lacks: &[Lack]) -> Result<(), InstallError> {
        // A fresh machine has no lists at all.
        let _ = self.run(&["apt-get".into(), "-q".into(), "update".into()]).await;
        self.run(&install(&Family::Debian.packages(lacks))).await
    }

    fn words(&self, command: &[String]) -> Vec<String> {
        self.before.iter().chain(command).cloned().collect()
    }

    async fn run(&self, command: &[String]) -> Result<(), InstallError> {
        let words = self.words(command);
        let command = words.join(" ");
        let not_run = |source| InstallError::NotRun { command: command.clone(), source };
        // Results are for stdout, and this is none.
        let said = Stdio::from(std::io::stderr());
        let quiet = ["env", "DEBIAN_FRONTEND=noninteractive"].map(str::to_owned);
        let run = [&self.before[..], &quiet, &words[self.before.len()..]].concat();
        // sudo asks on the terminal itself. What octad was given to read is not for packages.
        let status = Command::new(&run[0])
            .args(&run[1..])
            .stdin(Stdio::null())
            .stdout(said)
            .status()
            .await
            .map_err(not_run)?;
        if status.success() { Ok(()) } else { Err(InstallError::Failed { command, status }) }
    }
}

fn install(packages: &[&str]) -> Vec<String> {
    let command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", "--no-remove"];
    command.iter().chain(packages).map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{MAVEN, NFT, Tool};

    #[test]
    fn the_command_is_told_as_it_is_run() {
        let lacks = [NFT, MAVEN].map(|name| Lack::of(Tool::named(name)));
        let command = |before: &[&str]| {
            let before = before.iter().map(|&word| word.to_owned()).collect();
            Installer { before }.command(&lacks)
        };
        let plain = "apt-get -q install -y --no-install-recommends --no-remove maven nftables";
        assert_eq!(command(&[]), plain);
        assert_eq!(command(&["sudo", "-n"]), format!("sudo -n {plain}"));
    }
}
