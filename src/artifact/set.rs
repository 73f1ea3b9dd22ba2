//! The artifact sets that this binary carries. Pure.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::digest::Digest;
use super::error::ArtifactError;
use super::lockfile::{self, Jar, LockError};

/// A program as a set of published jars: what to ask Maven for, and what must come of it.
#[derive(Clone, Debug)]
pub struct ArtifactSet {
    name: &'static str,
    version: &'static str,
    pom: &'static str,
    classes: &'static str,
    settings: &'static str,
    jars: Arc<[Jar]>,
    digest: Digest,
}

macro_rules! file {
    ($name:literal, $version:literal, $file:literal) => {
        include_str!(concat!("../../artifacts/", $name, "-", $version, "/", $file))
    };
}

/// A set of programs that run for a moment.
macro_rules! tools {
    ($name:literal, $version:literal) => {
        ArtifactSet::parse(
            $name,
            $version,
            file!($name, $version, "pom.xml"),
            file!($name, $version, "jars.lock"),
        )
    };
}

/// A set of servers, with the classes that they load and the settings that they know.
macro_rules! servers {
    ($name:literal, $version:literal) => {
        tools!($name, $version).map(|set| ArtifactSet {
            classes: file!($name, $version, "classes.txt"),
            settings: file!($name, $version, "settings.txt"),
            ..set
        })
    };
}

static EMBEDDED: LazyLock<Vec<ArtifactSet>> = LazyLock::new(|| {
    [servers!("kafka", "3.9.2"), tools!("kafka-tools", "3.9.2"), servers!("zookeeper", "3.9.5")]
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("embedded locks are well formed, which a test pins")
});

impl ArtifactSet {
    /// The embedded set of this name and version.
    pub fn find(name: &str, version: &str) -> Result<&'static Self, ArtifactError> {
        let named = || Self::embedded().iter().filter(|set| set.name == name);
        if let Some(set) = named().find(|set| set.version == version) {
            return Ok(set);
        }
        let known: Vec<_> = named().map(|set| set.version).collect();
        if known.is_empty() {
            let known = Self::embedded().iter().map(|set| set.name).collect();
            return Err(ArtifactError::UnknownSet { set: name.to_owned(), known });
        }
        Err(ArtifactError::UnknownVersion { set: name.to_owned(), version: version.to_owned(), known })
    }

    /// All embedded sets.
    pub fn embedded() -> &'static [Self] {
        &EMBEDDED
    }

    /// A set of a pom and a lock of the caller's own.
    pub fn parse(
        name: &'static str,
        version: &'static str,
        pom: &'static str,
        lock: &str,
    ) -> Result<Self, LockError> {
        let jars = lockfile::parse(&format!("{name} {version}"), lock)?;
        let digest = lockfile::digest(&jars);
        Ok(Self { name, version, pom, classes: "", settings: "", digest, jars: jars.into() })
    }

    /// What it is: `kafka`, `kafka-tools`, `zookeeper`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Version of the program.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The Maven project whose runtime dependencies are the jars.
    pub fn pom(&self) -> &'static str {
        self.pom
    }

    /// What a class-data archive for its servers holds: a class list of Java 17, of which other versions take what
    /// they have. Empty where it has no servers.
    pub fn classes(&self) -> &'static str {
        self.classes
    }

    /// The settings of `what` (`broker`, `topic`, `server`) that its servers know, by name, with their types and what these may
    /// be, where that is known; a name that ends with a dot stands for all that begin so. None where it has no servers.
    pub fn settings(&self, what: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = self.settings.lines().filter_map(move |line| line.strip_prefix(what)?.strip_prefix(' '));
        all.map(|setting| setting.split_once(' ').unwrap_or((setting, "")))
    }

    /// The locked jars, by coordinates.
    pub fn jars(&self) -> &[Jar] {
        &self.jars
    }

    pub(super) fn shared_jars(&self) -> Arc<[Jar]> {
        Arc::clone(&self.jars)
    }

    /// SHA-256 over the lock's entries. Part of node facts: a node changes when it does.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// `name version`, as messages have it.
impl fmt::Display for ArtifactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_set_is_found_and_holds_its_program() {
        let server = "org/apache/zookeeper/server/quorum/QuorumPeerMain";
        for (name, version, program, main) in [
            ("kafka", "3.9.2", "org.apache.kafka:kafka_2.13:3.9.2", Some("kafka/Kafka")),
            ("kafka-tools", "3.9.2", "org.apache.kafka:kafka-tools:3.9.2", None),
            ("zookeeper", "3.9.5", "org.apache.zookeeper:zookeeper:3.9.5", Some(server)),
        ] {
            let set = ArtifactSet::find(name, version).unwrap();
            assert!(set.jars().iter().any(|jar| jar.coordinates == program), "{set}");
            assert_eq!(set.classes().lines().find(|class| Some(*class) == main), main, "{set}");
            assert_eq!(set.classes().is_empty(), main.is_none(), "{set}");
        }
        assert_eq!(ArtifactSet::embedded().len(), 3);
    }

    #[test]
    fn unknown_version_lists_the_known() {
        let error = ArtifactSet::find("kafka", "4.0.0").unwrap_err();
        assert!(matches!(&error, ArtifactError::UnknownVersion { known, .. } if known == &["3.9.2"]));
        assert_eq!(error.to_string(), "octad carries no kafka 4.0.0");
        assert_eq!(error.hint().unwrap(), "known versions of kafka: 3.9.2");
        assert!(matches!(ArtifactSet::find("pulsar", "1"), Err(ArtifactError::UnknownSet { .. })));
    }

    #[test]
    fn digests_of_the_sets_differ() {
        let digests: std::collections::HashSet<_> =
            ArtifactSet::embedded().iter().map(|set| set.digest()).collect();
        assert_eq!(digests.len(), ArtifactSet::embedded().len());
    }
}
