//! The program `ha`: a highly available Kafka cluster, by default 5 brokers and 3 ZooKeeper servers on 8 hosts.

use crate::component::{Hosts, KafkaCluster, TopicSpec, ZookeeperEnsemble};
use crate::host::{Isolation, LocalBackend, NixosBackend};
use crate::model::{Machine, Options, Output};
use crate::stack::{Fault, Stack};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Configuration of the program `ha`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ha {
    /// Where the hosts come from.
    pub hosts: HostsConfig,
    /// The ensemble.
    pub zookeeper: ZookeeperConfig,
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The topics, by name.
    pub topics: BTreeMap<String, TopicConfig>,
}

/// Where hosts come from.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostsConfig {
    /// The backend. Default: `nixos`, over SSH, where `machine` is there; else `local`, processes on this machine.
    pub backend: Option<String>,
    /// Addresses of the hosts, such as `127.80.1.0/24`. Default: for local hosts, derived from the stack's name.
    pub subnet: Option<String>,
    /// What keeps local hosts apart. Default: `none`; `netns` makes each a network namespace, which takes root.
    pub isolation: Isolation,
    /// Size in MiB of the disk that each node of a local host has for its data, which takes root. Default: none of its
    /// own.
    pub disk_mib: Option<u32>,
    /// What the backend wants to know of its hosts besides. Default: nothing; local hosts have nothing more.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub options: Options,
    /// Failure domains: the names of the hosts of each. A host that is in none is its own.
    pub zones: BTreeMap<String, Vec<String>>,
    /// What NixOS is to know of the machines, where it runs them.
    pub machine: Option<MachineConfig>,
}

/// Machines that NixOS runs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MachineConfig {
    /// How they boot: the format of one of the flake's images, or `own`.
    pub platform: String,
    /// Further NixOS modules, as paths from the root of the flake. Default: none.
    #[serde(default)]
    pub modules: Vec<String>,
    /// The data disk of each. Default: the one that was formatted with the label `octad-data`.
    #[serde(default = "labelled_disk")]
    pub data_disk: String,
    /// Networks of clients, such as `10.0.0.0/16`. Default: none but the stack's own.
    #[serde(default)]
    pub clients: Vec<String>,
}

fn labelled_disk() -> String {
    "/dev/disk/by-label/octad-data".into()
}

/// The ZooKeeper ensemble.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZookeeperConfig {
    /// How many servers; odd. Default: 3.
    pub servers: u16,
    /// Version of ZooKeeper. Default: 3.9.5, as in nixpkgs.
    pub version: String,
    /// Heap of each server in MiB. Default: 128; an ensemble for Kafka holds a few megabytes.
    pub heap_mib: u32,
    /// ZooKeeper settings that differ from Octad's.
    pub settings: BTreeMap<String, Scalar>,
    /// Settings that only a plugin knows. Default: none.
    pub allow_unknown: Vec<String>,
}

/// The Kafka cluster.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KafkaConfig {
    /// How many brokers. Default: 5.
    pub brokers: u16,
    /// Version of Kafka. Default: 3.9.2, the last line with ZooKeeper.
    pub version: String,
    /// Heap of each broker in MiB. Default: 400, for machines of 1 GB.
    pub heap_mib: u32,
    /// Replicas of each partition. Default: 3.
    pub replication_factor: u16,
    /// Replicas that must have a record before it counts as written. Default: 2.
    pub min_insync_replicas: u16,
    /// Whether a dead broker's ZooKeeper session is ended at once instead of when it expires. Default: true.
    pub fence: bool,
    /// Whether a broker that is cut off from most others, and not from ZooKeeper, is stopped where they can do without
    /// it. Default: true.
    pub watchdog: bool,
    /// Size in MiB of the disk that each broker has for its data, by which topics are bounded. Default: that of the hosts'
    /// disks; where they have none of their own, what is free of this machine's.
    pub disk_mib: Option<u32>,
    /// MiB that producers write to the whole cluster in a second. Default: unknown, and 1 is reckoned with.
    pub write_mib_s: Option<u32>,
    /// Broker settings that differ from Octad's.
    pub settings: BTreeMap<String, Scalar>,
    /// Settings that only a plugin knows. Default: none.
    pub allow_unknown: Vec<String>,
}

/// A topic.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopicConfig {
    /// How many partitions.
    pub partitions: u32,
    /// Replicas of each partition. Default: the cluster's.
    pub replication_factor: Option<u16>,
    /// Topic settings that differ from the brokers'.
    #[serde(default)]
    pub configs: BTreeMap<String, Scalar>,
}

/// A setting's value as one writes it in TOML; properties files only know text.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "no setting, expected a text, a number, true or false")]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A fraction.
    Float(f64),
    /// A text.
    Text(String),
}

impl Default for HostsConfig {
    fn default() -> Self {
        Self {
            backend: None,
            subnet: None,
            isolation: Isolation::None,
            disk_mib: None,
            options: Options::new(),
            zones: BTreeMap::new(),
            machine: None,
        }
    }
}

impl Default for ZookeeperConfig {
    fn default() -> Self {
        let ZookeeperEnsemble { name: _, servers, version, heap_mib, settings: _, allow_unknown } =
            ZookeeperEnsemble::default();
        Self { servers, version, heap_mib, settings: BTreeMap::new(), allow_unknown }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        let cluster = KafkaCluster::new("", &Output::Known(String::new()));
        Self {
            brokers: cluster.brokers,
            version: cluster.version,
            heap_mib: cluster.heap_mib,
            replication_factor: cluster.replication_factor,
            min_insync_replicas: cluster.min_insync_replicas,
            fence: cluster.fence,
            watchdog: cluster.watchdog,
            disk_mib: cluster.disk_mib,
            write_mib_s: cluster.write_mib_s,
            settings: BTreeMap::new(),
            allow_unknown: cluster.allow_unknown,
        }
    }
}

/// Settings as text.
fn texts(settings: BTreeMap<String, Scalar>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(value) => value,
    };
    settings.into_iter().map(|(name, value)| (name, text(value))).collect()
}

impl HostsConfig {
    /// The hosts that this says; faults are told at `hosts` of the stack file.
    pub fn declare(self, stack: &mut Stack) -> Hosts {
        hosts_of(stack, self)
    }
}

fn hosts_of(stack: &mut Stack, config: HostsConfig) -> Hosts {
    let HostsConfig { backend, subnet, isolation, disk_mib, options, zones, machine } = config;
    let usual = if machine.is_some() { NixosBackend::NAME } else { LocalBackend::NAME };
    let backend = backend.unwrap_or_else(|| usual.to_owned());
    if backend == NixosBackend::NAME && machine.is_none() {
        let message = "nothing says what NixOS is to run the machines on";
        stack.fault(Fault::new(
            "hosts.backend",
            message,
            "say `platform` under [hosts.machine], see docs/nix.md",
        ));
    }
    let hosts = Hosts::isolated(stack, &backend, subnet.as_deref(), isolation)
        .with_disk(stack, disk_mib)
        .with_options(options)
        .in_zones(stack, zones);
    let Some(MachineConfig { platform, modules, data_disk, clients }) = machine else { return hosts };
    let Some(peers) = subnet else {
        let message = "machines need addresses that others reach";
        stack.fault(Fault::new("hosts.machine", message, "say `subnet = \"10.77.0.0/24\"` under [hosts]"));
        return hosts;
    };
    hosts.on_machines(stack, Machine { platform, modules, data_disk: Some(data_disk), peers, clients })
}

/// Declares the ensemble, then the cluster, then its topics.
pub fn ha(stack: &mut Stack, config: Ha) {
    let Ha { hosts, zookeeper, kafka, topics } = config;
    let hosts = hosts_of(stack, hosts);
    let ensemble = ZookeeperEnsemble {
        servers: zookeeper.servers,
        version: zookeeper.version,
        heap_mib: zookeeper.heap_mib,
        settings: texts(zookeeper.settings),
        allow_unknown: zookeeper.allow_unknown,
        ..ZookeeperEnsemble::default()
    };
    let connect = ensemble.declare(stack, &hosts);
    let cluster = KafkaCluster {
        brokers: kafka.brokers,
        version: kafka.version,
        heap_mib: kafka.heap_mib,
        replication_factor: kafka.replication_factor,
        min_insync_replicas: kafka.min_insync_replicas,
        fence: kafka.fence,
        watchdog: kafka.watchdog,
        disk_mib: kafka.disk_mib,
        write_mib_s: kafka.write_mib_s,
        settings: texts(kafka.settings),
        allow_unknown: kafka.allow_unknown,
        ..KafkaCluster::new(&ensemble.name, &connect)
    };
    let topics = topics
        .into_iter()
        .map(|(name, topic)| {
            let TopicConfig { partitions, replication_factor, configs } = topic;
            (name, TopicSpec { partitions, replication_factor, configs: texts(configs) })
        })
        .collect();
    let bootstrap = cluster.declare(stack, &hosts, &topics);
    hosts.check_zones(stack);
    stack.output("bootstrap servers", &bootstrap);
    stack.output("zookeeper connect", &connect);
}
