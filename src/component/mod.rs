//! Components: several resources that are one service, declared together with the checks that only make sense for
//! the whole. A component is one file here. Pure.

mod hosts;
mod kafka_cluster;
mod machine;
mod settings;
mod timeouts;
mod zookeeper_ensemble;

pub use hosts::Hosts;
pub use kafka_cluster::{KafkaCluster, TopicSpec};
pub use machine::PLATFORMS;
pub use zookeeper_ensemble::ZookeeperEnsemble;

use crate::artifact::ArtifactSet;
use crate::model::{Output, Software, Source};
use crate::stack::{Fault, Stack};
use std::collections::BTreeMap;

/// How the JVM of every server runs, whatever it serves.
const EVERY_JVM: [&str; 2] = [
    // One that lost track of its memory must end and be started again rather than linger.
    "-XX:+ExitOnOutOfMemoryError",
    // The JVM's shared counters are a mapped file: a busy disk can stop a thread that writes it.
    "-XX:-UsePerfData",
];

/// The software of one of the artifact sets that Octad carries (`kafka`, `kafka-tools`, `zookeeper`), or a fault at
/// `path` of the stack file where there is no such set or version.
pub fn software(stack: &mut Stack, path: &str, set: &str, version: &str) -> Software {
    let digest = match ArtifactSet::find(set, version) {
        Ok(set) => set.digest().to_string(),
        Err(error) => {
            stack.fault(Fault::new(path, error.to_string(), error.hint().unwrap_or_default()));
            String::new()
        }
    };
    Software { name: set.to_owned(), version: version.to_owned(), source: Source::Jars { digest } }
}

/// Lays the stack's own settings over the defaults; those that Octad itself must own are faults.
fn overlay(
    stack: &mut Stack,
    path: &str,
    settings: &mut BTreeMap<String, Output<String>>,
    own: &BTreeMap<String, String>,
    owned: &[(&str, &str)],
) {
    for (name, value) in own {
        match owned.iter().find(|(prefix, _)| name == prefix || name.starts_with(&format!("{prefix}."))) {
            Some((_, instead)) => stack.fault(Fault::new(
                format!("{path}.settings.{name}"),
                format!("`{name}` is set by Octad itself"),
                *instead,
            )),
            None => {
                settings.insert(name.clone(), Output::from(value.as_str()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::{Broker, Zookeeper};

    #[test]
    fn the_lists_of_settings_know_all_that_is_set_anyway() {
        let known = |set: &str, version: &str, what| {
            let set = ArtifactSet::find(set, version).unwrap();
            set.settings(what).map(|(name, _)| name).collect::<Vec<_>>()
        };
        let broker = known("kafka", "3.9.2", "broker");
        for name in Broker::default_settings(3, 2).keys() {
            assert!(broker.contains(&name.as_str()), "{name}");
        }
        let server = known("zookeeper", "3.9.5", "server");
        for name in Zookeeper::default_settings().keys().map(String::as_str).chain([
            "dataDir",
            "clientPort",
            "server.",
        ]) {
            assert!(server.contains(&name), "{name}");
        }
        assert!(known("kafka", "3.9.2", "topic").contains(&"retention.ms"));
    }
}
