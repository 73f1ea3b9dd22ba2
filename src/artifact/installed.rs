//! Programs that the machine has: where they are, and of which version. Runs them once.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::model::{Software, Source};
use crate::tool::{self, Environment, Lack, Tool};

/// A program that tells no version within this is one that takes `--version` for something else; a cold one takes about a
/// second.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program of the machine, of a version that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Where it is; absolute.
    pub path: PathBuf,
    /// Such as `3.11.2`.
    pub version: String,
}

/// Why a program of the machine can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// None of this name.
    #[error("{program} is not on PATH; {wanted} is needed")]
    NotFound {
        /// The program.
        program: String,
        /// What is needed, for people.
        wanted: String,
    },
    /// There is one, of a version that doesn't serve.
    #[error("{} is version {found}; {wanted} is needed", path.display())]
    OtherVersion {
        /// The program's name.
        program: String,
        /// Where it is.
        path: PathBuf,
        /// Its version.
        found: String,
        /// What is needed, for people.
        wanted: String,
    },
    /// It can't be started.
    #[error("{} could not be run", path.display())]
    NotRun {
        /// The program.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It didn't answer.
    #[error("`{} --version` did not end within {} s", path.display(), patience.as_secs())]
    Silent {
        /// The program.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It answered something else than a version.
    #[error("`{} --version` told no version: {output}", path.display())]
    Unrecognised {
        /// The program.
        path: PathBuf,
        /// The first line of its answer.
        output: String,
    },
}

impl InstalledError {
    /// What this machine lacks, where a package that Octad knows could mend that.
    pub fn lack(&self) -> Option<Lack> {
        match self {
            Self::NotFound { program, .. } | Self::OtherVersion { program, .. } => {
                Tool::known(program).map(|tool| Lack { tool, why: self.to_string() })
            }
            Self::NotRun { .. } | Self::Silent { .. } | Self::Unrecognised { .. } => None,
        }
    }

    /// What to do about it: a command or a setting, without a `hint:` before it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { program, wanted } | Self::OtherVersion { program, wanted, .. } => {
                match Tool::known(program) {
                    Some(tool) => {
                        format!("{} gets it where it is new enough", tool::how_to_get(&[Lack::of(tool)]))
                    }
                    None => format!("install {wanted}, or put it first on PATH"),
                }
            }
            Self::NotRun { path, .. } | Self::Silent { path, .. } | Self::Unrecognised { path, .. } => {
                format!("'{}' --version", path.display())
            }
        })
    }
}

impl Installed {
    /// The program of this name on `PATH`, where it is of a version of the software that serves.
    ///
    /// # Errors
    /// Where there is none, or its version isn't known or doesn't serve.
    pub async fn find(
        environment: &Environment,
        program: &str,
        software: &Software,
    ) -> Result<Self, InstalledError> {
        let wanted = || software.wanted();
        let Some(path) = environment.program(program) else {
            return Err(InstalledError::NotFound { program: program.to_owned(), wanted: wanted() });
        };
        let path = std::path::absolute(&path)
            .map_err(|source| InstalledError::NotRun { path: path.clone(), source })?;
        let version = ask(environment, &path).await?;
        if serves(&version, software) {
            return Ok(Self { path, version });
        }
        let (program, found) = (program.to_owned(), version);
        Err(InstalledError::OtherVersion { program, path, found, wanted: wanted() })
    }
}

async fn ask(environment: &Environment, path: &Path) -> Result<String, InstalledError> {
    let mut command = environment.command(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| InstalledError::Silent { path: path.to_owned(), patience: PATIENCE })?
        .map_err(|source| InstalledError::NotRun { path: path.to_owned(), source })?;
    // Some tell it on stderr, and some fail after they have.
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    version_in(&told).map(str::to_owned).ok_or_else(|| InstalledError::Unrecognised {
        path: path.to_owned(),
        output: told.lines().next().unwrap_or_default().to_owned(),
    })
}

/// The first numbers with dots between them that begin a word: `3.11.2` of `Python 3.11.2`.
fn version_in(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| {
        let word = word.trim_start_matches(['v', '(', '"']);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let version = word[..end].trim_end_matches('.');
        (version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.')).then_some(version)
    })
}

fn serves(version: &str, software: &Software) -> bool {
    let below = match &software.source {
        Source::Installed { below } => below.as_deref(),
        Source::Jars { .. } | Source::Archive { .. } => None,
    };
    by_numbers(version, &software.version) != Ordering::Less
        && below.is_none_or(|below| by_numbers(version, below) == Ordering::Less)
}

/// How two versions compare by their numbers; what one lacks is 0.
fn by_numbers(one: &str, other: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        let mut numbers: Vec<u64> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        numbers.truncate(numbers.iter().rposition(|number| *number != 0).map_or(0, |last| last + 1));
        numbers
    };
    numbers(one).cmp(&numbers(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn software(version: &str, below: Option<&str>) -> Software {
        let source = Source::Installed { below: below.map(str::to_owned) };
        Software { name: "teller".into(), version: version.into(), source }
    }

    #[test]
    fn a_version_is_found_in_what_programs_tell() {
        for (text, version) in [
            ("Python 3.11.2\n", Some("3.11.2")),
            ("HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/\n", Some("2.6.12")),
            ("prometheus, version 2.42.0 (branch: HEAD)\n", Some("2.42.0")),
            ("node v20.1\n", Some("20.1")),
            ("openjdk version \"17.0.15\"\n", Some("17.0.15")),
            ("unknown option 7\n", None),
            ("", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, serves_from_3_9, serves_below_3_12) in [
            ("3.8.20", false, true),
            ("3.9", true, true),
            ("3.9.0", true, true),
            ("3.11.2", true, true),
            ("3.12", true, false),
            ("4.0", true, false),
        ] {
            assert_eq!(serves(version, &software("3.9", None)), serves_from_3_9, "{version}");
            let both = serves(version, &software("0", Some("3.12.0")));
            assert_eq!(both, serves_below_3_12, "{version}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_missing_too_old_or_silent_of_its_version_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::default().with("PATH", folder.path());
        let find = async || Installed::find(&environment, "teller", &software("2.1", None)).await;
        let missing = find().await.unwrap_err();
        assert_eq!(missing.to_string(), "teller is not on PATH; teller 2.1 or newer is needed");
        assert_eq!(missing.lack(), None, "nobody knows its package");
        assert_eq!(missing.hint().unwrap(), "install teller 2.1 or newer, or put it first on PATH");

        let path = folder.path().join("teller");
        let tells = |text: &str| {
            fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = --version ] && echo '{text}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        tells("teller 2.0.9");
        let old = find().await.unwrap_err().to_string();
        assert_eq!(old, format!("{} is version 2.0.9; teller 2.1 or newer is needed", path.display()));
        tells("hello");
        assert!(
            matches!(find().await, Err(InstalledError::Unrecognised { output, .. }) if output == "hello")
        );
        tells("teller 2.10");
        assert_eq!(find().await.unwrap(), Installed { path: path.clone(), version: "2.10".into() });
    }

    #[test]
    fn what_octad_knows_the_package_of_can_be_installed() {
        let wanted = "python3 3.9 or newer".to_owned();
        let missing = InstalledError::NotFound { program: "python3".into(), wanted };
        let lack = missing.lack().unwrap();
        assert_eq!((lack.tool.name, lack.why), ("python3", missing.to_string()));
    }
}
