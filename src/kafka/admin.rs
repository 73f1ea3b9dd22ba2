//! Changes: topics and their settings, replica orders, preferred elections. Each is one request to the
//! controller; what it may be asked for, and when, is the engine's business.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::client::Client;
use super::describe::TOPIC_RESOURCE;
use super::error::{ErrorCode, KafkaError, PartitionFailure};
use super::snapshot::{id_bits, topic_id};
use super::{NewTopic, TopicPartition};

/// Kafka's numbers for what to do with a setting.
const SET: i8 = 0;
const UNSET: i8 = 1;

/// Kafka's number for elections that let no replica lead but the preferred one, and only in sync.
const PREFERRED: i8 = 0;

/// The first version of DeleteTopics that takes each topic in a structure of its own.
const DELETE_BY_STATE: i16 = 6;

impl Client {
    /// See [`Kafka::create_topic`](super::Kafka::create_topic).
    pub(super) async fn create(&self, topic: &NewTopic) -> Result<Option<String>, KafkaError> {
        let configs: Vec<_> = topic
            .configs
            .iter()
            .map(|(name, value)| {
                CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
            })
            .collect();
        let brokers = |ids: &Vec<i32>| ids.iter().copied().map(BrokerId).collect();
        let placement: Vec<_> = (0..)
            .zip(&topic.placement)
            .map(|(partition, ids)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(partition)
                    .with_broker_ids(brokers(ids))
            })
            .collect();
        // Kafka takes numbers or a placement, not both.
        let (partitions, replication_factor) = match placement.is_empty() {
            true => (topic.partitions, topic.replication_factor),
            false => (-1, -1),
        };
        let build = |_, timeout_ms| {
            let topic = CreatableTopic::default()
                .with_name(topic_name(&topic.name))
                .with_num_partitions(partitions)
                .with_replication_factor(replication_factor)
                .with_assignments(placement.clone())
                .with_configs(configs.clone());
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms)
        };
        self.ask_controller(build, |address, response| {
            let made = response.topics.into_iter().next();
            let id = made.as_ref().and_then(|made| topic_id(made.topic_id.into_bytes()));
            let result = made.map(|r| (r.error_code, r.error_message));
            topic_result::<CreateTopicsRequest>(address, &topic.name, result).map(|()| id)
        })
        .await
    }

    /// See [`Kafka::grow_topic`](super::Kafka::grow_topic).
    pub(super) async fn grow(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let build = |_, timeout_ms| {
            let topic = CreatePartitionsTopic::default()
                .with_name(topic_name(topic))
                .with_count(partitions)
                .with_assignments(None);
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms)
        };
        self.ask_controller(build, |address, response| {
            let result = response.results.into_iter().next().map(|r| (r.error_code, r.error_message));
            topic_result::<CreatePartitionsRequest>(address, topic, result)
        })
        .await
    }

    /// See [`Kafka::alter_topic_configs`](super::Kafka::alter_topic_configs).
    pub(super) async fn alter_configs(
        &self,
        topic: &str,
        set: &BTreeMap<String, String>,
        unset: &BTreeSet<String>,
    ) -> Result<(), KafkaError> {
        if set.is_empty() && unset.is_empty() {
            return Ok(());
        }
        let changes: Vec<_> = (set.iter().map(|(name, value)| (name, SET, Some(text(value)))))
            .chain(unset.iter().map(|name| (name, UNSET, None)))
            .map(|(name, operation, value)| {
                AlterableConfig::default()
                    .with_name(text(name))
                    .with_config_operation(operation)
                    .with_value(value)
            })
            .collect();
        let build = |_, _| {
            let resource = AlterConfigsResource::default()
                .with_resource_type(TOPIC_RESOURCE)
                .with_resource_name(text(topic))
                .with_configs(changes.clone());
            IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
        };
        self.ask_controller(build, |address, response| {
            let result = response.responses.into_iter().next().map(|r| (r.error_code, r.error_message));
            topic_result::<IncrementalAlterConfigsRequest>(address, topic, result)
        })
        .await
    }

    /// See [`Kafka::delete_topic`](super::Kafka::delete_topic) and
    /// [`Kafka::delete_topic_of_id`](super::Kafka::delete_topic_of_id).
    pub(super) async fn delete(&self, topic: &str, id: Option<&str>) -> Result<(), KafkaError> {
        let id = match id {
            // What is no id is that of no topic.
            Some(id) => {
                let bits = id_bits(id).and_then(|bits| bits.to_be_bytes().to_vec().try_into().ok());
                Some(bits.ok_or_else(|| KafkaError::UnknownTopic { topic: topic.to_owned() })?)
            }
            None => None,
        };
        let build = |version, timeout_ms| {
            let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms);
            let name = topic_name(topic);
            let state = DeleteTopicState::default();
            match id {
                _ if version < DELETE_BY_STATE => request.with_topic_names(vec![name]),
                // Kafka takes a name or an id, not both.
                Some(id) => request.with_topics(vec![state.with_name(None).with_topic_id(id)]),
                None => request.with_topics(vec![state.with_name(Some(name))]),
            }
        };
        self.ask_controller(build, |address, response| {
            let result = response.responses.into_iter().next().map(|r| (r.error_code, r.error_message));
            topic_result::<DeleteTopicsRequest>(address, topic, result)
        })
        .await
    }

    /// See [`Kafka::reassign`](super::Kafka::reassign).
    pub(super) async fn alter_reassignments(
        &self,
        orders: &BTreeMap<TopicPartition, Vec<i32>>,
    ) -> Result<(), KafkaError> {
        if orders.is_empty() {
            return Ok(());
        }
        let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
        for (TopicPartition { topic, partition }, replicas) in orders {
            let replicas = replicas.iter().copied().map(BrokerId).collect();
            topics.entry(topic).or_default().push(
                ReassignablePartition::default()
                    .with_partition_index(*partition)
                    .with_replicas(Some(replicas)),
            );
        }
        let topics: Vec<_> = topics
            .into_iter()
            .map(|(topic, partitions)| {
                ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
            })
            .collect();
        let build = |_, timeout_ms| {
            AlterPartitionReassignmentsRequest::default()
                .with_topics(topics.clone())
                .with_timeout_ms(timeout_ms)
        };
        self.ask_controller(build, |address, response| {
            whole::<AlterPartitionReassignmentsRequest>(
                address,
                response.error_code,
                response.error_message,
            )?;
            let results = response.responses.into_iter().flat_map(|topic| {
                let name = topic.name.0.to_string();
                topic.partitions.into_iter().map(move |p| {
                    (TopicPartition::new(name.clone(), p.partition_index), p.error_code, p.error_message)
                })
            });
            partition_results::<AlterPartitionReassignmentsRequest>(address, results)
        })
        .await
    }

    /// See [`Kafka::elect_preferred`](super::Kafka::elect_preferred).
    pub(super) async fn elect(&self, partitions: &BTreeSet<TopicPartition>) -> Result<(), KafkaError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for TopicPartition { topic, partition } in partitions {
            topics.entry(topic).or_default().push(*partition);
        }
        let topics: Vec<_> = topics
            .into_iter()
            .map(|(topic, partitions)| {
                TopicPartitions::default().with_topic(topic_name(topic)).with_partitions(partitions)
            })
            .collect();
        let build = |_, timeout_ms| {
            ElectLeadersRequest::default()
                .with_election_type(PREFERRED)
                .with_topic_partitions(Some(topics.clone()))
                .with_timeout_ms(timeout_ms)
        };
        self.ask_controller(build, |address, response| {
            whole::<ElectLeadersRequest>(address, response.error_code, None)?;
            let results = response.replica_election_results.into_iter().flat_map(|topic| {
                let name = topic.topic.0.to_string();
                topic.partition_result.into_iter().map(move |p| {
                    (TopicPartition::new(name.clone(), p.partition_id), p.error_code, p.error_message)
                })
            });
            // The preferred replica leads already: as asked.
            let unneeded = ResponseError::ElectionNotNeeded.code();
            partition_results::<ElectLeadersRequest>(
                address,
                results.filter(|(_, code, _)| *code != unneeded),
            )
        })
        .await
    }
}

/// Reads the result of a request about one topic.
fn topic_result<R: Api>(
    address: &str,
    topic: &str,
    result: Option<(i16, Option<StrBytes>)>,
) -> Result<(), KafkaError> {
    let (address, api, topic) = (address.to_owned(), R::NAME, topic.to_owned());
    let Some((code, message)) = result else {
        return Err(KafkaError::Unmentioned { address, api, what: format!("topic {topic}") });
    };
    let Some(code) = ErrorCode::of(code) else { return Ok(()) };
    Err(match code.0 {
        ResponseError::TopicAlreadyExists => KafkaError::TopicExists { topic },
        ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId => {
            KafkaError::UnknownTopic { topic }
        }
        _ => {
            let message = message.map(|text| text.to_string());
            KafkaError::Rejected { address, api, subject: Some(topic), code, message }
        }
    })
}

/// Reads the part of a result that concerns the whole request.
fn whole<R: Api>(address: &str, code: i16, message: Option<StrBytes>) -> Result<(), KafkaError> {
    let Some(code) = ErrorCode::of(code) else { return Ok(()) };
    let (address, message) = (address.to_owned(), message.map(|text| text.to_string()));
    Err(KafkaError::Rejected { address, api: R::NAME, subject: None, code, message })
}

/// Gathers the partitions that were refused.
fn partition_results<R: Api>(
    address: &str,
    results: impl Iterator<Item = (TopicPartition, i16, Option<StrBytes>)>,
) -> Result<(), KafkaError> {
    let failures: Vec<_> = results
        .filter_map(|(partition, code, message)| {
            let message = message.map(|text| text.to_string());
            Some(PartitionFailure { partition, code: ErrorCode::of(code)?, message })
        })
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(KafkaError::PartitionsRejected { address: address.to_owned(), api: R::NAME, failures })
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_topic_and_a_missing_one_have_errors_of_their_own() {
        let read = |code| topic_result::<CreateTopicsRequest>("a:1", "t", Some((code, None)));
        assert!(read(0).is_ok());
        assert!(matches!(read(36), Err(KafkaError::TopicExists { topic }) if topic == "t"));
        for code in [3, 100] {
            assert!(matches!(read(code), Err(KafkaError::UnknownTopic { topic }) if topic == "t"));
        }
        assert!(read(41).unwrap_err().is_not_controller());
    }

    #[test]
    fn an_answer_that_skips_the_topic_is_no_success() {
        let error = topic_result::<CreateTopicsRequest>("a:1", "t", None).unwrap_err();
        assert_eq!(error.to_string(), "broker at a:1 answered CreateTopics without topic t");
    }

    #[test]
    fn refused_partitions_are_named_with_kafkas_words() {
        let results = [
            (TopicPartition::new("t", 0), 0, None),
            (TopicPartition::new("t", 1), 80, Some(StrBytes::from_static_str("replica 2 is not in sync"))),
        ];
        let error = partition_results::<ElectLeadersRequest>("a:1", results.into_iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "broker at a:1 refused ElectLeaders for t-1: PREFERRED_LEADER_NOT_AVAILABLE (replica 2 is not in sync)"
        );
    }
}
