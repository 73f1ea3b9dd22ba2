//! Leadership of partitions moved off a broker before it stops, and back afterwards. Pure.
//!
//! A broker leads a partition because it is the first of its replicas. The same replicas in another order, then an
//! election of the first, move the leadership and no record. What a broker doesn't lead is not interrupted by its stop.

use crate::kafka::{ClusterView, LocatedPartition, TopicPartition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Replicas of partitions, the preferred leader first, by topic and partition: how they were before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Orders(BTreeMap<String, BTreeMap<i32, Vec<i32>>>);

impl Orders {
    /// Adds those of partitions that `broker` leads and that another could lead. What is known already stays: that is
    /// how they were before.
    pub(super) fn with_led_by(mut self, broker: i32, cluster: &ClusterView) -> Self {
        for led in led_by(broker, cluster) {
            let topic = self.0.entry(led.topic.to_owned()).or_default();
            topic.entry(led.partition).or_insert_with(|| led.state.replicas.clone());
        }
        self
    }

    /// The partitions whose replicas are still these, in another order. A partition that is gone or was moved to other
    /// brokers meanwhile is somebody else's business.
    pub(super) fn strayed(&self, cluster: &ClusterView) -> BTreeMap<TopicPartition, Vec<i32>> {
        let all = self.0.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, order)| (topic, *partition, order))
        });
        all.filter_map(|(topic, partition, order)| {
            let now = &cluster.topics.get(topic)?.partitions.get(&partition)?.replicas;
            let same: BTreeSet<_> = now.iter().collect();
            let moved = now != order && same == order.iter().collect();
            moved.then(|| (TopicPartition::new(topic, partition), order.clone()))
        })
        .collect()
    }
}

/// The orders in which `broker` leads nothing that another could lead: it comes last, and first one that is in sync,
/// another one for each partition, so that no single broker takes all.
pub(super) fn without(broker: i32, cluster: &ClusterView) -> BTreeMap<TopicPartition, Vec<i32>> {
    let order = |led: LocatedPartition<'_>| {
        let others: Vec<i32> = heirs(broker, &led).collect();
        let first = others[led.partition.unsigned_abs() as usize % others.len()];
        let rest = led.state.replicas.iter().copied().filter(|id| *id != first && *id != broker);
        (led.name(), [first].into_iter().chain(rest).chain([broker]).collect())
    };
    led_by(broker, cluster).map(order).collect()
}

fn led_by(broker: i32, cluster: &ClusterView) -> impl Iterator<Item = LocatedPartition<'_>> {
    cluster.led_by(broker).filter(move |led| heirs(broker, led).next().is_some())
}

/// The replicas that could lead without losing a record.
fn heirs<'a>(broker: i32, led: &LocatedPartition<'a>) -> impl Iterator<Item = i32> + use<'a> {
    let state = led.state;
    state.replicas.iter().copied().filter(move |id| *id != broker && state.isr.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{PartitionView, TopicView};
    use proptest::prelude::*;

    fn cluster(partitions: Vec<(Vec<i32>, usize, usize)>) -> ClusterView {
        let partition = |(replicas, in_sync, leader): (Vec<i32>, usize, usize)| {
            let isr: Vec<i32> = replicas[..in_sync.clamp(1, replicas.len())].to_vec();
            let leader = Some(isr[leader % isr.len()]);
            PartitionView { leader, isr, replicas, offline: vec![] }
        };
        let topic = TopicView {
            id: None,
            internal: false,
            partitions: (0..).zip(partitions.into_iter().map(partition)).collect(),
            min_insync_replicas: 1,
            configs: BTreeMap::new(),
        };
        ClusterView {
            cluster_id: None,
            controller: None,
            seen_by: None,
            brokers: BTreeMap::new(),
            topics: [("t".to_owned(), topic)].into(),
            reassignments: None,
            answers: BTreeMap::new(),
        }
    }

    fn partitions() -> impl Strategy<Value = Vec<(Vec<i32>, usize, usize)>> {
        let replicas = Just(vec![1, 2, 3, 4, 5])
            .prop_shuffle()
            .prop_flat_map(|all| (1..=5_usize).prop_map(move |length| all[..length].to_vec()));
        prop::collection::vec((replicas, 1..=5_usize, 0..5_usize), 0..8)
    }

    proptest! {
        #[test]
        fn whoever_leads_next_is_in_sync_and_the_way_back_is_known(partitions in partitions(), broker in 1..=5) {
            let before = cluster(partitions);
            let orders = Orders::default().with_led_by(broker, &before);
            prop_assert_eq!(orders.strayed(&before), BTreeMap::new());
            let moved = without(broker, &before);
            let mut after = before.clone();
            for (name, order) in &moved {
                let view = after.topics.get_mut("t").unwrap().partitions.get_mut(&name.partition).unwrap();
                prop_assert_eq!(view.leader, Some(broker));
                prop_assert!(view.isr.contains(&order[0]) && order[0] != broker);
                prop_assert_eq!(order.iter().collect::<BTreeSet<_>>(), view.replicas.iter().collect());
                (view.replicas, view.leader) = (order.clone(), Some(order[0]));
            }
            for one in led_by(broker, &after) {
                prop_assert!(false, "{:?} is still led by {broker}", one.name());
            }
            let back = orders.strayed(&after);
            // One that led out of turn needs another leader only.
            let reordered = moved.iter().filter(|(name, order)| **order != before.topics["t"].partitions[&name.partition].replicas);
            prop_assert_eq!(back.len(), reordered.count());
            for (name, order) in back {
                prop_assert_eq!(&order, &before.topics["t"].partitions[&name.partition].replicas);
            }
            // Asked twice, the first answer is the one that counts.
            prop_assert_eq!(orders.clone().with_led_by(broker, &after), orders);
        }
    }
}
