//! Everything that can go wrong between an artifact set and its class path.

use std::io;
use std::path::PathBuf;

use super::digest::{Digest, NotADigest};
use super::maven::MavenOutput;
use super::survey::JarFault;
use crate::http::FetchError;
use crate::tool::{self, Lack, Tool};

/// Why an artifact set has no class path. `set` fields read `name version`.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// No set of this name.
    #[error("octad carries no artifact set called {set}")]
    UnknownSet {
        /// The name asked for.
        set: String,
        /// Names of the sets there are.
        known: Vec<&'static str>,
    },
    /// The set exists, in other versions.
    #[error("octad carries no {set} {version}")]
    UnknownVersion {
        /// The set's name.
        set: String,
        /// The version asked for.
        version: String,
        /// The versions there are.
        known: Vec<&'static str>,
    },
    /// None of the variables that place the store is set.
    #[error("no place for the artifact store: OCTAD_STORE, XDG_CACHE_HOME and HOME are unset")]
    NoStoreLocation,
    /// A class path can't carry the directory.
    #[error("{} can't hold jars: a colon in its path would split the class path", path.display())]
    ColonInPath {
        /// The store's root or the supplied directory.
        path: PathBuf,
    },
    /// A directory or file of the store can't be made.
    #[error("the artifact store can't be written at {}", path.display())]
    StoreNotWritable {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A jar is there and can't be read.
    #[error("{} can't be read", path.display())]
    JarUnreadable {
        /// The jar.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The directory that `OCTAD_ARTIFACTS` names lacks a jar or holds a wrong one.
    #[error("OCTAD_ARTIFACTS does not supply {coordinates} for {set} at {}", path.display())]
    Supplied {
        /// The set.
        set: String,
        /// The jar's Maven coordinates.
        coordinates: String,
        /// Where the jar was looked for.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: Box<JarFault>,
    },
    /// Jars are missing and there is no `mvn` on `PATH` to fetch them.
    #[error("{missing} jars of {set} are missing from {} and Maven, which fetches them, is not on PATH", store.display())]
    MavenNotFound {
        /// The set.
        set: String,
        /// How many of its jars are missing.
        missing: usize,
        /// The store's root.
        store: PathBuf,
    },
    /// Maven is there and could not be run.
    #[error("{} could not be run", path.display())]
    MavenNotRun {
        /// The Maven found.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Maven is offline or its repositories are out of reach.
    #[error("{missing} jars of {set} are missing and Maven could not reach a repository that has them")]
    Unreachable {
        /// The set.
        set: String,
        /// How many of its jars are missing.
        missing: usize,
        /// What Maven said.
        #[source]
        output: MavenOutput,
    },
    /// Maven failed for another reason.
    #[error("Maven failed to fetch {set} ({status})")]
    MavenFailed {
        /// The set.
        set: String,
        /// How Maven ended: `exit status: 1`.
        status: String,
        /// What Maven said.
        #[source]
        output: MavenOutput,
    },
    /// Maven succeeded and brought no such jar: the embedded pom and lock disagree.
    #[error("Maven succeeded and did not bring {coordinates} of {set}")]
    NotBrought {
        /// The set.
        set: String,
        /// The jar's Maven coordinates.
        coordinates: String,
    },
    /// The repositories themselves serve a jar that isn't the locked one.
    #[error(
        "{coordinates} of {set} is not the jar that was locked: its SHA-256 is {found}, expected {expected}"
    )]
    DigestMismatch {
        /// The set.
        set: String,
        /// The jar's Maven coordinates.
        coordinates: String,
        /// The lock's digest.
        expected: Digest,
        /// Digest of the jar that was fetched, past Maven's local repository.
        found: Digest,
    },
    /// What an archive is pinned by isn't a digest.
    #[error("the archive {url} is pinned by no SHA-256")]
    NotPinned {
        /// Where it is fetched from.
        url: String,
        /// What is wrong.
        #[source]
        source: NotADigest,
    },
    /// An archive can't be fetched.
    #[error("{url} could not be fetched")]
    NotFetched {
        /// The archive.
        url: String,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// What is fetched isn't the archive that was meant.
    #[error("{url} is not the archive that was meant: its SHA-256 is {found}, expected {expected}")]
    OtherArchive {
        /// The archive.
        url: String,
        /// The digest that it is pinned by.
        expected: Digest,
        /// Digest of what came.
        found: Digest,
    },
    /// An archive can't be unpacked.
    #[error("{url} could not be unpacked")]
    NotUnpacked {
        /// The archive.
        url: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is to be run isn't in the archive, or isn't a program.
    #[error("{url} has no program {executable}")]
    NotWithin {
        /// The archive.
        url: String,
        /// The program's path within it.
        executable: String,
    },
    /// Maven's local repository holds a wrong jar, and fetching it anew failed.
    #[error("Maven's local repository holds a wrong {coordinates} and it could not be fetched anew")]
    LocalRepositorySpoiled {
        /// The jar's Maven coordinates.
        coordinates: String,
        /// Why the second call of Maven failed.
        #[source]
        anew: Box<ArtifactError>,
    },
}

impl ArtifactError {
    /// What to do about it: a command or a setting, without a `hint:` before it.
    pub fn hint(&self) -> Option<String> {
        const CONNECT: &str = "connect to the network once (mirror and proxy come from Maven's settings.xml), \
                               or set OCTAD_ARTIFACTS to a directory with the jars";
        match self {
            Self::UnknownSet { known, .. } => Some(format!("known artifact sets: {}", known.join(", "))),
            Self::UnknownVersion { set, known, .. } => {
                Some(format!("known versions of {set}: {}", known.join(", ")))
            }
            Self::NoStoreLocation => Some("set OCTAD_STORE to a directory to keep jars in".into()),
            Self::ColonInPath { .. } | Self::StoreNotWritable { .. } => {
                Some("set OCTAD_STORE to a directory that you may write, without a colon in its path".into())
            }
            Self::JarUnreadable { path, .. } => Some(format!("ls -l '{}'", path.display())),
            Self::Supplied { .. } => {
                Some("supply the jar, or unset OCTAD_ARTIFACTS to have Maven fetch it".into())
            }
            Self::MavenNotFound { .. } => {
                let install = tool::how_to_get(&[Lack::of(Tool::named(tool::MAVEN))]);
                Some(format!("{install}, or set OCTAD_ARTIFACTS to a directory with the jars"))
            }
            Self::MavenNotRun { path, .. } => Some(format!("'{}' --version", path.display())),
            Self::Unreachable { .. } => Some(CONNECT.into()),
            Self::MavenFailed { .. } => Some(
                "mvn --version (the repositories in Maven's settings.xml must carry Maven Central's jars)"
                    .into(),
            ),
            Self::NotBrought { set, .. } => {
                Some(format!("scripts/lock-artifacts.sh {} in octad's source", set.replace(' ', "-")))
            }
            Self::DigestMismatch { .. } => Some(
                "do not use this jar; find out which repository or mirror in Maven's settings.xml serves it"
                    .into(),
            ),
            Self::NotPinned { .. } => Some("`sha256sum` of the archive gives it".into()),
            Self::NotFetched { url, .. } => Some(format!(
                "`curl -fLO {url}` tells whether this machine gets it; HTTPS_PROXY names a proxy"
            )),
            Self::OtherArchive { .. } => Some(
                "do not use it; find out who serves it, or, where it was changed for good, pin what it is now".into(),
            ),
            Self::NotUnpacked { .. } => Some("it must be a tar, tar.gz or zip".into()),
            Self::NotWithin { .. } => {
                Some("correct the program's path, or how many directories are stripped".into())
            }
            Self::LocalRepositorySpoiled { anew, .. } => anew.hint(),
        }
    }
}
