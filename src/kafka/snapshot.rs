//! One broker's metadata, and how several brokers' are weighed against each other. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse};

use super::view::{BrokerView, PartitionView, TopicPartition};

/// What one broker knows of its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) cluster_id: Option<String>,
    pub(crate) controller: Option<i32>,
    pub(crate) brokers: BTreeMap<i32, BrokerView>,
    pub(crate) topics: BTreeMap<String, TopicSnapshot>,
}

/// A topic as metadata has it: without settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicSnapshot {
    pub(crate) id: Option<String>,
    pub(crate) internal: bool,
    pub(crate) partitions: BTreeMap<i32, PartitionView>,
}

impl From<MetadataResponse> for Snapshot {
    fn from(response: MetadataResponse) -> Self {
        Self {
            cluster_id: response.cluster_id.map(|id| id.to_string()).filter(|id| !id.is_empty()),
            controller: known(response.controller_id),
            brokers: response.brokers.into_iter().map(|b| (b.node_id.0, broker(b))).collect(),
            topics: response
                .topics
                .into_iter()
                .filter_map(|mut t| Some((t.name.take()?.0.to_string(), topic(t))))
                .collect(),
        }
    }
}

impl Snapshot {
    /// The id of the broker that advertises this address.
    pub(crate) fn id_at(&self, address: &str) -> Option<i32> {
        self.brokers.iter().find(|(_, broker)| broker.address() == address).map(|(id, _)| *id)
    }

    /// The partitions of the other one whose leader or ISR it knows differently, or not at all. What it knows alone was
    /// deleted while it was cut off: no controller ever tells it so.
    pub(crate) fn differing_from(&self, other: &Self) -> BTreeSet<TopicPartition> {
        // Names are made only of those that differ: nearly always none, out of thousands.
        other
            .partition_names()
            .filter(|(topic, number)| {
                let (ours, theirs) = (self.partition(topic, *number), other.partition(topic, *number));
                ours.map(leadership) != theirs.map(leadership)
            })
            .map(|(topic, number)| TopicPartition::new(topic, number))
            .collect()
    }

    fn partition_names(&self) -> impl Iterator<Item = (&str, i32)> {
        self.topics
            .iter()
            .flat_map(|(name, topic)| topic.partitions.keys().map(move |number| (name.as_str(), *number)))
    }

    fn partition(&self, topic: &str, number: i32) -> Option<&PartitionView> {
        self.topics.get(topic)?.partitions.get(&number)
    }
}

/// Who leads and who is in sync; the order of an ISR carries no meaning.
fn leadership(partition: &PartitionView) -> (Option<i32>, Vec<i32>) {
    let mut isr = partition.isr.clone();
    isr.sort_unstable();
    (partition.leader, isr)
}

/// The controller that most brokers name, those that name none left out; `None` on a tie.
pub(crate) fn majority_controller<'a>(heard: impl IntoIterator<Item = &'a Snapshot>) -> Option<i32> {
    let mut votes: BTreeMap<i32, usize> = BTreeMap::new();
    for id in heard.into_iter().filter_map(|snapshot| snapshot.controller) {
        *votes.entry(id).or_default() += 1;
    }
    let most = votes.values().copied().max()?;
    let mut leading = votes.into_iter().filter(|(_, count)| *count == most);
    let (id, _) = leading.next()?;
    leading.next().is_none().then_some(id)
}

fn broker(broker: MetadataResponseBroker) -> BrokerView {
    BrokerView {
        host: broker.host.to_string(),
        // Kafka validates listener ports, so the wire's 32 bits hold 16.
        port: broker.port as u16,
        rack: broker.rack.map(|rack| rack.to_string()),
    }
}

fn topic(topic: MetadataResponseTopic) -> TopicSnapshot {
    TopicSnapshot {
        id: topic_id(topic.topic_id.into_bytes()),
        internal: topic.is_internal,
        partitions: topic.partitions.into_iter().map(|p| (p.partition_index, partition(p))).collect(),
    }
}

fn partition(partition: MetadataResponsePartition) -> PartitionView {
    PartitionView {
        leader: known(partition.leader_id),
        replicas: ids(partition.replica_nodes),
        isr: ids(partition.isr_nodes),
        offline: ids(partition.offline_replicas),
    }
}

fn ids(brokers: Vec<BrokerId>) -> Vec<i32> {
    brokers.into_iter().map(|id| id.0).collect()
}

/// Kafka says -1 for nobody, and -2 for the leader of a partition being deleted.
fn known(id: BrokerId) -> Option<i32> {
    (id.0 >= 0).then_some(id.0)
}

/// A topic id as Kafka's tools print it: URL-safe base64 without padding. All zeros is no id.
pub(crate) fn topic_id(id: [u8; 16]) -> Option<String> {
    // 128 bits are 22 digits of 6 bits; the last has 4 zero bits appended.
    let bits = u128::from_be_bytes(id);
    let digit = |at: u32| if at < 21 { bits >> (122 - 6 * at) } else { bits << 4 };
    let text = (0..22).map(|at| char::from(ALPHABET[(digit(at) & 63) as usize])).collect();
    (bits != 0).then_some(text)
}

/// The 128 bits of a topic id as [`topic_id`] prints it; `None` where it is none.
pub(crate) fn id_bits(text: &str) -> Option<u128> {
    let digit = |byte: u8| Some(ALPHABET.iter().position(|one| *one == byte)? as u128);
    let (last, first) = text.as_bytes().split_last().filter(|(_, first)| first.len() == 21)?;
    let bits = first.iter().try_fold(0, |bits, byte| Some((bits << 6) | digit(*byte)?))?;
    Some((bits << 2) | (digit(*last)? >> 4))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(controller: Option<i32>) -> Snapshot {
        Snapshot { controller, ..Snapshot::default() }
    }

    fn knowing(leader: i32, isr: &[i32]) -> Snapshot {
        let partition =
            PartitionView { leader: Some(leader), replicas: vec![1, 2], isr: isr.to_vec(), offline: vec![] };
        let topic =
            TopicSnapshot { partitions: BTreeMap::from([(0, partition)]), ..TopicSnapshot::default() };
        Snapshot { topics: BTreeMap::from([("t".into(), topic)]), ..Snapshot::default() }
    }

    #[test]
    fn the_controller_is_whom_most_name() {
        assert_eq!(majority_controller(&[naming(Some(1)), naming(Some(2)), naming(Some(2))]), Some(2));
        assert_eq!(majority_controller(&[naming(None), naming(None), naming(Some(2))]), Some(2));
        assert_eq!(majority_controller(&[naming(Some(1)), naming(Some(2))]), None);
        assert_eq!(majority_controller(&[naming(None)]), None);
    }

    #[test]
    fn metadata_differs_by_leader_and_members_of_the_isr_only() {
        let differing = BTreeSet::from([TopicPartition::new("t", 0)]);
        assert_eq!(knowing(1, &[1, 2]).differing_from(&knowing(1, &[2, 1])), BTreeSet::new());
        assert_eq!(knowing(1, &[1, 2]).differing_from(&knowing(1, &[1])), differing);
        assert_eq!(knowing(1, &[1, 2]).differing_from(&knowing(2, &[1, 2])), differing);
        assert_eq!(knowing(1, &[1, 2]).differing_from(&naming(None)), BTreeSet::new());
        assert_eq!(naming(None).differing_from(&knowing(1, &[1, 2])), differing);
    }

    #[test]
    fn ids_below_zero_are_nobody() {
        assert_eq!(known(BrokerId(0)), Some(0));
        assert_eq!(known(BrokerId(-1)), None);
        assert_eq!(known(BrokerId(-2)), None);
    }

    #[test]
    fn a_topic_id_reads_as_in_kafkas_tools() {
        assert_eq!(topic_id([0; 16]), None);
        assert_eq!(topic_id([0xff; 16]).unwrap(), "_____________________w");
        // Kafka's own id of the KRaft metadata topic, Uuid(0, 1).
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(topic_id(one).unwrap(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn an_id_is_read_as_it_is_printed() {
        for bits in [1, u128::MAX, 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978] {
            assert_eq!(id_bits(&topic_id(bits.to_be_bytes()).unwrap()), Some(bits));
        }
        for wrong in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA/", "AAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(id_bits(wrong), None, "{wrong}");
        }
    }
}
