//! The simulated Kafka clusters as clients see them.

mod describe;

use super::FakeWorld;
use super::cluster::{Cluster, Topic};
use super::record::Loss;
use super::world::{Due, World};
use crate::kafka::{
    ClusterView, ConfigEntry, ConfigSource, ConnectionError, ErrorCode, Kafka, KafkaError, NewTopic,
    PartitionFailure, Reassignment, TopicPartition,
};
use async_trait::async_trait;
use describe::zone_of;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) struct Client {
    pub(super) world: FakeWorld,
    pub(super) bootstrap: Vec<String>,
}

/// Kafka's numbers for its reasons.
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const PREFERRED_LEADER_NOT_AVAILABLE: i16 = 80;

fn refused(api: &'static str, topic: &str, code: i16, message: String) -> KafkaError {
    KafkaError::Rejected {
        address: "the controller".into(),
        api,
        subject: Some(topic.to_owned()),
        code: ErrorCode::of(code).expect("the code is an error's"),
        message: Some(message),
    }
}

fn cut_off(api: &'static str) -> impl FnOnce() -> KafkaError {
    move || KafkaError::Unreachable {
        address: "the controller".into(),
        source: ConnectionError::Closed { api },
    }
}

impl World {
    /// The cluster, where it has a controller to take a change.
    fn controlled(&mut self, api: &'static str, bootstrap: &[String]) -> Result<&mut Cluster, KafkaError> {
        let group = self.group_at(bootstrap)?;
        let cluster = self.clusters.get_mut(&group).filter(|cluster| cluster.controller().is_some());
        cluster.ok_or(KafkaError::NoController { api, waited: Duration::ZERO, last: None })
    }

    fn racks(&self, group: &str) -> BTreeMap<i32, String> {
        let Some(cluster) = self.clusters.get(group) else { return BTreeMap::new() };
        let facts = cluster.running.values().filter_map(|node| self.nodes.get(node)?.facts());
        facts.map(|facts| (facts.id, zone_of(facts))).collect()
    }

    fn create_topic(&mut self, bootstrap: &[String], topic: &NewTopic) -> Result<Option<String>, KafkaError> {
        let group = self.group_at(bootstrap)?;
        let racks = self.racks(&group);
        let id = format!("topic-{}", self.number());
        let cluster = self.controlled("CreateTopics", bootstrap)?;
        if cluster.topics.contains_key(&topic.name) {
            return Err(KafkaError::TopicExists { topic: topic.name.clone() });
        }
        let live = cluster.registered.len();
        let replicas = usize::try_from(topic.replication_factor).unwrap_or(0);
        if replicas == 0 || replicas > live {
            let message = format!("Replication factor: {replicas} larger than available brokers: {live}.");
            return Err(refused("CreateTopics", &topic.name, INVALID_REPLICATION_FACTOR, message));
        }
        cluster.topics.insert(
            topic.name.clone(),
            Topic { id: id.clone(), configs: topic.configs.clone(), partitions: BTreeMap::new() },
        );
        match topic.placement.as_slice() {
            [] => cluster.grow(&racks, &topic.name, topic.partitions, replicas),
            placement => {
                for (number, replicas) in (0..).zip(placement) {
                    cluster.add_partition(&topic.name, number, replicas.clone());
                }
            }
        }
        Ok(Some(id))
    }

    pub(super) fn grown_by_another_hand(&mut self, group: &str, topic: &str, partitions: i32) -> Option<()> {
        let (racks, number) = (self.racks(group), self.number());
        let cluster = self.clusters.get_mut(group)?;
        let existing = cluster.topics.entry(topic.to_owned()).or_insert_with(|| Topic {
            id: format!("topic-{number}"),
            configs: BTreeMap::new(),
            partitions: BTreeMap::new(),
        });
        let replicas = existing.partitions.values().next().map_or(1, |first| first.replicas.len());
        cluster.grow(&racks, topic, partitions, replicas);
        Some(())
    }

    fn grow_topic(&mut self, bootstrap: &[String], topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let group = self.group_at(bootstrap)?;
        let racks = self.racks(&group);
        let cluster = self.controlled("CreatePartitions", bootstrap)?;
        let now = known(cluster, topic)?;
        let (count, first) = (now.partitions.len(), now.partitions.values().next());
        let replicas = first.map_or(1, |partition| partition.replicas.len());
        if usize::try_from(partitions).unwrap_or(0) <= count {
            let message =
                format!("Topic currently has {count} partitions, which is not fewer than {partitions}.");
            return Err(refused("CreatePartitions", topic, INVALID_PARTITIONS, message));
        }
        cluster.grow(&racks, topic, partitions, replicas);
        Ok(())
    }

    fn reassign(
        &mut self,
        bootstrap: &[String],
        orders: &BTreeMap<TopicPartition, Vec<i32>>,
    ) -> Result<(), KafkaError> {
        let group = self.group_at(bootstrap)?;
        let cluster = self.controlled("AlterPartitionReassignments", bootstrap)?;
        let mut begun = Vec::new();
        for (which, replicas) in orders {
            let Some(partition) = cluster.partition(&which.topic, which.partition) else {
                return Err(KafkaError::UnknownTopic { topic: which.topic.clone() });
            };
            let set = |ids: &[i32]| ids.iter().copied().collect::<BTreeSet<i32>>();
            if set(replicas) == set(&partition.replicas) {
                partition.replicas.clone_from(replicas);
            } else {
                partition.target = Some(replicas.clone());
                begun.push(which.clone());
            }
        }
        for TopicPartition { topic, partition } in begun {
            self.later(Due::Moved { cluster: group.clone(), topic, partition });
        }
        Ok(())
    }

    fn elect_preferred(
        &mut self,
        bootstrap: &[String],
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<(), KafkaError> {
        let cluster = self.controlled("ElectLeaders", bootstrap)?;
        let mut failures = Vec::new();
        for which in partitions {
            let registered: BTreeSet<i32> = cluster.registered.keys().copied().collect();
            let Some(partition) = cluster.partition(&which.topic, which.partition) else { continue };
            let fit = |id: &&i32| partition.isr.contains(id) && registered.contains(id);
            match partition.replicas.first().filter(fit) {
                Some(preferred) => partition.leader = Some(*preferred),
                None => failures.push(PartitionFailure {
                    partition: which.clone(),
                    code: ErrorCode::of(PREFERRED_LEADER_NOT_AVAILABLE).expect("the code is an error's"),
                    message: None,
                }),
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(KafkaError::PartitionsRejected {
            address: "the controller".into(),
            api: "ElectLeaders",
            failures,
        })
    }
}

fn known<'a>(cluster: &'a mut Cluster, topic: &str) -> Result<&'a mut Topic, KafkaError> {
    cluster.topics.get_mut(topic).ok_or_else(|| KafkaError::UnknownTopic { topic: topic.to_owned() })
}

impl Cluster {
    pub(super) fn grow(
        &mut self,
        racks: &BTreeMap<i32, String>,
        topic: &str,
        partitions: i32,
        replicas: usize,
    ) {
        let first = self.topics.get(topic).map_or(0, |topic| topic.partitions.len());
        let total = usize::try_from(partitions).unwrap_or(0);
        let assigned = self.assign(racks, first, total.saturating_sub(first), replicas);
        for (number, replicas) in (i32::try_from(first).unwrap_or(0)..).zip(assigned) {
            self.add_partition(topic, number, replicas);
        }
    }
}

#[async_trait]
impl Kafka for Client {
    async fn describe(&self) -> Result<ClusterView, KafkaError> {
        let mut world = self.world.lock();
        world.pass();
        world.looked_at(|world| world.view(&self.bootstrap))
    }

    async fn create_topic(&self, topic: &NewTopic) -> Result<Option<String>, KafkaError> {
        let create = |world: &mut World| world.create_topic(&self.bootstrap, topic);
        self.world.act("create-topic", &topic.name, create, cut_off("CreateTopics")).await
    }

    async fn grow_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let grow = |world: &mut World| world.grow_topic(&self.bootstrap, topic, partitions);
        self.world.act("grow-topic", topic, grow, cut_off("CreatePartitions")).await
    }

    async fn alter_topic_configs(
        &self,
        topic: &str,
        set: &BTreeMap<String, String>,
        unset: &BTreeSet<String>,
    ) -> Result<(), KafkaError> {
        let alter = |world: &mut World| {
            let cluster = world.controlled("IncrementalAlterConfigs", &self.bootstrap)?;
            known(cluster, topic)?;
            let before = cluster.shut(topic);
            let configs = &mut known(cluster, topic)?.configs;
            configs.retain(|name, _| !unset.contains(name));
            configs.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
            let shut = cluster.shut(topic).into_iter().filter(|(number, _)| !before.contains_key(number));
            let shut: Vec<Loss> = shut.map(|(_, loss)| loss).collect();
            shut.into_iter().for_each(|loss| world.breach(loss));
            Ok(())
        };
        self.world.act("alter-topic", topic, alter, cut_off("IncrementalAlterConfigs")).await
    }

    async fn delete_topic(&self, topic: &str) -> Result<(), KafkaError> {
        let delete = |world: &mut World| {
            let cluster = world.controlled("DeleteTopics", &self.bootstrap)?;
            let gone = cluster.drop_topic(topic);
            gone.map(|_| ()).ok_or_else(|| KafkaError::UnknownTopic { topic: topic.to_owned() })
        };
        self.world.act("delete-topic", topic, delete, cut_off("DeleteTopics")).await
    }

    async fn delete_topic_of_id(&self, topic: &str, id: &str) -> Result<(), KafkaError> {
        let delete = |world: &mut World| {
            let cluster = world.controlled("DeleteTopics", &self.bootstrap)?;
            let found = cluster.topics.iter().find(|(_, one)| one.id == id).map(|(name, _)| name.clone());
            let gone = found.and_then(|name| cluster.drop_topic(&name));
            gone.map(|_| ()).ok_or_else(|| KafkaError::UnknownTopic { topic: topic.to_owned() })
        };
        self.world.act("delete-topic", topic, delete, cut_off("DeleteTopics")).await
    }

    async fn describe_topic_configs(&self, topic: &str) -> Result<BTreeMap<String, ConfigEntry>, KafkaError> {
        let mut world = self.world.lock();
        let cluster = world.controlled("DescribeConfigs", &self.bootstrap)?;
        let configs = known(cluster, topic)?.configs.clone();
        let entry = |value| ConfigEntry { value: Some(value), source: ConfigSource::DynamicTopic };
        Ok(configs.into_iter().map(|(name, value)| (name, entry(value))).collect())
    }

    async fn describe_broker_configs(&self) -> Result<BTreeMap<String, ConfigEntry>, KafkaError> {
        let mut world = self.world.lock();
        let cluster = world.controlled("DescribeConfigs", &self.bootstrap)?;
        let node = cluster.controller().and_then(|id| cluster.running.get(&id)).cloned();
        let facts = node.and_then(|node| world.nodes.get(&node)?.facts().cloned());
        let settings = facts.map(|facts| facts.settings).unwrap_or_default();
        let entry = |value| ConfigEntry { value: Some(value), source: ConfigSource::StaticBroker };
        let known =
            settings.into_iter().filter_map(|(name, value)| Some((name, value.known().ok()?.clone())));
        Ok(known.map(|(name, value)| (name, entry(value))).collect())
    }

    async fn rates(&self) -> Result<BTreeMap<String, f64>, KafkaError> {
        Ok(self.world.lock().rates.clone())
    }

    async fn reassign(&self, orders: &BTreeMap<TopicPartition, Vec<i32>>) -> Result<(), KafkaError> {
        let reassign = |world: &mut World| world.reassign(&self.bootstrap, orders);
        self.world.act("reassign", "partitions", reassign, cut_off("AlterPartitionReassignments")).await
    }

    async fn list_reassignments(&self) -> Result<Vec<Reassignment>, KafkaError> {
        let mut world = self.world.lock();
        Ok(world.controlled("ListPartitionReassignments", &self.bootstrap)?.reassignments())
    }

    async fn elect_preferred(&self, partitions: &BTreeSet<TopicPartition>) -> Result<(), KafkaError> {
        let elect = |world: &mut World| world.elect_preferred(&self.bootstrap, partitions);
        self.world.act("elect", "preferred leaders", elect, cut_off("ElectLeaders")).await
    }
}
