//! Installs packages, where Octad knows how: with apt-get, as root or through sudo. The only part that changes the
//! machine outside of stacks, and only after it was asked to.

use super::{Family, Lack, find};
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::Path;
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
        if Family::of(Path::new("/etc/os-release")) != Some(Family::Debian) || find("apt-get").is_none() {
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

    /// The command that [`Installer::install`] will run, as far as it is known before the package lists are up to date.
    pub fn command(&self, lacks: &[Lack]) -> String {
        self.words(&install(&Family::Debian.packages(lacks))).join(" ")
    }

    /// Installs what is lacking. What the package manager says goes to stderr.
    ///
    /// It isn't cut off by a request to stop: half an installation helps nobody.
    ///
    /// # Errors
    /// Where a command fails. A package that is there already is none.
    pub async fn install(&self, lacks: &[Lack]) -> Result<(), InstallError> {
        // A fresh machine has no lists at all.
        self.run(&["apt-get".into(), "-q".into(), "update".into()]).await?;
        let mut packages = BTreeSet::new();
        for names in lacks.iter().flat_map(|lack| lack.tool.packages(Family::Debian)) {
            packages.insert(first_known(&names).await);
        }
        self.run(&install(&packages.into_iter().collect::<Vec<_>>())).await
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
        let status = Command::new(&words[0])
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(said)
            .status()
            .await
            .map_err(not_run)?;
        if status.success() { Ok(()) } else { Err(InstallError::Failed { command, status }) }
    }
}

fn install(packages: &[&str]) -> Vec<String> {
    let command = ["apt-get", "-q", "install", "-y", "--no-install-recommends"];
    command.iter().chain(packages).map(|&word| word.to_owned()).collect()
}

/// The first of the names that the package lists have; the first at all where they have none.
async fn first_known(names: &[&'static str]) -> &'static str {
    for name in names {
        let show = Command::new("apt-cache").args(["show", "--no-all-versions", name]).output().await;
        if show.is_ok_and(|output| output.status.success() && !output.stdout.is_empty()) {
            return name;
        }
    }
    names[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{JAVA, MAVEN, Tool};

    #[test]
    fn the_command_is_told_as_it_is_run() {
        let lacks = [JAVA, MAVEN].map(|name| Lack::of(Tool::named(name)));
        let command = |before: &[&str]| {
            let before = before.iter().map(|&word| word.to_owned()).collect();
            Installer { before }.command(&lacks)
        };
        let plain = "apt-get -q install -y --no-install-recommends maven openjdk-17-jre-headless";
        assert_eq!(command(&[]), plain);
        assert_eq!(command(&["sudo", "-n"]), format!("sudo -n {plain}"));
    }
}
