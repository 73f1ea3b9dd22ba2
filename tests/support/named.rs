//! The program `named`: as `ha`, with names of its nodes that the stack file chooses.

use octad::host::FakeWorld;
use octad::model::NodeFacts;
use octad::program::{Ha, HostsConfig, KafkaConfig, TopicConfig, ZookeeperConfig, ha};
use octad::registry::Registry;
use octad::stack::{Needs, Stack};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// As [`Ha`], with names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The names of nodes that are not to have those that `ha` gives them, by the latter.
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    hosts: HostsConfig,
    #[serde(default)]
    zookeeper: ZookeeperConfig,
    #[serde(default)]
    kafka: KafkaConfig,
    #[serde(default)]
    topics: BTreeMap<String, TopicConfig>,
}

/// Declares what `ha` does, nodes by their chosen names.
pub fn named(stack: &mut Stack, config: Named) {
    let Named { names, hosts, zookeeper, kafka, topics } = config;
    let mut shipped = Stack::new(stack.name().clone());
    ha(&mut shipped, Ha { hosts, zookeeper, kafka, topics });
    let registry = Registry::standard().backend(FakeWorld::new().backend());
    let shipped = shipped.validate(&registry).unwrap();
    for (key, declared) in &shipped.resources {
        let inputs = declared.inputs.clone();
        match key.kind.as_str() {
            "host" => drop(stack.host(&key.name.parse().unwrap(), &serde_json::from_value(inputs).unwrap())),
            "topic" => stack.topic(&key.name.parse().unwrap(), &serde_json::from_value(inputs).unwrap()),
            "node" => {
                let mut facts: NodeFacts = serde_json::from_value(inputs).unwrap();
                if let Some(name) = names.get(&key.name) {
                    facts.node.clone_from(name);
                }
                let groups = declared.needs.iter().filter_map(|needs| match needs {
                    Needs::Group(group) => Some(group.clone()),
                    Needs::Resource(_) => None,
                });
                stack.node(&facts, groups);
            }
            other => panic!("ha declares a {other}"),
        }
    }
}
