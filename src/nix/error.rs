//! Why a closure did not arrive, each with what helps.

use crate::ssh::{SshError, told};
use std::io;
use std::path::PathBuf;

/// Why this machine has nothing to push.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file is not in the store.
    #[error("{} is not in {}", path.display(), super::STORE)]
    NotInStore {
        /// The file.
        path: PathBuf,
    },
    /// The store has the path no more, or never had it.
    #[error("the store of this machine has no valid {path}")]
    NotValid {
        /// The path.
        path: String,
    },
    /// Something can't be read.
    #[error("could not read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of Nix can't be run on this machine.
    #[error("could not run `{program}` on this machine")]
    NoNix {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Nix did not sign.
    #[error("could not sign what is to be pushed: {said}")]
    NotSigned {
        /// What it said.
        said: String,
    },
    /// The daemon of this machine did not do as asked.
    #[error("this machine's nix-daemon did not tell what is in its store")]
    Daemon(#[from] DaemonError),
}

impl LocalError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotInStore { .. } => {
                Some("name what was built, such as ./result or a path of /nix/store".into())
            }
            Self::NotValid { path } => {
                Some(format!("build it again, or see what `nix-store --verify-path {path}` says"))
            }
            Self::NoNix { .. } => Some("install Nix (https://nixos.org/download), or add it to PATH".into()),
            Self::Daemon(DaemonError::Ended { .. }) => {
                Some("`nix store info` tells whether the daemon of this machine answers".into())
            }
            Self::Read { .. } | Self::NotSigned { .. } | Self::Daemon(_) => None,
        }
    }
}

/// Why a daemon did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It said why.
    #[error("the Nix daemon refused: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// It speaks an older protocol than Octad.
    #[error("its Nix speaks the daemon protocol {major}.{minor}, and 1.35 is needed")]
    TooOld {
        /// The protocol's major version.
        major: u64,
        /// The protocol's minor version.
        minor: u64,
    },
    /// What it said is not of the protocol.
    #[error("the Nix daemon said what is not of its protocol: {what}")]
    Protocol {
        /// What was found.
        what: String,
    },
    /// It said nothing more.
    #[error("the Nix daemon ended before it answered")]
    Ended {
        /// What the system said.
        #[from]
        source: io::Error,
    },
}

/// Why a host did not get a closure.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// No script answers there.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The connection broke.
    #[error("the connection broke: {said}")]
    Cut {
        /// What ssh said.
        said: String,
    },
    /// There is no nix-daemon.
    #[error("there is no nix-daemon")]
    NoNix,
    /// What is pushed is a NixOS system, and this is none.
    #[error("what is pushed is a NixOS system, and it does not run NixOS")]
    NotNixos,
    /// What is pushed is a system of another architecture.
    #[error("it is {machine}, and what is pushed is for {system}")]
    WrongSystem {
        /// The architecture of the host, as `uname -m` says it.
        machine: String,
        /// What the system was built for.
        system: String,
    },
    /// Its daemon takes no unsigned paths from this user.
    #[error(
        "its nix-daemon does not trust the user who logs in, who may not `sudo` without a password either, and {unsigned} \
         of the missing paths have no signature, {example} for one"
    )]
    Untrusted {
        /// How many.
        unsigned: usize,
        /// One of them.
        example: String,
    },
    /// Its disk is full.
    #[error("its disk is full{}: {said}", if said.contains("I/O error") { ", or broken" } else { "" })]
    DiskFull {
        /// What its daemon said.
        said: String,
    },
    /// What ran there ended without a word to us.
    #[error("{source}{}", told(said))]
    Ended {
        /// What was noticed.
        source: DaemonError,
        /// What was said on stderr.
        said: String,
    },
    /// Its daemon did not do as asked.
    #[error(transparent)]
    Daemon(DaemonError),
    /// What was to be pushed can't be read here.
    #[error("this machine's store can't be read")]
    Local(#[from] std::sync::Arc<LocalError>),
}

impl PushError {
    /// Whether the same may go well a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Cut { .. } => true,
            Self::Ssh(error) => error.may_pass(),
            _ => false,
        }
    }

    /// What to do next.
    pub fn hint(&self, host: &str) -> String {
        match self {
            Self::Ssh(error) => error.hint(host),
            Self::Cut { .. } => "the same command sends only what is missing".into(),
            Self::NoNix => {
                format!("install Nix on {host}, or NixOS, such as by nixos-anywhere")
            }
            Self::NotNixos => {
                format!("install NixOS on {host}, such as by nixos-anywhere, or correct the name")
            }
            Self::WrongSystem { .. } => format!("build the system of {host} for its architecture"),
            Self::Untrusted { .. } => format!(
                "push as root (--user root), allow the user to run `sudo -n nix-daemon`, name them in trusted-users on \
                 {host}, or sign with a key that it trusts: --sign-key FILE"
            ),
            Self::DiskFull { .. } => {
                format!(
                    "make room: `ssh {host} nix-collect-garbage -d`; the same command sends only what is missing"
                )
            }
            Self::Daemon(DaemonError::TooOld { .. }) => format!("{host} needs Nix 2.18 or newer, or Lix"),
            Self::Daemon(DaemonError::Refused { message }) if message.contains("signature") => format!(
                "sign with a key that {host} trusts (--sign-key FILE), or push as a user whom its daemon trusts"
            ),
            Self::Daemon(_) | Self::Ended { .. } => {
                format!(
                    "`ssh {host} journalctl -u nix-daemon` may tell more; the same command sends only what is missing"
                )
            }
            Self::Local(error) => {
                error.hint().unwrap_or_else(|| "the same command sends only what is missing".into())
            }
        }
    }
}
