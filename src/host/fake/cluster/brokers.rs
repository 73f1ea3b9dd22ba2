//! What befalls the brokers of the world, and what their clusters make of it: they start and end, lose their sessions and their
//! disks, and ZooKeeper comes and goes.

use super::{Cluster, elected};
use crate::host::fake::record::Loss;
use crate::host::fake::world::{Due, World};
use crate::kafka::TopicPartition;
use crate::model::NodeFacts;

impl World {
    fn ensemble_of(&self, cluster: &Cluster) -> Option<String> {
        let node = cluster.connect.iter().find_map(|endpoint| self.endpoints.get(endpoint))?;
        Some(self.nodes.get(node)?.generation.as_ref()?.facts.group.clone())
    }

    /// What an ensemble says of a broker's replicas; `None` where it has no quorum.
    pub(in crate::host::fake) fn assigned(
        &self,
        zookeeper: &[String],
        broker: i32,
    ) -> Option<Vec<TopicPartition>> {
        let group = |endpoint: &String| {
            let node = self.nodes.get(self.endpoints.get(endpoint)?)?;
            Some(node.generation.as_ref()?.facts.group.clone())
        };
        zookeeper.iter().find_map(group).filter(|group| self.has_quorum(group))?;
        let cluster = self.clusters.values().find(|cluster| cluster.connect == zookeeper);
        let held = cluster.and_then(|cluster| cluster.held.get(&broker)).into_iter().flatten();
        Some(held.map(|(topic, partition)| TopicPartition::new(topic.clone(), *partition)).collect())
    }

    fn quorum_for(&self, group: &str) -> bool {
        let ensemble = self.clusters.get(group).and_then(|cluster| self.ensemble_of(cluster));
        ensemble.is_some_and(|ensemble| self.has_quorum(&ensemble))
    }

    pub(in crate::host::fake) fn broker_starts(&mut self, facts: &NodeFacts) {
        let setting = |name: &str| facts.settings.get(name).and_then(|value| value.known().ok());
        let connect = setting("zookeeper.connect").map(|text| text.split(',').map(str::to_owned).collect());
        let min = setting("min.insync.replicas").and_then(|text| text.parse().ok());
        let cluster = self.clusters.entry(facts.group.clone()).or_default();
        cluster.connect = connect.unwrap_or_default();
        cluster.min_insync.insert(facts.id, min.unwrap_or(1));
        cluster.running.insert(facts.id, facts.node.clone());
    }

    pub(in crate::host::fake) fn broker_joins(&mut self, node: &str) {
        let Some(facts) = self.nodes[node].facts() else { return };
        let (group, id) = (facts.group.clone(), facts.id);
        let disk = self.nodes[node].disk.as_ref().map_or(0, |disk| disk.number);
        let Some(cluster) = self.clusters.get_mut(&group) else { return };
        cluster.joined.insert(id);
        if cluster.disks.insert(id, disk).is_some_and(|before| before != disk) {
            let mut emptied = Vec::new();
            for (topic, number) in cluster.held.get(&id).cloned().unwrap_or_default() {
                if cluster.partition(&topic, number).is_some_and(|partition| partition.isr.contains(&id)) {
                    emptied.push(format!("{topic}-{number}: in sync on broker {id}, which came back empty"));
                }
            }
            emptied.into_iter().for_each(|what| self.breach(Loss::Data { what }));
        }
        self.register_joined(&group);
    }

    /// Registers all that can be, and has them catch up.
    fn register_joined(&mut self, group: &str) {
        if !self.quorum_for(group) {
            return;
        }
        let Some(cluster) = self.clusters.get(group) else { return };
        let fresh: Vec<i32> =
            cluster.joined.iter().copied().filter(|id| !cluster.registered.contains_key(id)).collect();
        for id in fresh {
            let place = self.number();
            let Some(cluster) = self.clusters.get_mut(group) else { return };
            let place = cluster.places.remove(&id).unwrap_or(place);
            cluster.register(id, place);
            let node = cluster.running[&id].clone();
            if let Some(pid) = self.nodes[&node].pid() {
                self.later(Due::CaughtUp(node, pid));
            }
        }
        self.metadata_changed(group);
    }

    pub(in crate::host::fake) fn broker_caught_up(&mut self, node: &str) {
        let Some(facts) = self.nodes[node].facts() else { return };
        let (group, id) = (facts.group.clone(), facts.id);
        let still = self.clusters.get(&group).map(|cluster| self.still_in(cluster)).unwrap_or_default();
        let Some(cluster) = self.clusters.get_mut(&group) else { return };
        if !cluster.registered.contains_key(&id) {
            return;
        }
        cluster.each_held(id, |partition, registered| {
            if partition.leader.is_none() {
                return;
            }
            for replica in partition.replicas.clone() {
                let follows = registered.contains_key(&replica) && !still.contains(&replica);
                if follows && !partition.isr.contains(&replica) {
                    partition.isr.push(replica);
                }
            }
        });
        self.metadata_changed(&group);
    }

    /// The session of a broker that lives on is over: nobody counts on it until it has registered anew.
    pub(in crate::host::fake) fn session_over(&mut self, node: &str) {
        let Some(facts) = self.nodes[node].facts() else { return };
        let (group, id) = (facts.group.clone(), facts.id);
        if !self.quorum_for(&group) {
            return;
        }
        if let Some(cluster) = self.clusters.get_mut(&group) {
            cluster.joined.remove(&id);
            cluster.unregister(id);
        }
        self.metadata_changed(&group);
    }

    pub(in crate::host::fake) fn broker_leaves(&mut self, facts: &NodeFacts) {
        let quorum = self.quorum_for(&facts.group);
        let still = self.clusters.get(&facts.group).map(|cluster| self.still_in(cluster)).unwrap_or_default();
        let Some(cluster) = self.clusters.get_mut(&facts.group) else { return };
        cluster.running.remove(&facts.id);
        cluster.joined.remove(&facts.id);
        let missed = cluster.missed(facts.id, &still);
        cluster.places.remove(&facts.id);
        missed.into_iter().for_each(|loss| self.breach(loss));
        let Some(cluster) = self.clusters.get_mut(&facts.group) else { return };
        if quorum {
            cluster.unregister(facts.id);
            self.metadata_changed(&facts.group);
        } else {
            // Without ZooKeeper nobody can take it out of an ISR or elect another.
            cluster.each_held(facts.id, |partition, _| {
                if partition.leader == Some(facts.id) {
                    partition.leader = None;
                }
            });
        }
    }

    /// An ensemble got or lost its quorum.
    pub(in crate::host::fake) fn quorum_changed(&mut self, ensemble: &str) {
        let served = self.has_quorum(ensemble);
        let groups: Vec<String> = self
            .clusters
            .iter()
            .filter(|(_, cluster)| self.ensemble_of(cluster).as_deref() == Some(ensemble))
            .map(|(group, _)| group.clone())
            .collect();
        for group in groups {
            let Some(cluster) = self.clusters.get_mut(&group) else { continue };
            cluster.places.append(&mut cluster.registered);
            cluster.order.clear();
            if served {
                self.register_joined(&group);
                self.mend(&group);
            }
        }
    }

    /// Makes good what happened to a cluster while nobody could decide: brokers that left leave their ISRs.
    fn mend(&mut self, group: &str) {
        let Some(cluster) = self.clusters.get_mut(group) else { return };
        let registered = cluster.registered.clone();
        for partition in cluster.topics.values_mut().flat_map(|topic| topic.partitions.values_mut()) {
            let live: Vec<i32> =
                partition.isr.iter().copied().filter(|id| registered.contains_key(id)).collect();
            if !live.is_empty() {
                partition.isr = live;
            } else {
                partition.isr.truncate(1);
            }
            if partition.leader.is_none_or(|leader| !registered.contains_key(&leader)) {
                partition.leader = elected(partition, &registered);
            }
        }
    }

    fn metadata_changed(&mut self, group: &str) {
        let ensemble = self.clusters.get(group).and_then(|cluster| self.ensemble_of(cluster));
        if let Some(ensemble) = ensemble.and_then(|ensemble| self.ensembles.get_mut(&ensemble)) {
            ensemble.zxid += 1;
        }
    }

    /// A broker's disk is gone for good.
    pub(in crate::host::fake) fn disk_gone(&mut self, facts: &NodeFacts) {
        let Some(cluster) = self.clusters.get_mut(&facts.group) else { return };
        let mut only = Vec::new();
        for (topic, number) in cluster.held.get(&facts.id).cloned().unwrap_or_default() {
            if cluster.partition(&topic, number).is_some_and(|partition| partition.isr == [facts.id]) {
                only.push(format!("{topic}-{number}: broker {} was the last one in sync", facts.id));
            }
        }
        only.into_iter().for_each(|what| self.breach(Loss::Data { what }));
    }

    /// An ensemble is gone for good, and what its clusters know of their topics with it.
    pub(in crate::host::fake) fn metadata_gone(&mut self, ensemble: &str) {
        let groups: Vec<String> = self
            .clusters
            .iter()
            .filter(|(_, cluster)| self.ensemble_of(cluster).is_none_or(|one| one == ensemble))
            .map(|(group, _)| group.clone())
            .collect();
        for group in groups {
            let Some(cluster) = self.clusters.get_mut(&group) else { continue };
            let topics: Vec<String> = cluster.topics.keys().cloned().collect();
            for topic in topics {
                cluster.drop_topic(&topic);
            }
        }
    }

    /// A reassignment is done.
    pub(in crate::host::fake) fn moved(&mut self, group: &str, topic: &str, number: i32) {
        let Some(cluster) = self.clusters.get_mut(group) else { return };
        let registered = cluster.registered.clone();
        let Some(partition) = cluster.partition(topic, number) else { return };
        let Some(target) = partition.target.take() else { return };
        let before = std::mem::replace(&mut partition.replicas, target.clone());
        partition.isr = target.iter().copied().filter(|id| registered.contains_key(id)).collect();
        if partition.leader.is_none_or(|leader| !target.contains(&leader)) {
            partition.leader = elected(partition, &registered);
        }
        for id in before.iter().filter(|id| !target.contains(id)) {
            if let Some(held) = cluster.held.get_mut(id) {
                held.remove(&(topic.to_owned(), number));
            }
        }
        for id in target {
            cluster.held.entry(id).or_default().insert((topic.to_owned(), number));
        }
        self.metadata_changed(group);
    }
}
