//! Reads: the description of the whole cluster, topics' settings, reassignments in flight.
//!
//! A description is three requests to the controller (metadata, all topics' settings at once, reassignments)
//! and two to every broker (metadata, and how many replicas it wants in sync). `DescribeCluster` is not asked: brokers
//! answer it from the same cache as metadata, and two answers could disagree.

mod assemble;

use assemble::{MIN_INSYNC_REPLICAS, Named, assemble, min_insync_replicas, most_trusted};
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::{
    DescribeConfigsRequest, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::client::{Client, Heard, metadata};
use super::error::{Attempt, ErrorCode, KafkaError};
use super::snapshot::Snapshot;
use super::watchdog::{controller, look, registered_ids};
use super::{
    ClusterView, ConfigEntry, ConfigSource, ConnectionError, PartitionView, Reassignment, TopicPartition,
};

/// Kafka's number for topics among the things that have settings.
pub(super) const TOPIC_RESOURCE: i8 = 2;

/// Kafka's number for brokers among the things that have settings.
const BROKER_RESOURCE: i8 = 4;

/// `UNKNOWN_TOPIC_OR_PARTITION`.
pub(super) const UNKNOWN_TOPIC: i16 = 3;

type Configs = BTreeMap<String, ConfigEntry>;

impl Client {
    /// See [`Kafka::describe`](super::Kafka::describe).
    pub(super) async fn observe(&self) -> Result<ClusterView, KafkaError> {
        let mut heard = match self.hear(true).await {
            Err(KafkaError::NobodyAnswered { attempts, .. }) => {
                let registered = self.named().await.ok().flatten().map(|named| named.registered);
                return Err(KafkaError::NobodyAnswered { attempts, registered });
            }
            heard => heard?,
        };
        let controller = self.seek_controller(&mut heard).await;
        // After the brokers were heard: who is the controller by now was it then, or was it after that.
        let (min_insync, named) = tokio::try_join!(self.min_insync_of_brokers(&mut heard), self.named())?;
        loop {
            let reads =
                |at: &String, seen: &Snapshot| named.as_ref().is_none_or(|named| named.knows(seen.id_at(at)));
            let Some(source) = most_trusted(&heard, controller.as_ref(), reads) else {
                return Err(match heard.snapshots.into_keys().collect::<Vec<_>>() {
                    none if none.is_empty() => KafkaError::NobodyAnswered {
                        attempts: heard.silent,
                        registered: named.map(|named| named.registered),
                    },
                    addresses => KafkaError::NotRegistered { addresses },
                });
            };
            let topics = heard.snapshots[&source].topics.keys().map(String::as_str);
            let configs = match self.configs_from(&source, topics).await {
                Ok(configs) => configs,
                // It waits for ZooKeeper, and so would the others.
                Err(error @ KafkaError::Unreachable { source: ConnectionError::TimedOut { .. }, .. }) => {
                    return Err(error);
                }
                // It went away since it gave its metadata: the others' is left.
                Err(KafkaError::Unreachable { address, source: why }) => {
                    heard.snapshots.remove(&source);
                    heard.silent.push(Attempt { address, why });
                    continue;
                }
                Err(error) => return Err(error),
            };
            let reassignments = match &controller {
                Some(address) if heard.snapshots.contains_key(address) => {
                    self.reassignments_from(address).await.ok()
                }
                _ => None,
            };
            let mut view = assemble(heard, &source, configs, min_insync, reassignments)?;
            // One that lost its session and lives on knows nothing of the next one.
            view.controller =
                view.controller.filter(|id| named.is_none_or(|named| named.controller == Some(*id)));
            return Ok(view);
        }
    }

    /// Whom ZooKeeper names; `None` where no ensemble is known.
    async fn named(&self) -> Result<Option<Named>, KafkaError> {
        if self.zookeeper.is_empty() {
            return Ok(None);
        }
        let named = look(&self.zookeeper, self.timeouts.answer, |session| {
            Box::pin(async {
                let controller = controller(session).await?;
                Ok(Named { controller, registered: registered_ids(session).await?.into_iter().collect() })
            })
        });
        named.await.map(Some).map_err(|_| KafkaError::NoZookeeper)
    }

    /// The most that any broker that was heard asks for, for topics without a figure of their own: any of them may lead,
    /// and they differ while a roll changes it. Whoever has gone away since is heard no more.
    async fn min_insync_of_brokers(&self, heard: &mut Heard) -> Result<Option<u32>, KafkaError> {
        let asked =
            heard.snapshots.iter().filter_map(|(at, snapshot)| Some((at.clone(), snapshot.id_at(at)?)));
        let answers = asked.map(|(address, id)| async move {
            let only = Some(vec![StrBytes::from_static_str(MIN_INSYNC_REPLICAS)]);
            let resource = resource(BROKER_RESOURCE, &id.to_string()).with_configuration_keys(only);
            self.settings_from(&address, vec![resource]).await
        });
        let mut most = None;
        for found in join_all(answers).await {
            match found {
                Ok(found) => most = most.max(found.values().filter_map(min_insync_replicas).max()),
                Err(KafkaError::Unreachable { address, source: why }) => {
                    heard.snapshots.remove(&address);
                    heard.silent.push(Attempt { address, why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(most)
    }

    /// The controller, and every partition, as the most trusted broker's metadata tells them. Brokers answer it from
    /// memory. For settings they read ZooKeeper, and one that can't reach it keeps a request thread waiting for each
    /// time it is asked: who looks often, or while ZooKeeper is away, asks for this.
    ///
    /// # Errors
    /// Where no broker answered, or they are not of one cluster.
    pub async fn partitions(
        &self,
    ) -> Result<(Option<i32>, BTreeMap<TopicPartition, PartitionView>), KafkaError> {
        let mut heard = self.hear(true).await?;
        let asked = self.seek_controller(&mut heard).await;
        let controller = super::snapshot::majority_controller(heard.snapshots.values());
        let Some(source) = most_trusted(&heard, asked.as_ref(), |_, _| true) else {
            return Err(KafkaError::NobodyAnswered { attempts: heard.silent, registered: None });
        };
        let topics = heard.snapshots.remove(&source).map(|snapshot| snapshot.topics).unwrap_or_default();
        let of_topic = |(topic, seen): (String, super::snapshot::TopicSnapshot)| {
            seen.partitions.into_iter().map(move |(number, state)| {
                (TopicPartition { topic: topic.clone(), partition: number }, state)
            })
        };
        Ok((controller, topics.into_iter().flat_map(of_topic).collect()))
    }

    /// The address under which the controller was heard. Where no bootstrap address is its own, it is asked
    /// at the one it advertises.
    async fn seek_controller(&self, heard: &mut Heard) -> Option<String> {
        let (id, advertised) = heard.controller()?;
        if let Some((at, _)) = heard.snapshots.iter().find(|(at, snapshot)| snapshot.id_at(at) == Some(id)) {
            return Some(at.clone());
        }
        if heard.silent.iter().any(|attempt| attempt.address == advertised) {
            return None;
        }
        match metadata(&self.pool, &advertised, self.timeouts.answer, true).await {
            Ok(snapshot) => {
                heard.snapshots.insert(advertised.clone(), snapshot);
                Some(advertised)
            }
            Err(why) => {
                heard.silent.push(Attempt { address: advertised, why });
                None
            }
        }
    }

    /// See [`Kafka::describe_topic_configs`](super::Kafka::describe_topic_configs).
    pub(super) async fn topic_configs(&self, topic: &str) -> Result<Configs, KafkaError> {
        let heard = self.hear(false).await?;
        let controller = heard.controller().map(|(_, address)| address);
        let source = match controller {
            Some(address) => address,
            None => match most_trusted(&heard, None, |_, _| true) {
                Some(address) => address,
                None => return Err(KafkaError::NobodyAnswered { attempts: heard.silent, registered: None }),
            },
        };
        let mut found = self.configs_from(&source, [topic].into_iter()).await?;
        found.remove(topic).ok_or_else(|| KafkaError::UnknownTopic { topic: topic.to_owned() })
    }

    /// See [`Kafka::describe_broker_configs`](super::Kafka::describe_broker_configs).
    pub(super) async fn broker_configs(&self) -> Result<Configs, KafkaError> {
        let api = DescribeConfigsRequest::NAME;
        let Some((id, address)) = self.hear(false).await?.controller() else {
            return Err(KafkaError::NoController { api, waited: Duration::ZERO, last: None });
        };
        // Only the broker itself knows what its file says.
        let resource = resource(BROKER_RESOURCE, &id.to_string());
        let mut found = self.settings_from(&address, vec![resource]).await?;
        let what = format!("the settings of broker {id}");
        found.remove(&id.to_string()).ok_or(KafkaError::Unmentioned { address, api, what })
    }

    /// See [`Kafka::list_reassignments`](super::Kafka::list_reassignments).
    pub(super) async fn reassignments(&self) -> Result<Vec<Reassignment>, KafkaError> {
        self.ask_controller(|_, timeout_ms| list_request(timeout_ms), read_reassignments).await
    }

    async fn reassignments_from(&self, address: &str) -> Result<Vec<Reassignment>, KafkaError> {
        let limit = self.timeouts.answer;
        let timeout_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        let response = self.pool.call(address, limit, |_| list_request(timeout_ms)).await;
        let response =
            response.map_err(|source| KafkaError::Unreachable { address: address.to_owned(), source })?;
        read_reassignments(address, response)
    }

    /// The settings of these topics, in one request. A topic this broker doesn't know is left out: it was
    /// deleted meanwhile.
    async fn configs_from<'a>(
        &self,
        address: &str,
        topics: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, Configs>, KafkaError> {
        let resources: Vec<_> = topics.map(|topic| resource(TOPIC_RESOURCE, topic)).collect();
        if resources.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.settings_from(address, resources).await
    }

    /// The settings of these resources, by name. What this broker doesn't know is left out.
    async fn settings_from(
        &self,
        address: &str,
        resources: Vec<DescribeConfigsResource>,
    ) -> Result<BTreeMap<String, Configs>, KafkaError> {
        let request = DescribeConfigsRequest::default().with_resources(resources);
        let response = self.pool.call(address, self.timeouts.answer, |_| request).await;
        let response =
            response.map_err(|source| KafkaError::Unreachable { address: address.to_owned(), source })?;
        let mut found = BTreeMap::new();
        for result in response.results {
            match ErrorCode::of(result.error_code) {
                None => drop(found.insert(
                    result.resource_name.to_string(),
                    result.configs.into_iter().map(config_entry).collect(),
                )),
                Some(code) if code.number() == UNKNOWN_TOPIC => {}
                Some(code) => {
                    return Err(KafkaError::Rejected {
                        address: address.to_owned(),
                        api: DescribeConfigsRequest::NAME,
                        subject: Some(result.resource_name.to_string()),
                        code,
                        message: result.error_message.map(|text| text.to_string()),
                    });
                }
            }
        }
        Ok(found)
    }
}

/// All settings of one thing that has settings.
fn resource(kind: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(name.to_owned()))
        .with_configuration_keys(None)
}

fn config_entry(entry: DescribeConfigsResourceResult) -> (String, ConfigEntry) {
    let source = match entry.config_source {
        1 => ConfigSource::DynamicTopic,
        2 => ConfigSource::DynamicBroker,
        3 => ConfigSource::DynamicDefaultBroker,
        4 => ConfigSource::StaticBroker,
        5 => ConfigSource::Default,
        other => ConfigSource::Other(other),
    };
    let value = entry.value.filter(|_| !entry.is_sensitive).map(|value| value.to_string());
    (entry.name.to_string(), ConfigEntry { value, source })
}

fn list_request(timeout_ms: i32) -> ListPartitionReassignmentsRequest {
    ListPartitionReassignmentsRequest::default().with_timeout_ms(timeout_ms).with_topics(None)
}

fn read_reassignments(
    address: &str,
    response: ListPartitionReassignmentsResponse,
) -> Result<Vec<Reassignment>, KafkaError> {
    if let Some(code) = ErrorCode::of(response.error_code) {
        return Err(KafkaError::Rejected {
            address: address.to_owned(),
            api: ListPartitionReassignmentsRequest::NAME,
            subject: None,
            code,
            message: response.error_message.map(|text| text.to_string()),
        });
    }
    let mut found = vec![];
    for topic in response.topics {
        for partition in topic.partitions {
            let ids =
                |brokers: Vec<kafka_protocol::messages::BrokerId>| brokers.iter().map(|id| id.0).collect();
            found.push(Reassignment {
                topic: topic.name.0.to_string(),
                partition: partition.partition_index,
                replicas: ids(partition.replicas),
                adding: ids(partition.adding_replicas),
                removing: ids(partition.removing_replicas),
            });
        }
    }
    found.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    Ok(found)
}
