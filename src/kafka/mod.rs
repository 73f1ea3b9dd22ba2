//! The Kafka cluster as seen over the wire: who leads, who is in sync, and the few changes the engine makes.
//!
//! [`Kafka`] is the contract, [`Client`] the real implementation, [`ClusterView`] what it sees. Values of
//! [`view`](ClusterView) are pure data: whoever decides whether a broker may stop reads them and does no I/O.
//! This module knows nothing of stacks, plans, hosts or processes, and takes no decision about safety.
//!
//! Clusters in ZooKeeper mode only, for now: a KRaft broker names a random live broker as the controller in
//! its metadata (it forwards requests itself), so [`ClusterView::controller_standing`] means nothing there.

mod admin;
mod api;
mod client;
mod config;
mod connection;
mod describe;
mod empty;
mod error;
mod fence;
mod pool;
mod rates;
mod safeguards;
mod snapshot;
mod view;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

pub use client::{Client, Timeouts};
pub use config::{ConfigEntry, ConfigSource};
pub use connection::RESPONSE_LIMIT;
pub(crate) use empty::only_on;
pub use empty::{NotEmpty, assigned, is_new, is_spared};
pub use error::{Attempt, ConnectionError, ErrorCode, KafkaError, PartitionFailure};
pub use fence::{FenceError, Fenced, Registration, fence};
pub use safeguards::Safeguards;
pub(crate) use safeguards::trimmed;
pub use view::{
    BrokerAnswer, BrokerView, ClusterView, ControllerStanding, LocatedPartition, PartitionView, Reassignment,
    TopicPartition, TopicView,
};
pub use watchdog::{
    Claim, Look, LookError, NotClaimed, NotSpared, Partition, Round, Streak, Voucher, Watched, claim,
    is_apart,
};

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions, at least 1.
    pub partitions: i32,
    /// How many replicas of each partition, at least 1 and at most the number of live brokers.
    pub replication_factor: i16,
    /// Settings that differ from the brokers' defaults.
    pub configs: BTreeMap<String, String>,
    /// The brokers of each partition's replicas, the one that is to lead first; where there is none, Kafka chooses (spread
    /// over racks).
    pub placement: Vec<Vec<i32>>,
}

/// What the engine asks of a Kafka cluster.
///
/// Every call stands alone: nothing is assumed from an earlier one, so that a controller which moved in
/// between is found again. Changes are sent to the controller and wait until it has carried them out; a
/// change that found no controller in time was not made. After [`KafkaError::Unreachable`] from a change it
/// is not known whether it was made: describe, then decide.
#[async_trait]
pub trait Kafka: Send + Sync {
    /// What the cluster looks like now. A broker that does not answer in time is part of the answer
    /// ([`BrokerAnswer::Silent`]); an error means that no broker answered, or that they are not of one
    /// cluster.
    async fn describe(&self) -> Result<ClusterView, KafkaError>;

    /// Creates a topic and returns its id, where the cluster has such. [`KafkaError::TopicExists`] when there is one of
    /// that name, whatever its shape.
    async fn create_topic(&self, topic: &NewTopic) -> Result<Option<String>, KafkaError>;

    /// Raises the number of partitions of a topic to `partitions` (a total). Kafka refuses a number that is
    /// not higher than the present one with `INVALID_PARTITIONS`.
    async fn grow_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError>;

    /// Sets and unsets dynamic settings of a topic; the others are left as they are. Idempotent. A key must
    /// not be in both.
    async fn alter_topic_configs(
        &self,
        topic: &str,
        set: &BTreeMap<String, String>,
        unset: &BTreeSet<String>,
    ) -> Result<(), KafkaError>;

    /// Deletes a topic with its records. [`KafkaError::UnknownTopic`] when there is none of that name. Returns
    /// once clients no longer see it; the controller still clears its replicas, so the name can be taken for
    /// some tenths of a second more, and for as long as a broker with a replica of it is down.
    async fn delete_topic(&self, topic: &str) -> Result<(), KafkaError>;

    /// The same for the topic of this id only. [`KafkaError::UnknownTopic`] when there is none of it, also where one of
    /// another id has its name by now. A cluster too old to be asked so (before Kafka 2.8) is asked by the name.
    async fn delete_topic_of_id(&self, topic: &str, id: &str) -> Result<(), KafkaError>;

    /// Every setting of a topic with its effective value and where that comes from.
    async fn describe_topic_configs(&self, topic: &str) -> Result<BTreeMap<String, ConfigEntry>, KafkaError>;

    /// The settings of the broker that is the controller, by its own names, with where they come from: what topics
    /// without settings of their own have.
    async fn describe_broker_configs(&self) -> Result<BTreeMap<String, ConfigEntry>, KafkaError>;

    /// Bytes that the busiest partition of each topic takes in a second: what its leader has of it, over the age of the
    /// oldest record in it. Topics without records are left out, and those of brokers that don't answer.
    async fn rates(&self) -> Result<BTreeMap<String, f64>, KafkaError>;

    /// Gives partitions a new list of replicas, the preferred leader first. Returns once the controller has
    /// begun: a new order of the same replicas is done then, moved replicas show in
    /// [`list_reassignments`](Kafka::list_reassignments) until they have caught up. The leader stays where
    /// it is until [`elect_preferred`](Kafka::elect_preferred).
    async fn reassign(&self, orders: &BTreeMap<TopicPartition, Vec<i32>>) -> Result<(), KafkaError>;

    /// The reassignments in flight, whoever began them; asked of the controller.
    async fn list_reassignments(&self) -> Result<Vec<Reassignment>, KafkaError>;

    /// Makes the first replica of each partition its leader. A partition it already leads is no error; one
    /// whose preferred replica is not in sync is (`PREFERRED_LEADER_NOT_AVAILABLE`, in
    /// [`KafkaError::PartitionsRejected`]), and the other partitions are elected nevertheless.
    async fn elect_preferred(&self, partitions: &BTreeSet<TopicPartition>) -> Result<(), KafkaError>;
}
