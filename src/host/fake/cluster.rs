//! The simulated Kafka clusters: who is registered, who controls, who leads and who is in sync.

mod brokers;

use super::record::Loss;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Cluster {
    /// Its own id, where it isn't `fake`.
    pub(super) id: Option<String>,
    /// The endpoints of the ensemble that holds the metadata.
    connect: Vec<String>,
    /// Brokers that run, by id.
    pub(super) running: BTreeMap<i32, String>,
    /// Those that reached ZooKeeper; registered while it has a quorum.
    joined: BTreeSet<i32>,
    /// Registered brokers, by id, with their place in the order in which they came.
    pub(super) registered: BTreeMap<i32, u64>,
    order: BTreeMap<u64, i32>,
    /// The places of those that were registered when ZooKeeper lost its quorum: their sessions go on.
    places: BTreeMap<i32, u64>,
    /// The disk that each broker was last seen with.
    disks: BTreeMap<i32, u64>,
    pub(super) topics: BTreeMap<String, Topic>,
    /// Partitions by broker that has a replica.
    held: BTreeMap<i32, BTreeSet<(String, i32)>>,
    /// The `min.insync.replicas` that each broker was last started with, for topics that don't set it.
    min_insync: BTreeMap<i32, u32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Topic {
    pub(super) id: String,
    pub(super) configs: BTreeMap<String, String>,
    pub(super) partitions: BTreeMap<i32, Partition>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Partition {
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
    /// The replicas that a reassignment leads to.
    pub(super) target: Option<Vec<i32>>,
}

impl Cluster {
    /// The controller: whoever registered first.
    pub(super) fn controller(&self) -> Option<i32> {
        self.order.values().next().copied()
    }

    /// What a topic says itself, or else the most that any of these brokers does.
    pub(super) fn min_insync_of<'a>(&self, topic: &Topic, brokers: impl Iterator<Item = &'a i32>) -> u32 {
        let own = topic.configs.get("min.insync.replicas").and_then(|value| value.parse().ok());
        let of_brokers = || brokers.filter_map(|id| self.min_insync.get(id)).max().copied();
        own.or_else(of_brokers).unwrap_or(1)
    }

    pub(super) fn partition(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.partitions.get_mut(&partition)
    }

    fn register(&mut self, id: i32, place: u64) {
        if self.registered.contains_key(&id) {
            return;
        }
        self.registered.insert(id, place);
        self.order.insert(place, id);
        // The last one in sync leads again as soon as it is back.
        self.each_held(id, |partition, _| {
            if partition.leader.is_none() && partition.isr.contains(&id) {
                partition.leader = Some(id);
            }
        });
    }

    fn each_held(&mut self, id: i32, mut change: impl FnMut(&mut Partition, &BTreeMap<i32, u64>)) {
        for (topic, number) in self.held.get(&id).into_iter().flatten() {
            if let Some(partition) =
                self.topics.get_mut(topic).and_then(|topic| topic.partitions.get_mut(number))
            {
                change(partition, &self.registered);
            }
        }
    }

    fn unregister(&mut self, id: i32) {
        if let Some(place) = self.registered.remove(&id) {
            self.order.remove(&place);
        }
        self.each_held(id, |partition, registered| {
            if partition.isr.len() > 1 {
                partition.isr.retain(|other| *other != id);
            }
            if partition.leader == Some(id) {
                partition.leader = elected(partition, registered);
            }
        });
    }

    /// Partitions that have fewer replicas in sync than they need, on brokers that run and don't stand `still`, among those
    /// of one broker in sync that has just ended. One that served nobody is not missed: it stood still, or its session was
    /// over.
    fn missed(&self, id: i32, still: &BTreeSet<i32>) -> Vec<Loss> {
        let mut losses = Vec::new();
        if still.contains(&id) || !(self.registered.contains_key(&id) || self.places.contains_key(&id)) {
            return losses;
        }
        for (name, number) in self.held.get(&id).into_iter().flatten() {
            let Some(topic) = self.topics.get(name) else { continue };
            let Some(partition) = topic.partitions.get(number) else { continue };
            if !partition.isr.contains(&id) {
                continue;
            }
            losses.extend(self.falls_short(name, topic, *number, still));
        }
        losses
    }

    /// The partitions of a topic that take no records, by number.
    pub(super) fn shut(&self, name: &str) -> BTreeMap<i32, Loss> {
        let Some(topic) = self.topics.get(name) else { return BTreeMap::new() };
        let short = |number: &i32| Some((*number, self.falls_short(name, topic, *number, &BTreeSet::new())?));
        topic.partitions.keys().filter_map(short).collect()
    }

    fn falls_short(&self, name: &str, topic: &Topic, number: i32, still: &BTreeSet<i32>) -> Option<Loss> {
        let partition = topic.partitions.get(&number)?;
        let serves = |one: &i32| self.running.contains_key(one) && !still.contains(one);
        let live: Vec<i32> = partition.isr.iter().copied().filter(serves).collect();
        let required = self.min_insync_of(topic, partition.isr.iter()) as usize;
        let required = required.min(partition.replicas.len());
        (live.len() < required).then(|| Loss::MinIsr {
            topic: name.to_owned(),
            partition: number,
            live,
            required,
        })
    }

    /// Replicas for `count` partitions from number `first` on, over registered brokers, each rack once before twice.
    pub(super) fn assign(
        &self,
        racks: &BTreeMap<i32, String>,
        first: usize,
        count: usize,
        replicas: usize,
    ) -> Vec<Vec<i32>> {
        let mut by_rack: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for id in self.registered.keys() {
            by_rack.entry(racks.get(id).map_or("", String::as_str)).or_default().push(*id);
        }
        let deepest = by_rack.values().map(Vec::len).max().unwrap_or(0);
        let ring: Vec<(i32, &str)> = (0..deepest)
            .flat_map(|depth| by_rack.iter().filter_map(move |(rack, ids)| Some((*ids.get(depth)?, *rack))))
            .collect();
        let place = |number: usize| {
            let around = || (0..ring.len()).map(|step| ring[(number + step) % ring.len()]);
            let mut chosen: Vec<i32> = Vec::new();
            let mut seen = BTreeSet::new();
            for (id, rack) in around().take(if replicas == 0 { 0 } else { ring.len() }) {
                if chosen.len() < replicas && seen.insert(rack) {
                    chosen.push(id);
                }
                if chosen.len() == replicas {
                    break;
                }
            }
            for (id, _) in around() {
                if chosen.len() < replicas && !chosen.contains(&id) {
                    chosen.push(id);
                }
                if chosen.len() == replicas {
                    break;
                }
            }
            chosen
        };
        (first..first + count).map(place).collect()
    }

    pub(super) fn add_partition(&mut self, topic: &str, number: i32, replicas: Vec<i32>) {
        for id in &replicas {
            self.held.entry(*id).or_default().insert((topic.to_owned(), number));
        }
        let leader = replicas.first().copied();
        let partition = Partition { leader, isr: replicas.clone(), replicas, target: None };
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.partitions.insert(number, partition);
        }
    }

    pub(super) fn drop_topic(&mut self, name: &str) -> Option<Topic> {
        let topic = self.topics.remove(name)?;
        for (number, partition) in &topic.partitions {
            for id in &partition.replicas {
                if let Some(held) = self.held.get_mut(id) {
                    held.remove(&(name.to_owned(), *number));
                }
            }
        }
        Some(topic)
    }

    /// Takes one replica out of a partition's ISR, as if it had fallen behind.
    pub(super) fn shrink(&mut self, topic: &str, partition: i32, id: i32) -> bool {
        let registered = self.registered.clone();
        let Some(partition) = self.partition(topic, partition) else { return false };
        if partition.isr.len() < 2 || !partition.isr.contains(&id) {
            return false;
        }
        partition.isr.retain(|other| *other != id);
        if partition.leader == Some(id) {
            partition.leader = elected(partition, &registered);
        }
        true
    }
}

/// The first replica that is in sync and registered.
fn elected(partition: &Partition, registered: &BTreeMap<i32, u64>) -> Option<i32> {
    let fit = |id: &&i32| partition.isr.contains(id) && registered.contains_key(id);
    partition.replicas.iter().find(fit).copied()
}
