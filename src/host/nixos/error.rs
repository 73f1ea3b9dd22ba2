//! What can go wrong on machines that NixOS runs, and what helps.

use super::lease;
use crate::host::{Hinted, lock_out_hint};
use crate::nix::{BuildError, LocalError, PushError};
use crate::ssh::{Answer, ShellError};

/// Why a machine did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum NixosError {
    /// It can't be told anything.
    #[error("{host} could not be {asked}")]
    Unreached {
        /// The host.
        host: String,
        /// What was wanted of it: "asked how it is", for instance.
        asked: &'static str,
        /// Why.
        source: ShellError,
    },
    /// It runs another operating system.
    #[error("{host} does not run NixOS")]
    NotNixos {
        /// The host.
        host: String,
    },
    /// Another machine answers.
    #[error("what answers as {host} is another machine: {how}")]
    Another {
        /// The host.
        host: String,
        /// How that shows.
        how: String,
    },
    /// What it says can't be read.
    #[error("what {host} says of itself can't be read: {said}")]
    Strange {
        /// The host.
        host: String,
        /// The end of what it said.
        said: String,
    },
    /// A script failed there.
    #[error("could not {tried} on {host}: {said}")]
    Failed {
        /// The host.
        host: String,
        /// What was tried.
        tried: String,
        /// What it said.
        said: String,
    },
    /// The data disk isn't there.
    #[error("{host} has no data disk {device}{}", named_too(.others))]
    NoDisk {
        /// The host.
        host: String,
        /// The disk, as the facts name it.
        device: String,
        /// The node that is to be on it.
        node: String,
        /// Other hosts without theirs, or with a blank one.
        others: Vec<String>,
    },
    /// The data disk has no file system.
    #[error("the data disk {device} of {host} is blank{}, and nothing formats a disk by itself", also(.others))]
    Blank {
        /// The host.
        host: String,
        /// The disk.
        device: String,
        /// The node that is to be on it.
        node: String,
        /// Other hosts with such a disk, or none.
        others: Vec<String>,
    },
    /// It may be lost by what it is to run.
    #[error("{host} could be lost by that: {}", risks.join("; "))]
    LockOut {
        /// The host.
        host: String,
        /// By what.
        risks: Vec<String>,
    },
    /// A change was not begun.
    #[error("{host} was not changed: {said}")]
    Refused {
        /// The host.
        host: String,
        /// Why, as it says.
        said: String,
    },
    /// Another change is under way.
    #[error("{host} is at what it was asked for before")]
    Busy {
        /// The host.
        host: String,
    },
    /// This process has no lease on it, by which it could change it.
    #[error("{host} was not changed: this octad has no lease on the stack's hosts any more")]
    NoLease {
        /// The host.
        host: String,
    },
    /// Another Octad has come after this one.
    #[error("{host} was not changed: it has come to be held by {by}")]
    Taken {
        /// The host.
        host: String,
        /// Who, as it says.
        by: String,
    },
    /// Systems can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// This machine has nothing to push.
    #[error("could not push")]
    Local(#[from] LocalError),
    /// A host did not get its system.
    #[error("{host} did not get its system{}", named(.others))]
    NotPushed {
        /// The host.
        host: String,
        /// The others that did not.
        others: Vec<String>,
        /// Why the first did not.
        source: PushError,
    },
    /// Nobody knows where to keep what is built.
    #[error("could not tell where to keep what is built: {said}")]
    NoPlace {
        /// Why.
        said: String,
    },
}

fn also(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(", or not there, as of {}", others.join(", ")) }
}

fn named_too(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(", nor a formatted one {}", others.join(", ")) }
}

fn named(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!(", nor did {}", others.join(", ")),
    }
}

/// Who has a lease, as a host has it on record.
fn told(holder: &str) -> String {
    let holder: serde_json::Value = serde_json::from_str(holder).unwrap_or_default();
    match (holder["verb"].as_str(), holder["user"].as_str(), holder["host"].as_str()) {
        (Some(verb), Some(user), Some(host)) => format!("`octad {verb}` of {user}@{host}"),
        _ => "another octad".into(),
    }
}

impl NixosError {
    /// Why something that was to change a host was not begun, where that is so.
    pub(super) fn of_deed(host: &str, answer: &Answer) -> Option<Self> {
        let host = host.to_owned();
        match (answer.code, answer.said.as_str()) {
            (lease::AT_WORK, _) => Some(Self::Busy { host }),
            (lease::NO_LEASE, lease::PASSED) => Some(Self::NoLease { host }),
            (lease::NO_LEASE, lease::BOOTED) => {
                let (tried, said) = ("do what it was told to".into(), "it booted meanwhile".into());
                Some(Self::Failed { host, tried, said })
            }
            (lease::NO_LEASE, by) => Some(Self::Taken { host, by: told(by) }),
            _ => None,
        }
    }
}

impl Hinted for NixosError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreached { host, source, .. } => source.hint(host),
            Self::NotNixos { host } => {
                format!("install NixOS on {host}, such as by nixos-anywhere, or correct its name")
            }
            Self::Another { host, .. } => {
                format!(
                    "correct {host} in your ssh configuration, or its address in the stack file; a machine is of one stack, which \
                 `octad destroy` has let it go"
                )
            }
            Self::Strange { host, .. } => format!("see what `ssh {host} systemctl --failed` says"),
            Self::Failed { host, .. } => format!(
                "see what `ssh {host} journalctl -b -n 50` says; the same command goes on with what it finds"
            ),
            Self::NoDisk { device, node, .. } if device.starts_with("/dev/disk/by-label/") => format!(
                "a disk has that label once it is formatted there by `octad-format-data-disk /dev/DISK {node}`, which docs/nix.md \
                 tells of; or name it under [hosts.machine] as `data-disk`"
            ),
            Self::NoDisk { .. } => "attach it, or correct `data-disk` under [hosts.machine]".into(),
            Self::Blank { host, others, .. } => {
                let all: String = others.iter().chain([host]).map(|host| format!(" --format {host}")).collect();
                format!("`octad up{all}` formats what is blank, and leaves alone what holds anything")
            }
            Self::LockOut { host, .. } => lock_out_hint(host),
            Self::Refused { .. } => "where it runs another configuration than Octad knows of, have the stack file say what it runs, \
                                     `octad up`, and change it then"
                .into(),
            Self::Busy { host } => format!("wait for its end; `ssh {host} systemctl status octad-switch` tells of a change"),
            Self::NoLease { .. } => "it was away from most hosts, or at rest, for too long; run it again, which goes on with what it finds".into(),
            Self::Taken { .. } => "see that one to its end; then run it again, which goes on with what it finds".into(),
            Self::Build(error) => return error.hint(),
            Self::Local(error) => return error.hint(),
            Self::NotPushed { host, source, .. } => source.hint(host),
            Self::NoPlace { .. } => {
                "name a directory for what Octad fetches and builds in OCTAD_STORE".into()
            }
        })
    }
}
