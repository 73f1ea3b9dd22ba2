//! What a Kafka cluster looks like at one moment: pure data, with the questions that safety rules ask of it.
//!
//! No I/O. Says what is, never what may be done: thresholds and consents belong to the engine.

mod controller;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use controller::ControllerStanding;

/// One observation of a cluster.
///
/// `topics` and `brokers` are one broker's metadata, `seen_by`: the controller's whenever it answered, since
/// it decides ISRs and leaders and tells the others; its own cache is first to know, yet still trails its
/// decisions by some milliseconds. When `seen_by` is not the controller the partitions may be stale by as
/// long as the cluster has been without one, so a gate also asks
/// [`controller_standing`](ClusterView::controller_standing).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Kafka's id of the cluster; `None` while no broker knows it (starting).
    pub cluster_id: Option<String>,
    /// The controller that most answering brokers name; `None` when they name none or are split evenly.
    pub controller: Option<i32>,
    /// The broker whose metadata `brokers` and `topics` are; `None` when that broker advertises an address
    /// other than the one it was asked at, so that its id isn't known.
    pub seen_by: Option<i32>,
    /// The live brokers (registered, not fenced), by id.
    pub brokers: BTreeMap<i32, BrokerView>,
    /// All topics, internal ones too, by name.
    pub topics: BTreeMap<String, TopicView>,
    /// The reassignments in flight; `None` when the controller could not be asked, which is not "none".
    pub reassignments: Option<Vec<Reassignment>>,
    /// What each broker that was asked said, by the address it was asked at.
    pub answers: BTreeMap<String, BrokerAnswer>,
}

/// A live broker, as it advertises itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerView {
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// `broker.rack`.
    pub rack: Option<String>,
}

impl BrokerView {
    /// The advertised address, `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicView {
    /// Kafka's id of it, as its tools print it; `None` on clusters without topic ids.
    pub id: Option<String>,
    /// Whether it is one of Kafka's own.
    pub internal: bool,
    /// Its partitions, by number.
    pub partitions: BTreeMap<i32, PartitionView>,
    /// The effective `min.insync.replicas`. Where a topic doesn't set it, the most that any broker that answered asks
    /// for: any of them may lead.
    pub min_insync_replicas: u32,
    /// The dynamic settings of this topic; not the defaults.
    pub configs: BTreeMap<String, String>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionView {
    /// The broker that leads it; `None` while it is offline.
    pub leader: Option<i32>,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync. A dead broker can be among them: the last one in sync stays.
    pub isr: Vec<i32>,
    /// Those on dead brokers or failed disks.
    pub offline: Vec<i32>,
}

/// A reassignment in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// All replicas while it lasts: old and new.
    pub replicas: Vec<i32>,
    /// Those being added.
    pub adding: Vec<i32>,
    /// Those to be removed.
    pub removing: Vec<i32>,
}

/// What one broker said when asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerAnswer {
    /// It answered. A broker that is still starting names no controller and sees nobody alive.
    Answered {
        /// Its id, found by its advertised address; `None` when it advertises another address.
        id: Option<i32>,
        /// The controller it names.
        controller: Option<i32>,
        /// The brokers it sees alive; shared by those that see the same.
        alive: Arc<BTreeSet<i32>>,
        /// The partitions of which it knows another leader or ISR than the view has. Empty once the
        /// controller's decisions have reached it.
        differing: BTreeSet<TopicPartition>,
    },
    /// It didn't.
    Silent {
        /// Why not, with the whole chain of causes.
        why: String,
        /// Its host answered, and says that nobody listens there.
        closed: bool,
    },
}

/// Names a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

/// As Kafka writes it in logs: `orders-3`.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition with where it is and the `min.insync.replicas` that holds for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocatedPartition<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// Its state.
    pub state: &'a PartitionView,
    /// The topic's `min.insync.replicas`.
    pub min_insync_replicas: u32,
}

impl LocatedPartition<'_> {
    /// Its name.
    pub fn name(&self) -> TopicPartition {
        TopicPartition::new(self.topic, self.partition)
    }

    /// The replicas that are not in sync.
    pub fn missing(&self) -> Vec<i32> {
        self.state.replicas.iter().copied().filter(|id| !self.state.isr.contains(id)).collect()
    }

    /// Whether it has more replicas than `min.insync.replicas`, so that one may be away while acks=all writes go on.
    pub fn has_spare(&self) -> bool {
        self.state.replicas.len() > self.min_insync_replicas as usize
    }

    /// How many replicas must be in sync for an acks=all write: `min.insync.replicas`, but never more than
    /// there are replicas. Kafka's partition leader caps it so (`Partition.effectiveMinIsr`, 3.9).
    pub fn required_in_sync(&self) -> usize {
        (self.min_insync_replicas as usize).min(self.state.replicas.len())
    }
}

impl ClusterView {
    /// Every partition, by topic and number.
    pub fn partitions(&self) -> impl Iterator<Item = LocatedPartition<'_>> {
        self.topics.iter().flat_map(|(name, topic)| {
            topic.partitions.iter().map(|(number, state)| LocatedPartition {
                topic: name,
                partition: *number,
                state,
                min_insync_replicas: topic.min_insync_replicas,
            })
        })
    }

    /// Whether every broker that answered knows of these partitions and who leads each.
    pub fn all_know(&self, topic: &str, partitions: i32) -> bool {
        let seen = self.topics.get(topic).is_some_and(|topic| {
            (0..partitions)
                .all(|number| topic.partitions.get(&number).is_some_and(|seen| seen.leader.is_some()))
        });
        let differs = |answer: &BrokerAnswer| match answer {
            BrokerAnswer::Answered { differing, .. } => differing.iter().any(|named| named.topic == topic),
            BrokerAnswer::Silent { .. } => false,
        };
        seen && !self.answers.values().any(differs)
    }

    /// The partitions with a replica that is not in sync. One that a reassignment is only adding doesn't count, as in
    /// Kafka's own figure (`Partition.isUnderReplicated`, 3.9).
    pub fn under_replicated(&self) -> impl Iterator<Item = LocatedPartition<'_>> {
        let comes = |partition: &LocatedPartition<'_>, id: i32| {
            let of =
                |one: &&Reassignment| one.topic == partition.topic && one.partition == partition.partition;
            let moving = self.reassignments.iter().flatten().find(of);
            moving.is_some_and(|moving| moving.adding.contains(&id))
        };
        self.partitions().filter(move |p| p.missing().into_iter().any(|id| !comes(p, id)))
    }

    /// The partitions without a leader: nobody can write or read them.
    pub fn offline(&self) -> impl Iterator<Item = LocatedPartition<'_>> {
        self.partitions().filter(|p| p.state.leader.is_none())
    }

    /// The partitions that refuse acks=all writes for want of replicas in sync; see
    /// [`LocatedPartition::required_in_sync`].
    pub fn under_min_isr(&self) -> impl Iterator<Item = LocatedPartition<'_>> {
        self.partitions().filter(|p| p.state.isr.len() < p.required_in_sync())
    }

    /// The partitions with a replica on this broker, in sync or not.
    pub fn replicas_on(&self, broker: i32) -> impl Iterator<Item = LocatedPartition<'_>> {
        self.partitions().filter(move |p| p.state.replicas.contains(&broker))
    }

    /// The partitions led by this broker.
    pub fn led_by(&self, broker: i32) -> impl Iterator<Item = LocatedPartition<'_>> {
        self.partitions().filter(move |p| p.state.leader == Some(broker))
    }

    /// The partitions led by another than their first replica; offline ones are not among them.
    pub fn not_preferred(&self) -> impl Iterator<Item = LocatedPartition<'_>> {
        self.partitions()
            .filter(|p| p.state.leader.is_some() && p.state.leader != p.state.replicas.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(leader: Option<i32>, replicas: &[i32], isr: &[i32]) -> PartitionView {
        PartitionView { leader, replicas: replicas.to_vec(), isr: isr.to_vec(), offline: vec![] }
    }

    pub(super) fn view(partitions: Vec<PartitionView>, min_insync_replicas: u32) -> ClusterView {
        let topic = TopicView {
            id: None,
            internal: false,
            partitions: (0..).zip(partitions).collect(),
            min_insync_replicas,
            configs: BTreeMap::new(),
        };
        ClusterView {
            cluster_id: Some("c".into()),
            controller: Some(1),
            seen_by: Some(1),
            brokers: BTreeMap::new(),
            topics: BTreeMap::from([("t".into(), topic)]),
            reassignments: Some(vec![]),
            answers: BTreeMap::new(),
        }
    }

    fn numbers<'a>(found: impl Iterator<Item = LocatedPartition<'a>>) -> Vec<i32> {
        found.map(|p| p.partition).collect()
    }

    pub(super) fn answered(id: i32, controller: Option<i32>) -> (String, BrokerAnswer) {
        let answer = BrokerAnswer::Answered {
            id: Some(id),
            controller,
            alive: Arc::new(BTreeSet::from([1, 2, 3])),
            differing: BTreeSet::new(),
        };
        (format!("b{id}:9092"), answer)
    }

    #[test]
    fn all_know_a_topic_once_its_partitions_are_led_and_nobody_differs() {
        let led = || partition(Some(1), &[1, 2], &[1, 2]);
        let mut view = view(vec![led(), led()], 1);
        view.answers.extend([answered(1, Some(1)), answered(2, Some(1))]);
        assert!(view.all_know("t", 2));
        assert!(!view.all_know("t", 3) && !view.all_know("u", 1));
        let differing = |view: &mut ClusterView, topic: &str| {
            let (at, mut answer) = answered(2, Some(1));
            if let BrokerAnswer::Answered { differing, .. } = &mut answer {
                differing.insert(TopicPartition::new(topic, 0));
            }
            view.answers.insert(at, answer);
        };
        differing(&mut view, "u");
        assert!(view.all_know("t", 2), "another topic");
        differing(&mut view, "t");
        assert!(!view.all_know("t", 2));
        view.answers.insert("b2:9092".into(), BrokerAnswer::Silent { why: "away".into(), closed: false });
        view.topics.get_mut("t").unwrap().partitions.get_mut(&1).unwrap().leader = None;
        assert!(!view.all_know("t", 2) && view.all_know("t", 1));
    }

    #[test]
    fn a_full_partition_has_no_complaint() {
        let view = view(vec![partition(Some(1), &[1, 2, 3], &[3, 2, 1])], 2);
        assert_eq!(view.partitions().count(), 1);
        assert_eq!(view.under_replicated().count(), 0);
        assert_eq!(view.offline().count(), 0);
        assert_eq!(view.under_min_isr().count(), 0);
        assert_eq!(view.not_preferred().count(), 0);
    }

    #[test]
    fn each_complaint_finds_its_partitions_only() {
        let view = view(
            vec![
                partition(Some(1), &[1, 2, 3], &[1, 2, 3]),
                partition(Some(1), &[1, 2, 3], &[1, 3]),
                partition(Some(3), &[1, 2, 3], &[3]),
                partition(None, &[2, 3, 1], &[2]),
            ],
            2,
        );
        assert_eq!(numbers(view.under_replicated()), [1, 2, 3]);
        assert_eq!(view.under_replicated().next().unwrap().missing(), [2]);
        assert_eq!(numbers(view.under_min_isr()), [2, 3]);
        assert_eq!(numbers(view.offline()), [3]);
        assert_eq!(numbers(view.not_preferred()), [2]);
        assert_eq!(numbers(view.led_by(1)), [0, 1]);
    }

    #[test]
    fn a_replica_on_its_way_is_not_missing_yet() {
        let mut view = view(vec![partition(Some(1), &[1, 2, 3], &[1, 2]); 2], 1);
        let adding = |adding: i32| Reassignment {
            topic: "t".into(),
            partition: 1,
            replicas: vec![1, 2, 3],
            adding: vec![adding],
            removing: vec![],
        };
        view.reassignments = Some(vec![adding(3)]);
        assert_eq!(numbers(view.under_replicated()), [0]);
        view.reassignments = Some(vec![adding(4)]);
        assert_eq!(numbers(view.under_replicated()), [0, 1]);
    }

    #[test]
    fn replicas_on_a_broker_count_in_sync_or_not() {
        let view = view(vec![partition(Some(1), &[1, 2], &[1]), partition(Some(1), &[1], &[1])], 1);
        assert_eq!(numbers(view.replicas_on(2)), [0]);
        assert_eq!(view.replicas_on(4).count(), 0);
    }

    #[test]
    fn min_isr_is_capped_by_the_replicas_there_are() {
        let view = view(vec![partition(Some(1), &[1], &[1]), partition(None, &[1], &[])], 2);
        assert_eq!(numbers(view.under_min_isr()), [1]);
    }

    #[test]
    fn a_view_survives_json() {
        let mut view = view(vec![partition(Some(1), &[1, 2], &[1])], 1);
        view.answers = BTreeMap::from([answered(1, Some(1))]);
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<ClusterView>(&json).unwrap(), view);
    }
}
