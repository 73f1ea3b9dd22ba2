//! A ZooKeeper ensemble: servers on hosts of their own that elect a leader. Pure.

use super::{EVERY_JVM, Hosts, overlay, settings, software};
use crate::model::{FACTS_VERSION, Jvm, NodeFacts, Output};
use crate::role::Zookeeper;
use crate::stack::{Fault, Name, Stack};
use std::collections::BTreeMap;

/// A ZooKeeper ensemble to be declared.
#[derive(Debug, Clone)]
pub struct ZookeeperEnsemble {
    /// The group's name, and the section of the stack file that faults point to.
    pub name: String,
    /// How many servers. Odd: one more than an odd number tolerates no further failure and adds one to fail.
    pub servers: u16,
    /// Version of the ZooKeeper artifact set.
    pub version: String,
    /// Heap of each server, in MiB.
    pub heap_mib: u32,
    /// Settings that differ from [`Zookeeper::default_settings`].
    pub settings: BTreeMap<String, String>,
    /// Settings that ZooKeeper itself doesn't know, since a plugin reads them; those below them too. Others that it
    /// doesn't know are warned of.
    pub allow_unknown: Vec<String>,
}

impl Default for ZookeeperEnsemble {
    /// 3 servers, of which one may fail, of version 3.9.5 as in nixpkgs, in the group `zookeeper`. A heap of 128 MiB:
    /// an ensemble for Kafka holds a few megabytes.
    fn default() -> Self {
        Self {
            name: "zookeeper".into(),
            servers: 3,
            version: "3.9.5".into(),
            heap_mib: 128,
            settings: BTreeMap::new(),
            allow_unknown: Vec::new(),
        }
    }
}

/// Settings that the ensemble itself owns, and what to write instead.
const OWNED: [(&str, &str); 4] = [
    ("clientPort", "clients connect to port 2181 of each server's own address"),
    ("clientPortAddress", "it is the host's address"),
    ("dataDir", "it is the host's data disk"),
    ("server", "say `servers = …`"),
];

/// The last byte of the first server's address, less one. Brokers have a range of their own, so that neither number
/// moves the other's addresses.
const FIRST_ADDRESS: u16 = 10;

impl ZookeeperEnsemble {
    /// Declares the ensemble, with a host for each server. Returns the connect string for clients.
    pub fn declare(&self, stack: &mut Stack, hosts: &Hosts) -> Output<String> {
        if self.servers == 0 || self.servers.is_multiple_of(2) {
            let path = format!("{}.servers", self.name);
            let message = format!("an ensemble of {} servers can't be", self.servers);
            let hint = match self.servers {
                0 => "an ensemble has at least one server".to_owned(),
                n => format!("{n} tolerate no more failures than {}: write {} or {}", n - 1, n - 1, n + 1),
            };
            stack.fault(Fault::new(path, message, hint));
        }
        let software = software(stack, &format!("{}.version", self.name), "zookeeper", &self.version);
        let mut servers = Vec::new();
        for id in 1..=self.servers {
            let Ok(name) = format!("zk-{id}").parse::<Name>() else { continue };
            let address = hosts.host(stack, &name, FIRST_ADDRESS + id);
            servers.push((i32::from(id), name, address));
        }
        let mut settings = Zookeeper::default_settings();
        overlay(stack, &self.name, &mut settings, &self.settings, &OWNED);
        let path = format!("{}.settings", self.name);
        settings::check(stack, &path, (&software, "server"), &self.settings, &self.allow_unknown);
        let port = |purpose: &str| {
            Zookeeper::PORTS.iter().find(|(name, _)| *name == purpose).map_or(0, |(_, port)| *port)
        };
        // An ensemble of one takes no peers: ZooKeeper then runs standalone.
        if servers.len() > 1 {
            for (id, _, address) in &servers {
                let ports = format!(":{}:{}", port("peer"), port("election"));
                settings.insert(format!("server.{id}"), Output::format([address.clone(), ports.into()]));
            }
        }
        settings.insert("clientPort".into(), port("client").to_string().into());
        for (id, name, address) in &servers {
            let mut settings = settings.clone();
            settings.insert("clientPortAddress".into(), address.clone());
            let facts = NodeFacts {
                version: FACTS_VERSION,
                stack: stack.name().to_string(),
                node: name.to_string(),
                role: Zookeeper::NAME.into(),
                group: self.name.clone(),
                id: *id,
                host: hosts.facts(name, address.clone()),
                ports: Zookeeper::PORTS.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
                software: software.clone(),
                settings,
                fence: true,
                watchdog: false,
                jvm: Some(Jvm { heap_mib: self.heap_mib, options: jvm_options() }),
            };
            stack.node(&facts, []);
        }
        let endpoints = servers
            .iter()
            .map(|(_, _, address)| Output::format([address.clone(), format!(":{}", port("client")).into()]));
        Output::join(endpoints, ",")
    }
}

/// How a server's JVM runs.
fn jvm_options() -> Vec<String> {
    // One core and a heap this small: the serial collector is smaller and pauses for milliseconds.
    let collector = ["-XX:+UseSerialGC"];
    // A few hundred small requests a second: the optimising compiler costs a third of the start and has nothing to win
    // back.
    let compilers = ["-XX:TieredStopAtLevel=1"];
    collector.iter().chain(&EVERY_JVM).chain(&compilers).map(|option| (*option).to_owned()).collect()
}
