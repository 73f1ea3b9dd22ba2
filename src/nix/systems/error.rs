//! Why systems could not be built.

use crate::nix::{BuildOptions, LocalError};
use std::io;
use std::path::PathBuf;

/// Why systems could not be built. On hosts nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program of Nix can't be run on this machine.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The flake can't be had, or is none.
    #[error("could not read the flake {flake}:\n{said}")]
    Flake {
        /// As it was named.
        flake: String,
        /// What Nix said.
        said: String,
    },
    /// The flake has no function of the name.
    #[error("the flake {flake} makes no systems of documents by its output `{output}`:\n{said}")]
    NoOutput {
        /// As it was named.
        flake: String,
        /// Which output was looked for.
        output: String,
        /// What Nix said.
        said: String,
    },
    /// The flake has inputs, and its sources no lock of them.
    #[error("the flake {flake} has inputs, and no flake.lock among its files that says which")]
    NotLocked {
        /// As it was named.
        flake: String,
    },
    /// A host's system can't be evaluated.
    #[error("could not evaluate the system of {host}:\n{said}")]
    Evaluate {
        /// Whose.
        host: String,
        /// What Nix said.
        said: String,
    },
    /// Something can't be built.
    #[error("could not build what {} need:\n{said}", hosts.join(", "))]
    Build {
        /// The hosts of which the systems are missing for it.
        hosts: Vec<String>,
        /// What Nix said, with the end of the log of what failed.
        said: String,
    },
    /// What was built isn't there.
    #[error("{path} is built, as Nix says, and isn't there")]
    Gone {
        /// Where it should be.
        path: String,
    },
    /// What was built can't be kept.
    #[error("could not keep what was built at {}", path.display())]
    Keep {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nix told something else than it was asked for.
    #[error("`{program}` told what Octad doesn't know: {what}")]
    Strange {
        /// Which program.
        program: &'static str,
        /// What was wrong with it.
        what: String,
    },
}

impl BuildError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Local(error) => error.hint(),
            Self::Flake { .. } => Some(
                "name another one with `--flake`, or as `flake` under [hosts.options]; `nix flake init -t OCTAD` writes one to begin \
                 with (docs/nix.md); of a flake in git only files that git knows are there"
                    .into(),
            ),
            Self::NoOutput { .. } => {
                let output = BuildOptions::OUTPUT;
                Some(format!(
                    "give it `outputs.{output} = documents: octad.lib.mkHosts {{ root = ./.; inherit documents; }};` \
                     (docs/nix.md), or name another one with `--flake FLAKE#OUTPUT`"
                ))
            }
            Self::Build { .. } => {
                Some("what was built stays in the store: the same command builds the rest".into())
            }
            Self::NotLocked { .. } => Some(
                "have it be one of the flake's files: of a flake in git, `git add` it, and don't ignore it"
                    .into(),
            ),
            Self::Gone { path } => Some(format!(
                "somebody deleted it by hand, and Nix's database still has it: `nix-store --repair-path {path}`, or \
                 `nix-store --delete {path}` and the same command again"
            )),
            Self::Keep { path, .. } => Some(format!(
                "what is in {} may be deleted, or name another directory with `--out`",
                path.parent().unwrap_or(path).display()
            )),
            Self::Evaluate { host, .. } => Some(format!(
                "nothing was changed; correct the flake: `octad build {host}` shows it again. `octad roll NODE` starts and \
                 restarts what runs without it"
            )),
            Self::Strange { .. } => None,
        }
    }
}
