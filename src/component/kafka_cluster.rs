//! A Kafka cluster: brokers on hosts of their own whose metadata is in a ZooKeeper ensemble, and its topics. Pure.

use super::{EVERY_JVM, Hosts, overlay, settings, software, timeouts};
use crate::kafka::trimmed;
use crate::model::{FACTS_VERSION, HostFacts, Jvm, NodeFacts, Output};
use crate::resource::{Disks, TopicInputs};
use crate::role::Broker;
use crate::stack::{Fault, Name, Stack, TopicName};
use std::collections::BTreeMap;

/// A Kafka cluster to be declared.
///
/// ```
/// # use octad::component::{Hosts, KafkaCluster, TopicSpec, ZookeeperEnsemble};
/// # use octad::stack::Stack;
/// # let mut stack = Stack::new("shop".parse().unwrap());
/// let hosts = Hosts::local(&mut stack);
/// let ensemble = ZookeeperEnsemble::default();
/// let connect = ensemble.declare(&mut stack, &hosts);
/// let cluster = KafkaCluster { brokers: 3, ..KafkaCluster::new(&ensemble.name, &connect) };
/// let bootstrap = cluster.declare(&mut stack, &hosts, &[("orders".to_owned(), TopicSpec::new(6))].into());
/// assert_eq!(bootstrap.known().unwrap().split(',').count(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct KafkaCluster {
    /// The group's name, and the section of the stack file that faults point to.
    pub name: String,
    /// How many brokers.
    pub brokers: u16,
    /// Version of the Kafka artifact set.
    pub version: String,
    /// Heap of each broker, in MiB.
    pub heap_mib: u32,
    /// Replicas of topics that don't say otherwise.
    pub replication_factor: u16,
    /// Replicas that must have a record before it counts as written.
    pub min_insync_replicas: u16,
    /// Size in MiB of the disk that each broker has for its data; that of the hosts' disks where `None`. Topics are
    /// bounded by it.
    pub disk_mib: Option<u32>,
    /// MiB that producers write to the whole cluster in a second; where `None`, 1 is reckoned with.
    pub write_mib_s: Option<u32>,
    /// Settings that differ from [`Broker::default_settings`].
    pub settings: BTreeMap<String, String>,
    /// Settings that Kafka itself doesn't know, since a plugin reads them; those below them (`my.reporter` and
    /// `my.reporter.url`) too. Others that it doesn't know are warned of.
    pub allow_unknown: Vec<String>,
    /// Whether a dead broker's ZooKeeper session is ended at once instead of when it expires.
    pub fence: bool,
    /// Whether a broker that is cut off from most others, and not from ZooKeeper, is stopped where they can do without
    /// it. It takes 3 brokers to tell who is cut off.
    pub watchdog: bool,
    /// The group of the ensemble that holds the metadata, and its connect string.
    pub zookeeper: (String, Output<String>),
}

/// A topic to be declared in a cluster.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Number of partitions.
    pub partitions: u32,
    /// Number of replicas; the cluster's where `None`.
    pub replication_factor: Option<u16>,
    /// Settings that differ from the brokers' defaults.
    pub configs: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic of so many partitions, in all else as the cluster has it.
    pub fn new(partitions: u32) -> Self {
        Self { partitions, replication_factor: None, configs: BTreeMap::new() }
    }
}

/// Settings that the cluster itself owns, and what to write instead.
const OWNED: [(&str, &str); 11] = [
    ("broker.id", "ids follow from the number of brokers"),
    ("broker.rack", "say which zone the host is in under [hosts.zones]"),
    ("listeners", "clients connect to port 9092 of each broker's own address"),
    ("advertised.listeners", "clients connect to port 9092 of each broker's own address"),
    ("log.dir", "it is the host's data disk"),
    ("log.dirs", "it is the host's data disk"),
    ("zookeeper.connect", "it is the stack's own ensemble"),
    ("default.replication.factor", "say `replication-factor = …`"),
    ("min.insync.replicas", "say `min-insync-replicas = …`"),
    ("process.roles", "this cluster keeps its metadata in ZooKeeper"),
    ("node.id", "ids follow from the number of brokers"),
];

/// The last byte of the first broker's address, less one.
const FIRST_ADDRESS: u16 = 100;

impl KafkaCluster {
    /// A cluster that keeps its metadata in the ensemble of the group `zookeeper`, reached at `connect`: 5 brokers of
    /// version 3.9.2 (the last line with ZooKeeper) in the group `kafka`, each partition on 3 of which 2 must have a
    /// record, heaps of 400 MiB for machines of 1 GB.
    pub fn new(zookeeper: &str, connect: &Output<String>) -> Self {
        Self {
            name: "kafka".into(),
            brokers: 5,
            version: "3.9.2".into(),
            heap_mib: 400,
            replication_factor: 3,
            min_insync_replicas: 2,
            disk_mib: None,
            write_mib_s: None,
            settings: BTreeMap::new(),
            allow_unknown: Vec::new(),
            fence: true,
            watchdog: true,
            zookeeper: (zookeeper.to_owned(), connect.clone()),
        }
    }

    /// Declares the cluster, with a host for each broker, and its topics. Returns the bootstrap servers for clients.
    pub fn declare(
        &self,
        stack: &mut Stack,
        hosts: &Hosts,
        topics: &BTreeMap<String, TopicSpec>,
    ) -> Output<String> {
        self.check(stack);
        let software = software(stack, &format!("{}.version", self.name), "kafka", &self.version);
        let mut common = Broker::default_settings(self.replication_factor, self.min_insync_replicas);
        overlay(stack, &self.name, &mut common, &self.settings, &OWNED);
        let path = format!("{}.settings", self.name);
        settings::check(stack, &path, (&software, "broker"), &self.settings, &self.allow_unknown);
        timeouts::check(stack, &self.name, &common, &self.zookeeper.0);
        stack.disks(&self.name, self.disks(hosts, &common));
        common.insert("zookeeper.connect".into(), self.zookeeper.1.clone());
        let port = Broker::PORTS[0].1;
        let mut endpoints = Vec::new();
        for id in 1..=self.brokers {
            let Ok(name) = format!("broker-{id}").parse::<Name>() else { continue };
            let address = hosts.host(stack, &name, FIRST_ADDRESS + id);
            let listener =
                Output::format(["PLAINTEXT://".into(), address.clone(), format!(":{port}").into()]);
            let mut settings = common.clone();
            settings.insert("broker.id".into(), id.to_string().into());
            settings.insert("broker.rack".into(), hosts.zone(&name).into());
            settings.insert("listeners".into(), listener.clone());
            settings.insert("advertised.listeners".into(), listener);
            endpoints.push(Output::format([address.clone(), format!(":{port}").into()]));
            let facts = NodeFacts {
                version: FACTS_VERSION,
                stack: stack.name().to_string(),
                node: name.to_string(),
                role: Broker::NAME.into(),
                group: self.name.clone(),
                id: i32::from(id),
                host: HostFacts { zone: Some(hosts.zone(&name)), ..hosts.facts(&name, address) },
                ports: Broker::PORTS.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
                software: software.clone(),
                settings,
                fence: self.fence,
                watchdog: self.watchdog && self.brokers >= 3,
                jvm: Some(Jvm { heap_mib: self.heap_mib, options: jvm_options(hosts.share_processors()) }),
            };
            stack.node(&facts, [self.zookeeper.0.clone()]);
        }
        for (name, topic) in topics {
            settings::check(
                stack,
                &format!("topics.{name}.configs"),
                (&software, "topic"),
                &topic.configs,
                &[],
            );
            self.topic(stack, name, topic);
        }
        Output::join(endpoints, ",")
    }

    /// What its topics lie on.
    fn disks(&self, hosts: &Hosts, settings: &BTreeMap<String, Output<String>>) -> Disks {
        let of_logs = settings.iter().filter(|(name, _)| name.starts_with("log."));
        let mib = |count: Option<u32>| count.map(|count| u64::from(count) << 20);
        Disks {
            each: mib(self.disk_mib.or(hosts.disk_mib())),
            backend: hosts.backend().to_owned(),
            brokers: u64::from(self.brokers),
            write_rate: mib(self.write_mib_s),
            settings: of_logs
                .filter_map(|(name, value)| Some((name.clone(), value.known().ok()?.clone())))
                .collect(),
            own_bound: self.settings.contains_key("log.retention.bytes"),
        }
    }

    fn check(&self, stack: &mut Stack) {
        let (brokers, replicas, min) = (self.brokers, self.replication_factor, self.min_insync_replicas);
        let at = |field: &str| format!("{}.{field}", self.name);
        if brokers == 0 {
            stack.fault(Fault::new(at("brokers"), "a cluster of 0 brokers can't be", "write at least 1"));
        }
        if replicas == 0 || replicas > brokers {
            stack.fault(Fault::new(
                at("replication-factor"),
                format!("{replicas} replicas can't be on {brokers} brokers"),
                format!("write 1 to {brokers}, or more brokers"),
            ));
        }
        if min == 0 || min > replicas {
            stack.fault(Fault::new(
                at("min-insync-replicas"),
                format!("{min} of {replicas} replicas can't be in sync"),
                match replicas {
                    0 | 1 => "write 1".to_owned(),
                    n => {
                        format!("write {}: then one replica may be away while records are still taken", n - 1)
                    }
                },
            ));
        }
        if self.brokers > 1 && min > 0 && min == replicas {
            stack.warn(nothing_to_spare(at("min-insync-replicas"), min, replicas));
        }
        if self.settings.get("unclean.leader.election.enable").is_some_and(|allowed| allowed == "true") {
            stack.warn(Fault::new(
                at("settings.unclean.leader.election.enable"),
                "a replica that lacks acknowledged records may become leader, and they are lost then",
                "leave it out",
            ));
        }
        // A 1 GB machine also holds metaspace, threads, direct buffers and the page cache that Kafka lives on.
        if self.heap_mib < 128 {
            stack.fault(Fault::new(
                at("heap-mib"),
                format!("{} MiB are too little for a broker", self.heap_mib),
                "write 128 or more: 384 to 448 for a machine of 1 GB",
            ));
        }
    }

    fn topic(&self, stack: &mut Stack, name: &str, topic: &TopicSpec) {
        let at = |field: &str| format!("topics.{name}{field}");
        let parsed = match name.parse::<TopicName>() {
            Ok(parsed) => parsed,
            Err(error) => return stack.fault(Fault::new(at(""), error.to_string(), "")),
        };
        let replicas = topic.replication_factor.unwrap_or(self.replication_factor);
        // The cluster's own figure is told of once, where it stands.
        let own = topic.replication_factor.is_some();
        if own && (replicas == 0 || replicas > self.brokers) {
            stack.fault(Fault::new(
                at(".replication-factor"),
                format!("{replicas} replicas can't be on {} brokers", self.brokers),
                format!("write 1 to {}, or more brokers", self.brokers),
            ));
        }
        let configs = topic.configs.iter().map(|(name, value)| (name.clone(), as_told(name, value)));
        let configs: BTreeMap<String, String> = configs.collect();
        let min = configs.get("min.insync.replicas").and_then(|text| text.parse::<u16>().ok());
        if let Some(min) = min.filter(|min| *min > replicas) {
            stack.fault(Fault::new(
                at(".configs.min.insync.replicas"),
                format!("{min} of {replicas} replicas can't be in sync"),
                format!("write at most {replicas}"),
            ));
        }
        if let Some(min) = min.filter(|min| self.brokers > 1 && *min > 0 && *min == replicas) {
            stack.warn(nothing_to_spare(at(".configs.min.insync.replicas"), min, replicas));
        }
        // The bound of Kafka's own documentation for a broker of this size is far lower; this one only catches slips.
        let partitions = i32::try_from(topic.partitions).ok().filter(|n| (1..=100_000).contains(n));
        let Some(partitions) = partitions else {
            return stack.fault(Fault::new(
                at(".partitions"),
                format!("{} partitions can't be", topic.partitions),
                "write 1 to 100000",
            ));
        };
        stack.topic(
            &parsed,
            &TopicInputs {
                cluster: self.name.clone(),
                partitions,
                replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
                configs,
            },
        );
    }
}

fn nothing_to_spare(path: String, min: u16, replicas: u16) -> Fault {
    Fault::new(
        path,
        format!(
            "{min} of {replicas} replicas have to be in sync: while one of their brokers is away no record is taken, \
             and none of them restarts without `--interrupt`"
        ),
        match replicas {
            1 => "more replicas".to_owned(),
            n => format!("write {}, or more replicas", n - 1),
        },
    )
}

/// A topic's setting in the form in which Kafka tells it, in which the two are compared.
fn as_told(name: &str, value: &str) -> String {
    let value = trimmed(value);
    match (value.parse::<i64>(), value.parse::<f64>()) {
        // The one setting of a topic's that has a fraction.
        (_, Ok(ratio)) if name == "min.cleanable.dirty.ratio" => format!("{ratio:?}"),
        (Ok(number), _) => number.to_string(),
        _ if ["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)) => {
            value.to_ascii_lowercase()
        }
        _ => value.split(',').map(str::trim).collect::<Vec<_>>().join(","),
    }
}

/// How a broker's JVM runs.
///
/// Brokers that share this machine's processors do without the optimising compiler: with 8 servers on 2 processors it
/// was what producers waited for in the first minutes after each start. In a roll of 5 brokers they waited 160 times for
/// more than 0.2 s without it, and 400 times with it.
fn jvm_options(share_processors: bool) -> Vec<String> {
    // Kafka's own choice of collector.
    let collector = [
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent",
    ];
    // Four times the calls before the optimising compiler takes a method (defaults: 5000, 600, 15000, 40000). While 1
    // processor starts a broker it costs a fifth of the time and gains nothing; under load the same methods get there
    // seconds later.
    let optimising_late = [
        "-XX:Tier4InvocationThreshold=20000",
        "-XX:Tier4MinInvocationThreshold=2400",
        "-XX:Tier4CompileThreshold=60000",
        "-XX:Tier4BackEdgeThreshold=160000",
    ];
    let compilers = if share_processors { &["-XX:TieredStopAtLevel=1"][..] } else { &optimising_late };
    let options = collector.iter().chain(&EVERY_JVM).chain(compilers);
    options.map(|option| (*option).to_owned()).collect()
}
