//! Reads: the description of the whole cluster, topics' settings, reassignments in flight.
//!
//! A description is three requests to the controller (metadata, all topics' settings at once, reassignments)
//! and two to every broker (metadata, and how many replicas it wants in sync). `DescribeCluster` is not asked: brokers
//! answer it from the same cache as metadata, and two answers could disagree.

use crate::causes::with_causes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
use super::watchdog::{controller, look, registered};
use super::{
    BrokerAnswer, ClusterView, ConfigEntry, ConfigSource, ConnectionError, PartitionView, Reassignment,
    TopicPartition, TopicView,
};

/// Kafka's number for topics among the things that have settings.
pub(super) const TOPIC_RESOURCE: i8 = 2;

/// Kafka's number for brokers among the things that have settings.
const BROKER_RESOURCE: i8 = 4;

/// `UNKNOWN_TOPIC_OR_PARTITION`.
pub(super) const UNKNOWN_TOPIC: i16 = 3;

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

type Configs = BTreeMap<String, ConfigEntry>;

/// The brokers that ZooKeeper names.
struct Named {
    controller: Option<i32>,
    registered: BTreeSet<i32>,
}

impl Named {
    /// Whether a broker is registered. One that isn't has lost its way to ZooKeeper, or is about to come back.
    fn knows(&self, broker: Option<i32>) -> bool {
        broker.is_none_or(|id| self.registered.contains(&id))
    }
}

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
                Ok(Named { controller, registered: registered(session).await?.into_keys().collect() })
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

/// Of the brokers that may be asked, the one whose metadata counts: the controller, or else the one that sees most brokers
/// alive (a broker that starts, or is cut off from the controller, sees few).
fn most_trusted(
    heard: &Heard,
    controller: Option<&String>,
    may: impl Fn(&String, &Snapshot) -> bool,
) -> Option<String> {
    let trust = |at: &String, snapshot: &Snapshot| (Some(at) == controller, snapshot.brokers.len());
    let asked = heard.snapshots.iter().filter(|(at, snapshot)| may(at, snapshot));
    let best = asked.min_by_key(|(at, snapshot)| Reverse(trust(at, snapshot)))?;
    Some(best.0.clone())
}

fn assemble(
    heard: Heard,
    source: &str,
    mut configs: BTreeMap<String, Configs>,
    of_brokers: Option<u32>,
    reassignments: Option<Vec<Reassignment>>,
) -> Result<ClusterView, KafkaError> {
    let controller = super::snapshot::majority_controller(heard.snapshots.values());
    let Heard { snapshots, silent } = heard;
    let trusted = &snapshots[source];
    let mut topics = BTreeMap::new();
    for (name, topic) in &trusted.topics {
        let Some(settings) = configs.remove(name) else { continue };
        topics.insert(
            name.clone(),
            TopicView {
                id: topic.id.clone(),
                internal: topic.internal,
                partitions: topic.partitions.clone(),
                min_insync_replicas: of_topic(&settings, of_brokers).ok_or_else(|| {
                    KafkaError::Unmentioned {
                        address: source.to_owned(),
                        api: DescribeConfigsRequest::NAME,
                        what: format!("{MIN_INSYNC_REPLICAS} of topic {name}"),
                    }
                })?,
                configs: overrides(settings),
            },
        );
    }
    let seen_alive: Arc<BTreeSet<i32>> = Arc::new(trusted.brokers.keys().copied().collect());
    let alive = |snapshot: &Snapshot| {
        if snapshot.brokers.keys().eq(trusted.brokers.keys()) {
            seen_alive.clone()
        } else {
            Arc::new(snapshot.brokers.keys().copied().collect())
        }
    };
    let mut answers: BTreeMap<_, _> = snapshots
        .iter()
        .map(|(address, snapshot)| {
            let answer = BrokerAnswer::Answered {
                id: snapshot.id_at(address).or_else(|| trusted.id_at(address)),
                controller: snapshot.controller,
                alive: alive(snapshot),
                differing: snapshot.differing_from(trusted),
            };
            (address.clone(), answer)
        })
        .collect();
    for Attempt { address, why } in silent {
        let closed = why.is_refused();
        answers.insert(address, BrokerAnswer::Silent { why: with_causes(&why), closed });
    }
    Ok(ClusterView {
        cluster_id: trusted.cluster_id.clone(),
        controller,
        seen_by: trusted.id_at(source),
        brokers: trusted.brokers.clone(),
        topics,
        reassignments,
        answers,
    })
}

/// What a topic says itself, or else the most that a broker does.
fn of_topic(settings: &Configs, of_brokers: Option<u32>) -> Option<u32> {
    let told = min_insync_replicas(settings)?;
    let own = settings[MIN_INSYNC_REPLICAS].source == ConfigSource::DynamicTopic;
    Some(if own { told } else { told.max(of_brokers.unwrap_or(told)) })
}

fn min_insync_replicas(settings: &Configs) -> Option<u32> {
    settings.get(MIN_INSYNC_REPLICAS)?.value.as_ref()?.parse().ok()
}

fn overrides(settings: Configs) -> BTreeMap<String, String> {
    let set = settings.into_iter().filter(|(_, entry)| entry.source == ConfigSource::DynamicTopic);
    set.filter_map(|(name, entry)| Some((name, entry.value?))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::BrokerView;
    use crate::kafka::snapshot::TopicSnapshot;

    fn snapshot(alive: &[i32], controller: Option<i32>, isr: &[i32]) -> Snapshot {
        let broker = |id: i32| BrokerView { host: format!("b{id}"), port: 9092, rack: None };
        let partition =
            PartitionView { leader: Some(1), replicas: vec![1, 2], isr: isr.to_vec(), offline: vec![] };
        let topic =
            TopicSnapshot { partitions: BTreeMap::from([(0, partition)]), ..TopicSnapshot::default() };
        Snapshot {
            cluster_id: Some("c".into()),
            controller,
            brokers: alive.iter().map(|id| (*id, broker(*id))).collect(),
            topics: BTreeMap::from([("t".into(), topic)]),
        }
    }

    fn entry(value: &str, source: ConfigSource) -> ConfigEntry {
        ConfigEntry { value: Some(value.into()), source }
    }

    fn heard(snapshots: Vec<(&str, Snapshot)>) -> Heard {
        Heard { snapshots: snapshots.into_iter().map(|(at, s)| (at.to_owned(), s)).collect(), silent: vec![] }
    }

    #[test]
    fn the_controllers_word_counts_most_then_whoever_sees_most_alive() {
        let heard = heard(vec![
            ("b1:9092", snapshot(&[1], None, &[1])),
            ("b2:9092", snapshot(&[1, 2, 3], Some(3), &[1])),
            ("b3:9092", snapshot(&[1, 3], Some(3), &[1])),
        ]);
        let b3 = "b3:9092".to_owned();
        assert_eq!(most_trusted(&heard, Some(&b3), |_, _| true).unwrap(), "b3:9092");
        assert_eq!(most_trusted(&heard, None, |_, _| true).unwrap(), "b2:9092");
        let registered = Named { controller: None, registered: BTreeSet::from([1]) };
        let reads = |at: &String, seen: &Snapshot| registered.knows(seen.id_at(at));
        assert_eq!(
            most_trusted(&heard, Some(&b3), reads).unwrap(),
            "b1:9092",
            "who waits for ZooKeeper isn't asked"
        );
    }

    #[test]
    fn a_view_tells_who_differs_and_who_is_silent() {
        let mut heard = heard(vec![
            ("b1:9092", snapshot(&[1, 2], Some(1), &[1])),
            ("b2:9092", snapshot(&[1, 2], Some(1), &[1, 2])),
        ]);
        heard
            .silent
            .push(Attempt { address: "b3:9092".into(), why: ConnectionError::Closed { api: "Metadata" } });
        let settings = BTreeMap::from([
            (MIN_INSYNC_REPLICAS.to_owned(), entry("2", ConfigSource::StaticBroker)),
            ("retention.ms".to_owned(), entry("1000", ConfigSource::DynamicTopic)),
        ]);
        let configs = BTreeMap::from([("t".to_owned(), settings)]);
        let view = assemble(heard, "b1:9092", configs, None, None).unwrap();
        assert_eq!((view.seen_by, view.controller), (Some(1), Some(1)));
        assert_eq!(view.topics["t"].partitions[&0].isr, [1]);
        assert_eq!(view.topics["t"].min_insync_replicas, 2);
        assert_eq!(view.topics["t"].configs, BTreeMap::from([("retention.ms".into(), "1000".into())]));
        let differing = |at: &str| match &view.answers[at] {
            BrokerAnswer::Answered { differing, .. } => differing.len(),
            BrokerAnswer::Silent { why, .. } => panic!("{at} is silent: {why}"),
        };
        assert_eq!((differing("b1:9092"), differing("b2:9092")), (0, 1));
        assert!(matches!(view.answers["b3:9092"], BrokerAnswer::Silent { .. }));
    }

    #[test]
    fn a_topic_without_min_insync_replicas_is_an_error_not_a_guess() {
        let heard = heard(vec![("b1:9092", snapshot(&[1], Some(1), &[1]))]);
        let configs = BTreeMap::from([("t".to_owned(), BTreeMap::new())]);
        let error = assemble(heard, "b1:9092", configs, None, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "broker at b1:9092 answered DescribeConfigs without min.insync.replicas of topic t"
        );
    }

    #[test]
    fn a_topic_that_sets_nothing_needs_what_any_broker_asks_for() {
        let settings =
            |figure, source| BTreeMap::from([(MIN_INSYNC_REPLICAS.to_owned(), entry(figure, source))]);
        let by_default = settings("1", ConfigSource::StaticBroker);
        assert_eq!(of_topic(&by_default, None), Some(1));
        assert_eq!((of_topic(&by_default, Some(2)), of_topic(&by_default, Some(1))), (Some(2), Some(1)));
        assert_eq!(of_topic(&settings("1", ConfigSource::DynamicTopic), Some(2)), Some(1));
    }

    #[test]
    fn a_topic_deleted_in_between_is_left_out() {
        let heard = heard(vec![("b1:9092", snapshot(&[1], Some(1), &[1]))]);
        let view = assemble(heard, "b1:9092", BTreeMap::new(), None, None).unwrap();
        assert!(view.topics.is_empty());
    }
}
