//! One description of a cluster out of what its brokers told, each for itself. Pure.

use super::Configs;
use crate::causes::with_causes;
use crate::kafka::api::Api;
use crate::kafka::client::Heard;
use crate::kafka::error::Attempt;
use crate::kafka::snapshot::{Snapshot, majority_controller};
use crate::kafka::{BrokerAnswer, ClusterView, ConfigSource, KafkaError, Reassignment, TopicView};
use kafka_protocol::messages::DescribeConfigsRequest;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The brokers that ZooKeeper names.
pub(super) struct Named {
    pub(super) controller: Option<i32>,
    pub(super) registered: BTreeSet<i32>,
}

impl Named {
    /// Whether a broker is registered. One that isn't has lost its way to ZooKeeper, or is about to come back.
    pub(super) fn knows(&self, broker: Option<i32>) -> bool {
        broker.is_none_or(|id| self.registered.contains(&id))
    }
}

/// Of the brokers that may be asked, the one whose metadata counts: the controller, or else the one that sees most brokers
/// alive (a broker that starts, or is cut off from the controller, sees few).
pub(super) fn most_trusted(
    heard: &Heard,
    controller: Option<&String>,
    may: impl Fn(&String, &Snapshot) -> bool,
) -> Option<String> {
    let trust = |at: &String, snapshot: &Snapshot| (Some(at) == controller, snapshot.brokers.len());
    let asked = heard.snapshots.iter().filter(|(at, snapshot)| may(at, snapshot));
    let best = asked.min_by_key(|(at, snapshot)| Reverse(trust(at, snapshot)))?;
    Some(best.0.clone())
}

pub(super) fn assemble(
    heard: Heard,
    source: &str,
    mut configs: BTreeMap<String, Configs>,
    of_brokers: Option<u32>,
    reassignments: Option<Vec<Reassignment>>,
) -> Result<ClusterView, KafkaError> {
    let controller = majority_controller(heard.snapshots.values());
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
pub(super) fn of_topic(settings: &Configs, of_brokers: Option<u32>) -> Option<u32> {
    let told = min_insync_replicas(settings)?;
    let own = settings[MIN_INSYNC_REPLICAS].source == ConfigSource::DynamicTopic;
    Some(if own { told } else { told.max(of_brokers.unwrap_or(told)) })
}

pub(super) fn min_insync_replicas(settings: &Configs) -> Option<u32> {
    settings.get(MIN_INSYNC_REPLICAS)?.value.as_ref()?.parse().ok()
}

pub(super) fn overrides(settings: Configs) -> BTreeMap<String, String> {
    let set = settings.into_iter().filter(|(_, entry)| entry.source == ConfigSource::DynamicTopic);
    set.filter_map(|(name, entry)| Some((name, entry.value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::snapshot::TopicSnapshot;
    use crate::kafka::{BrokerView, ConfigEntry, ConnectionError, PartitionView};

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
