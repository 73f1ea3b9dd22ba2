//! The machine's Java. Reads a file beside it or runs it once.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::digest::Digest;
use crate::tool::{self, Environment, Lack, Tool, is_executable};

/// The oldest Java that serves: the newest of Debian 12, and what Kafka 4 asks of brokers.
const NEEDED: u32 = 17;

/// A Java that answers neither way within this is a script that hangs; a cold one takes about a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Java that is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Java {
    /// The program; absolute. The JVM's own where it is known, past links and wrappers.
    pub path: PathBuf,
    /// Such as `17.0.15`.
    pub version: String,
    /// Such as 17.
    pub major: u32,
    /// Differs whenever the JVM binary does: part of the key of class-data archives.
    pub fingerprint: String,
}

/// Why there is no Java to use.
#[derive(Debug, thiserror::Error)]
pub enum JavaError {
    /// None where one may be.
    #[error("no Java was found; looked for {}", tried.join(", then "))]
    NotFound {
        /// The places, such as `$JAVA_HOME/bin/java (/opt/x/bin/java)`.
        tried: Vec<String>,
    },
    /// There is one, of an earlier version.
    #[error("{} is Java {found}; Java {needed} or newer is needed", path.display())]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest major version that serves.
        needed: u32,
    },
    /// It can't be started or read.
    #[error("{} could not be run", path.display())]
    NotRun {
        /// The program.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It didn't answer.
    #[error("{} did not tell its version within {} s", path.display(), patience.as_secs())]
    Silent {
        /// The program.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It answered something else than a version.
    #[error("{} told no version of Java ({status}): {output}", path.display())]
    Unrecognised {
        /// The program.
        path: PathBuf,
        /// How it ended.
        status: String,
        /// The first lines of its answer.
        output: String,
    },
}

impl JavaError {
    /// What this machine lacks, where a package could mend that: not for a Java that the user named, which is never
    /// replaced by another, and not for one that is there and doesn't answer.
    pub fn lack(&self, environment: &Environment) -> Option<Lack> {
        let named = environment.get("OCTAD_JAVA").is_some();
        let at_home = environment.path("JAVA_HOME").is_some_and(|home| is_executable(&home.join("bin/java")));
        let mends = match self {
            Self::NotFound { .. } => !named,
            Self::TooOld { .. } => !named && !at_home,
            Self::NotRun { .. } | Self::Silent { .. } | Self::Unrecognised { .. } => false,
        };
        mends.then(|| Lack { tool: Tool::named(tool::JAVA), why: self.to_string() })
    }

    /// What to do about it: a command or a setting, without a `hint:` before it.
    pub fn hint(&self) -> Option<String> {
        let install = || tool::how_to_get(&[Lack::of(Tool::named(tool::JAVA))]);
        Some(match self {
            Self::NotFound { .. } => format!("{}, or set OCTAD_JAVA to a java program", install()),
            Self::TooOld { needed, .. } => {
                format!("{}, or set OCTAD_JAVA to a java program of version {needed} or newer", install())
            }
            Self::NotRun { path, .. } | Self::Silent { path, .. } | Self::Unrecognised { path, .. } => {
                format!("'{}' -version, or set OCTAD_JAVA to another java program", path.display())
            }
        })
    }
}

impl Java {
    /// `$OCTAD_JAVA`, else `$JAVA_HOME/bin/java`, else `java` on `PATH`.
    ///
    /// A program that `OCTAD_JAVA` names is never replaced by another; a `JAVA_HOME` without a program is passed
    /// over. Reads the `release` file of the Java installation; runs the program only where there is none.
    pub async fn find(environment: &Environment) -> Result<Self, JavaError> {
        let named = candidate(environment)?;
        let path = std::path::absolute(&named).map_err(|source| JavaError::NotRun { path: named, source })?;
        let told = match installed(&path) {
            Some(told) => told,
            None => ask(environment, &path).await?,
        };
        let Some(major) = major(&told.version) else {
            return Err(JavaError::Unrecognised {
                path,
                status: "unknown scheme".into(),
                output: told.version,
            });
        };
        if major < NEEDED {
            return Err(JavaError::TooOld { path, found: told.version, needed: NEEDED });
        }
        let own = told.home.as_ref().map(|home| home.join("bin/java")).filter(|own| is_executable(own));
        let path = own.unwrap_or(path);
        let fingerprint = fingerprint(&path, &told);
        Ok(Self { path, version: told.version, major, fingerprint })
    }
}

fn candidate(environment: &Environment) -> Result<PathBuf, JavaError> {
    let mut tried = Vec::new();
    if let Some(path) = environment.path("OCTAD_JAVA") {
        if is_executable(&path) {
            return Ok(path);
        }
        return Err(JavaError::NotFound { tried: vec![format!("$OCTAD_JAVA ({})", path.display())] });
    }
    if let Some(home) = environment.path("JAVA_HOME") {
        let path = home.join("bin/java");
        if is_executable(&path) {
            return Ok(path);
        }
        tried.push(format!("$JAVA_HOME/bin/java ({})", path.display()));
    }
    tried.push("java on PATH".into());
    environment.program("java").ok_or(JavaError::NotFound { tried })
}

/// What is known of a Java.
struct Told {
    version: String,
    /// The full version, which differs between builds of one version.
    build: String,
    home: Option<PathBuf>,
}

/// Reads `release` at the root of the installation that the program really lies in.
fn installed(path: &Path) -> Option<Told> {
    let real = path.canonicalize().ok()?;
    let home = real.parent()?.parent()?;
    if !home.join("lib/modules").is_file() {
        return None;
    }
    let release = std::fs::read_to_string(home.join("release")).ok()?;
    let value = |key: &str| {
        let quoted = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(quoted.trim().trim_matches('"').to_owned())
    };
    let version = value("JAVA_VERSION")?;
    let build = value("JAVA_RUNTIME_VERSION").unwrap_or_else(|| version.clone());
    Some(Told { version, build, home: Some(home.to_owned()) })
}

async fn ask(environment: &Environment, path: &Path) -> Result<Told, JavaError> {
    let mut command = environment.command(path);
    command.args(["-XshowSettings:properties", "-version"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| JavaError::Silent { path: path.to_owned(), patience: PATIENCE })?
        .map_err(|source| JavaError::NotRun { path: path.to_owned(), source })?;
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    told(&text).ok_or_else(|| JavaError::Unrecognised {
        path: path.to_owned(),
        status: output.status.to_string(),
        output: text.lines().take(5).collect::<Vec<_>>().join("; "),
    })
}

/// Understands the properties and, of a Java that doesn't show them, `openjdk version "11.0.2" 2019-01-15`.
fn told(text: &str) -> Option<Told> {
    let property = |key: &str| {
        text.lines()
            .find_map(|line| Some(line.trim().strip_prefix(key)?.strip_prefix(" = ")?.trim().to_owned()))
    };
    let quoted = || {
        text.lines().find_map(|line| Some(line.split_once(" version \"")?.1.split_once('"')?.0.to_owned()))
    };
    let version = property("java.version").or_else(quoted)?;
    let build = property("java.runtime.version").unwrap_or_else(|| version.clone());
    Some(Told { version, build, home: property("java.home").map(PathBuf::from) })
}

/// 8 of `1.8.0_392`, 17 of `17.0.15`, 25 of `25-ea`.
fn major(version: &str) -> Option<u32> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

fn fingerprint(path: &Path, told: &Told) -> String {
    let mut parts = vec![path.as_os_str().as_bytes().to_vec(), told.build.as_bytes().to_vec()];
    let in_home = ["lib/modules", "lib/server/libjvm.so"]
        .into_iter()
        .filter_map(|file| Some(told.home.as_ref()?.join(file)));
    for file in in_home.chain([path.to_owned()]) {
        let state = file.metadata().map_or_else(
            |_| "none".to_owned(),
            |meta| format!("{} {}.{:09}", meta.size(), meta.mtime(), meta.mtime_nsec()),
        );
        parts.push(state.into_bytes());
    }
    Digest::of_parts(parts.iter().map(Vec::as_slice)).short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_of_every_scheme() {
        for (version, expected) in
            [("1.8.0_392", 8), ("11.0.2", 11), ("17", 17), ("25-ea", 25), ("25.0.3+9", 25)]
        {
            assert_eq!(major(version), Some(expected), "{version}");
        }
        for nonsense in ["", "graal", "1", "-3"] {
            assert_eq!(major(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn properties_and_plain_answers_are_understood() {
        let full = told(
            "Property settings:\n    java.home = /j\n    java.runtime.version = 17.0.15+6\n    java.version = 17.0.15\n    \
             java.version.date = 2025-04-15\n",
        )
        .unwrap();
        assert_eq!((full.version.as_str(), full.build.as_str()), ("17.0.15", "17.0.15+6"));
        assert_eq!(full.home, Some("/j".into()));
        assert_eq!(told("openjdk version \"11.0.2\" 2019-01-15\n").unwrap().version, "11.0.2");
        assert!(told("command not found").is_none());
    }
}
