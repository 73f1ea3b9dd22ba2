//! The program `shared`: as `ha`, with each ZooKeeper server on the host of the broker of the same number, where there is one.

use octad::host::FakeWorld;
use octad::model::{Key, NodeFacts};
use octad::program::{Ha, HostsConfig, KafkaConfig, TopicConfig, ZookeeperConfig, ha};
use octad::registry::Registry;
use octad::stack::{Needs, Stack};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// As [`Ha`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    #[serde(default)]
    hosts: HostsConfig,
    #[serde(default)]
    zookeeper: ZookeeperConfig,
    #[serde(default)]
    kafka: KafkaConfig,
    #[serde(default)]
    topics: BTreeMap<String, TopicConfig>,
}

/// Declares what `ha` does, on fewer hosts.
pub fn shared(stack: &mut Stack, config: Shared) {
    let Shared { hosts, zookeeper, kafka, topics } = config;
    let mut shipped = Stack::new(stack.name().clone());
    ha(&mut shipped, Ha { hosts, zookeeper, kafka, topics });
    let registry = Registry::standard().backend(FakeWorld::new().backend());
    let shipped = shipped.validate(&registry).unwrap();
    let shares = |name: &str| {
        let number = name.strip_prefix("zk-")?;
        let host = format!("broker-{number}");
        shipped.resources.contains_key(&Key::new("host", &host)).then_some(host)
    };
    let moved: Vec<(String, String)> = shipped
        .resources
        .keys()
        .filter(|key| key.kind == "host")
        .filter_map(|key| Some((key.name.clone(), shares(&key.name)?)))
        .collect();
    for (key, declared) in &shipped.resources {
        let mut text = declared.inputs.to_string();
        for (from, to) in &moved {
            text = text.replace(&format!("\"host/{from}\""), &format!("\"host/{to}\""));
        }
        match key.kind.as_str() {
            "host" if shares(&key.name).is_some() => {}
            "host" => drop(stack.host(&key.name.parse().unwrap(), &read(&text))),
            "topic" => stack.topic(&key.name.parse().unwrap(), &read(&text)),
            "node" => {
                let mut facts: NodeFacts = read(&text);
                if let Some(host) = shares(&facts.host.name) {
                    facts.host.name = host;
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

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}
