//! Components: several resources that are one service, declared together with the checks that only make sense for
//! the whole. A component is one file here. Pure.

mod hosts;
mod kafka_cluster;
mod timeouts;
mod zookeeper_ensemble;

pub use hosts::Hosts;
pub use kafka_cluster::{KafkaCluster, TopicSpec};
pub use zookeeper_ensemble::ZookeeperEnsemble;

use crate::artifact::ArtifactSet;
use crate::resource::{Output, Software};
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
    Software { name: set.to_owned(), version: version.to_owned(), digest }
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
