//! What simulated Kafka clusters tell clients of themselves.

use crate::host::fake::cluster::{Cluster, Topic};
use crate::host::fake::world::World;
use crate::kafka::{
    Attempt, BrokerAnswer, BrokerView, ClusterView, ConnectionError, KafkaError, PartitionView, Reassignment,
    TopicView,
};
use crate::model::NodeFacts;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// The zone that a broker tells.
pub(super) fn zone_of(facts: &NodeFacts) -> String {
    facts.host.zone.clone().unwrap_or_else(|| facts.host.name.clone())
}

impl World {
    fn broker_at(&self, endpoint: &str) -> Option<(&str, i32)> {
        let node = self.endpoints.get(endpoint).filter(|node| !self.still.contains(*node))?;
        let facts = self.nodes.get(node)?.facts()?;
        let here = facts.endpoint("client").as_deref() == Some(endpoint);
        here.then_some((facts.group.as_str(), facts.id))
    }

    fn stands_still_at(&self, endpoint: &str) -> bool {
        self.endpoints.get(endpoint).is_some_and(|node| self.still.contains(node))
    }

    pub(super) fn group_at(&self, bootstrap: &[String]) -> Result<String, KafkaError> {
        match bootstrap.iter().find_map(|endpoint| self.broker_at(endpoint)) {
            Some((group, _)) => Ok(group.to_owned()),
            None => Err(KafkaError::NobodyAnswered {
                attempts: bootstrap
                    .iter()
                    .map(|address| Attempt {
                        address: address.clone(),
                        why: match self.stands_still_at(address) {
                            true => {
                                ConnectionError::TimedOut { api: "Metadata", after: Duration::from_secs(3) }
                            }
                            false => ConnectionError::Connect { source: ErrorKind::ConnectionRefused.into() },
                        },
                    })
                    .collect(),
                registered: Some(self.registered_at(bootstrap)),
            }),
        }
    }

    /// The brokers at these addresses that are registered. One that stands still has lost its session by now.
    fn registered_at(&self, bootstrap: &[String]) -> BTreeSet<i32> {
        let nodes = bootstrap.iter().filter_map(|endpoint| self.endpoints.get(endpoint));
        let facts =
            nodes.filter(|node| !self.still.contains(*node)).filter_map(|node| self.nodes.get(node)?.facts());
        let registered = |facts: &&NodeFacts| {
            self.clusters.get(&facts.group).is_some_and(|cluster| cluster.registered.contains_key(&facts.id))
        };
        facts.filter(registered).map(|facts| facts.id).collect()
    }

    pub(super) fn view(&self, bootstrap: &[String]) -> Result<ClusterView, KafkaError> {
        let group = self.group_at(bootstrap)?;
        let none = Cluster::default();
        let cluster = self.clusters.get(&group).unwrap_or(&none);
        let controller = cluster.controller();
        let alive: Arc<BTreeSet<i32>> = Arc::new(cluster.registered.keys().copied().collect());
        let answer = |endpoint: &String| {
            let answer = match self.broker_at(endpoint) {
                None if self.stands_still_at(endpoint) => {
                    BrokerAnswer::Silent { why: "no answer in time".into(), closed: false }
                }
                None => {
                    BrokerAnswer::Silent { why: "cannot connect: connection refused".into(), closed: true }
                }
                Some((_, id)) => {
                    let knows = cluster.registered.contains_key(&id);
                    BrokerAnswer::Answered {
                        id: Some(id),
                        controller: controller.filter(|_| knows),
                        alive: if knows { alive.clone() } else { Arc::default() },
                        differing: BTreeSet::new(),
                    }
                }
            };
            (endpoint.clone(), answer)
        };
        let broker = |id: &i32| {
            let facts = self.nodes.get(cluster.running.get(id)?)?.facts()?;
            let host = facts.host.address.known().ok()?.clone();
            let port = *facts.ports.get("client")?;
            Some((*id, BrokerView { host, port, rack: Some(zone_of(facts)) }))
        };
        let topics =
            cluster.topics.iter().map(|(name, topic)| (name.clone(), cluster.topic_view(name, topic)));
        Ok(ClusterView {
            cluster_id: Some(cluster.id.clone().unwrap_or_else(|| "fake".into())),
            controller,
            seen_by: controller.or_else(|| bootstrap.iter().find_map(|at| Some(self.broker_at(at)?.1))),
            brokers: alive.iter().filter_map(broker).collect(),
            topics: topics.collect(),
            reassignments: controller.map(|_| cluster.reassignments()),
            answers: bootstrap.iter().map(answer).collect(),
        })
    }
}

impl Cluster {
    fn topic_view(&self, name: &str, topic: &Topic) -> TopicView {
        let partitions = topic.partitions.iter().map(|(number, partition)| {
            let dead = partition.replicas.iter().copied().filter(|id| !self.registered.contains_key(id));
            let coming = partition.target.iter().flatten().filter(|id| !partition.replicas.contains(id));
            let view = PartitionView {
                leader: partition.leader,
                // As Kafka tells it, old and new while they move.
                replicas: partition.replicas.iter().chain(coming).copied().collect(),
                isr: partition.isr.clone(),
                offline: dead.collect(),
            };
            (*number, view)
        });
        TopicView {
            id: Some(topic.id.clone()),
            internal: name.starts_with("__"),
            partitions: partitions.collect(),
            min_insync_replicas: self.min_insync_of(topic, self.registered.keys()),
            configs: topic.configs.clone(),
        }
    }

    pub(super) fn reassignments(&self) -> Vec<Reassignment> {
        let mut all = Vec::new();
        for (topic, number, partition) in self
            .topics
            .iter()
            .flat_map(|(name, topic)| topic.partitions.iter().map(move |(number, one)| (name, number, one)))
        {
            let Some(target) = &partition.target else { continue };
            let not_in = |ids: &[i32], others: &[i32]| {
                ids.iter().copied().filter(|id| !others.contains(id)).collect::<Vec<i32>>()
            };
            let adding = not_in(target, &partition.replicas);
            all.push(Reassignment {
                topic: topic.clone(),
                partition: *number,
                replicas: partition.replicas.iter().chain(&adding).copied().collect(),
                removing: not_in(&partition.replicas, target),
                adding,
            });
        }
        all
    }
}
