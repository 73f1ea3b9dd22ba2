//! Whether a broker may begin with an empty disk, by what Kafka in ZooKeeper mode has written there: it can be told before
//! any broker runs. Only reads.

use super::TopicPartition;
use super::watchdog::{LookError, Partition, assigned_to, look, partitions, registered};
use std::collections::BTreeSet;
use std::time::Duration;

/// Why a broker may not begin with an empty disk.
#[derive(Debug, thiserror::Error)]
pub enum NotEmpty {
    /// The cluster assigns replicas to its id: it would count as having them.
    #[error("the cluster counts on replicas of {partitions} partitions being on its disk ({first} first)")]
    Assigned {
        /// How many.
        partitions: usize,
        /// The first of them.
        first: TopicPartition,
    },
    /// The others don't have all that it is to be filled with.
    #[error("beside it {first} is in sync {}, and min.insync.replicas={min_insync}", only_on(.others))]
    HeldByTooFew {
        /// A partition in whose ISR it is.
        first: TopicPartition,
        /// The other registered brokers in the ISR.
        others: Vec<i32>,
        /// The topic's `min.insync.replicas`.
        min_insync: usize,
    },
    /// ZooKeeper could not be asked.
    #[error(transparent)]
    Unknown(#[from] LookError),
}

/// Where else a partition is in sync, in words.
pub(crate) fn only_on(others: &[i32]) -> String {
    if others.is_empty() { "on no other broker".into() } else { format!("only on {others:?}") }
}

/// The partitions of which a replica is assigned to a broker, as the ensemble has them now, within `limit`.
///
/// # Errors
/// Where it can't be asked.
pub async fn assigned(
    zookeeper: &[String],
    broker: i32,
    limit: Duration,
) -> Result<Vec<TopicPartition>, LookError> {
    let found = look(zookeeper, limit, |session| Box::pin(assigned_to(session, broker))).await?.into_iter();
    Ok(found.map(|(topic, partition)| TopicPartition::new(topic, partition)).collect())
}

/// Whether a broker that never was of its cluster may begin with an empty disk.
///
/// # Errors
/// Where it was, or that can't be asked.
pub async fn is_new(zookeeper: &[String], broker: i32, limit: Duration) -> Result<(), NotEmpty> {
    let found = assigned(zookeeper, broker, limit).await?;
    match found.first() {
        None => Ok(()),
        Some(first) => Err(NotEmpty::Assigned { partitions: found.len(), first: first.clone() }),
    }
}

/// Whether the others have all that a broker counts as having, so that they can fill an empty disk. `min_insync` is that of
/// topics that don't say otherwise.
///
/// # Errors
/// The first partition of which too few others are in sync, or where that can't be asked.
pub async fn is_spared(
    zookeeper: &[String],
    broker: i32,
    min_insync: usize,
    limit: Duration,
) -> Result<(), NotEmpty> {
    let (live, found) = look(zookeeper, limit, |session| {
        Box::pin(async move {
            let live: BTreeSet<i32> = registered(session).await?.into_keys().collect();
            let found = partitions(session, broker, live.iter().copied(), min_insync).await?;
            Ok((live, found))
        })
    })
    .await?;
    found.iter().try_for_each(|partition| spared(partition, broker, &live))
}

/// Whether a partition in whose ISR a broker is has enough of others, who are registered.
fn spared(partition: &Partition, broker: i32, live: &BTreeSet<i32>) -> Result<(), NotEmpty> {
    let counts = |id: &i32| *id != broker && live.contains(id);
    let others: Vec<i32> = partition.isr.iter().copied().filter(counts).collect();
    let min_insync = partition.min_insync.max(1);
    if others.len() >= min_insync {
        return Ok(());
    }
    let first = TopicPartition::new(partition.topic.clone(), partition.partition);
    Err(NotEmpty::HeldByTooFew { first, others, min_insync })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_disk_is_filled_only_by_enough_others_who_are_there() {
        let of = |isr: &[i32], min_insync, live: &[i32]| {
            let (topic, isr) = ("t".to_owned(), isr.to_vec());
            let partition = Partition { topic, partition: 0, leader: 2, isr, min_insync, written: 0 };
            spared(&partition, 1, &live.iter().copied().collect()).is_ok()
        };
        assert!(of(&[1, 2, 3], 2, &[2, 3]));
        assert!(!of(&[1, 2, 3], 2, &[2]), "3 may be as empty as 1, for all that is known");
        assert!(!of(&[1, 2], 2, &[2, 3]));
        assert!(!of(&[1], 0, &[2, 3]), "nobody else has it, whatever acks=all asks for");
    }
}
