//! What tests ask of a simulated world.

use super::FakeWorld;
use super::record::{Breach, Cause, Deed};
use super::world::Run;
use std::collections::{BTreeMap, BTreeSet};

impl FakeWorld {
    /// The hosts that there are, by the names that the world has for them.
    pub fn hosts(&self) -> BTreeSet<String> {
        self.lock().machines.keys().cloned().collect()
    }

    /// The hosts on which a member of each group is away: it has no process, or one that hasn't joined yet.
    pub fn away(&self) -> BTreeMap<String, BTreeSet<String>> {
        let world = self.lock();
        let away = |members: &BTreeSet<String>| {
            let away = members.iter().filter(|name| !world.has_joined(name));
            away.filter_map(|name| Some(world.nodes.get(name)?.host.clone())).collect()
        };
        world.members.iter().map(|(group, members)| (group.clone(), away(members))).collect()
    }

    /// The hosts of which a change is on trial.
    pub fn on_trial(&self) -> BTreeSet<String> {
        self.lock().trials.keys().cloned().collect()
    }

    /// Everything that Octad did, in order.
    pub fn deeds(&self) -> Vec<Deed> {
        self.lock().deeds.clone()
    }

    /// How many deeds there were.
    pub fn deed_count(&self) -> usize {
        self.lock().deeds.len()
    }

    /// Every moment at which a promise was broken, in order.
    pub fn breaches(&self) -> Vec<Breach> {
        self.lock().breaches.clone()
    }

    /// Those that no fault of a test caused.
    pub fn own_breaches(&self) -> Vec<Breach> {
        let breaches = self.breaches().into_iter();
        breaches.filter(|breach| !matches!(breach.cause, Cause::Fault(_))).collect()
    }

    /// How often a process of each node was made.
    pub fn spawns(&self) -> BTreeMap<String, u64> {
        self.each_node(|node| node.spawns)
    }

    /// How often each node was given an empty disk.
    pub fn formats(&self) -> BTreeMap<String, u64> {
        self.each_node(|node| node.formats)
    }

    fn each_node(&self, of: impl Fn(&super::world::Node) -> u64) -> BTreeMap<String, u64> {
        self.lock().nodes.iter().map(|(name, node)| (name.clone(), of(node))).collect()
    }

    /// Whether nothing exists in it.
    pub fn is_empty(&self) -> bool {
        let world = self.lock();
        world.machines.is_empty() && world.nodes.is_empty() && world.clusters.is_empty()
    }

    /// All that lasts, as text: hosts, nodes with what they run, ensembles and topics. Two worlds with the same text
    /// serve alike; who leads and process ids are not in it.
    pub fn portrait(&self) -> String {
        let world = self.lock();
        let mut lines = Vec::new();
        for (name, machine) in &world.machines {
            lines.push(format!("host {name} {}", if machine.up { "up" } else { "down" }));
        }
        for (name, node) in &world.nodes {
            let observed = world.observe(&node.host, name);
            let word = match &node.run {
                Run::Running { .. } => "runs",
                Run::Failing { .. } => "keeps failing",
                Run::Failed { .. } => "failed",
                Run::Frozen => "is frozen",
                Run::Stopped => "stopped",
            };
            let settings = node.generation.as_ref().map(|generation| {
                let facts = &generation.facts;
                let addresses: BTreeMap<_, _> = facts
                    .settings
                    .iter()
                    .filter(|(_, value)| value.known().is_ok_and(|v| !v.contains("10.")))
                    .collect();
                format!("{:?} {:?}", addresses, facts.jvm)
            });
            let data = observed.is_some_and(|observed| observed.data);
            lines.push(format!(
                "node {name} on {} {word} data={data} {}",
                node.host,
                settings.unwrap_or_default()
            ));
        }
        for (name, ensemble) in &world.ensembles {
            lines.push(format!("ensemble {name} serves={}", ensemble.leader.is_some()));
        }
        for (name, cluster) in &world.clusters {
            lines.push(format!("cluster {name} brokers={:?}", cluster.registered.keys()));
            for (name, topic) in &cluster.topics {
                lines.push(format!("topic {name} {:?}", topic.configs));
                for (number, partition) in &topic.partitions {
                    let mut isr = partition.isr.clone();
                    isr.sort_unstable();
                    let replicas = partition.replicas.len();
                    lines.push(format!("  {number} replicas={replicas} in sync={}", isr.len()));
                }
            }
        }
        lines.join("\n")
    }
}
