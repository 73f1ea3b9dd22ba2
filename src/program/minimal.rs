//! The program `minimal`: 1 broker and 1 ZooKeeper server, the smallest cluster that works. It is `ha` with other
//! defaults.

use super::ha::{Ha, HostsConfig, KafkaConfig, TopicConfig, ZookeeperConfig, ha};
use crate::stack::Stack;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Configuration of the program `minimal`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Minimal {
    /// Where the hosts come from.
    pub hosts: HostsConfig,
    /// The topics, by name. Each has one replica.
    pub topics: BTreeMap<String, TopicConfig>,
}

/// Declares one of each.
pub fn minimal(stack: &mut Stack, config: Minimal) {
    let Minimal { hosts, topics } = config;
    let zookeeper = ZookeeperConfig { servers: 1, ..ZookeeperConfig::default() };
    let kafka =
        KafkaConfig { brokers: 1, replication_factor: 1, min_insync_replicas: 1, ..KafkaConfig::default() };
    ha(stack, Ha { hosts, zookeeper, kafka, topics });
}
