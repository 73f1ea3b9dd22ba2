//! How fast topics grow, by what is there: the bytes that the leader of a partition has, over the age of the oldest record
//! among them. Two requests to each broker; nothing has to be watched for a while.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, DescribeLogDirsRequest, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::TopicPartition;
use super::client::Client;
use super::error::KafkaError;

/// Kafka's number for a client, who is no replica.
const NO_REPLICA: i32 = -1;

/// The first record from this time on is the oldest of all.
const EVER: i64 = 0;

/// An age under which nothing can be said: the first segment's worth of a burst.
const TOO_YOUNG: Duration = Duration::from_secs(60);

type ByPartition<T> = BTreeMap<TopicPartition, T>;

impl Client {
    /// See [`Kafka::rates`](super::Kafka::rates).
    pub(super) async fn measured_rates(&self) -> Result<BTreeMap<String, f64>, KafkaError> {
        let heard = self.hear(true).await?;
        let Some(known) = heard.snapshots.values().next() else {
            return Err(KafkaError::NobodyAnswered { attempts: heard.silent, registered: None });
        };
        let mut led: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (topic, seen) in &known.topics {
            for (number, partition) in &seen.partitions {
                let leader = partition.leader.into_iter();
                leader.for_each(|id| {
                    led.entry(id).or_default().push(TopicPartition::new(topic.clone(), *number))
                });
            }
        }
        let asked = led.into_iter().filter_map(|(id, partitions)| {
            let address = known.brokers.get(&id)?.address();
            Some(async move { tokio::join!(self.sizes(&address), self.oldest(&address, &partitions)) })
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut busiest: BTreeMap<String, f64> = BTreeMap::new();
        for (sizes, oldest) in join_all(asked).await {
            for (partition, since) in oldest {
                let age = now.saturating_sub(since);
                let Some(bytes) = sizes.get(&partition).filter(|_| age >= TOO_YOUNG) else { continue };
                #[allow(clippy::cast_precision_loss, reason = "a measure, not a count")]
                let rate = *bytes as f64 / age.as_secs_f64();
                let most = busiest.entry(partition.topic).or_default();
                *most = most.max(rate);
            }
        }
        Ok(busiest)
    }

    /// The bytes of each partition that a broker has; of none where it doesn't answer.
    async fn sizes(&self, address: &str) -> ByPartition<i64> {
        let build = |_| DescribeLogDirsRequest::default().with_topics(None);
        let Ok(response) = self.pool.call(address, self.timeouts.answer, build).await else {
            return BTreeMap::new();
        };
        let topics = response.results.into_iter().flat_map(|directory| directory.topics);
        let of = |(name, partition): (String, i32), size| (TopicPartition::new(name, partition), size);
        topics
            .flat_map(|topic| {
                let name = topic.name.0.to_string();
                let current = topic.partitions.into_iter().filter(|partition| !partition.is_future_key);
                current.map(move |one| of((name.clone(), one.partition_index), one.partition_size))
            })
            .collect()
    }

    /// When the oldest record of each of these partitions was written, since the epoch.
    async fn oldest(&self, address: &str, partitions: &[TopicPartition]) -> ByPartition<Duration> {
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for TopicPartition { topic, partition } in partitions {
            let asked = ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(EVER);
            topics.entry(topic).or_default().push(asked.with_current_leader_epoch(-1));
        }
        let topics: Vec<_> = topics
            .into_iter()
            .map(|(name, partitions)| {
                let name = TopicName(StrBytes::from_string(name.to_owned()));
                ListOffsetsTopic::default().with_name(name).with_partitions(partitions)
            })
            .collect();
        let build =
            |_| ListOffsetsRequest::default().with_replica_id(BrokerId(NO_REPLICA)).with_topics(topics);
        let Ok(response) = self.pool.call(address, self.timeouts.answer, build).await else {
            return BTreeMap::new();
        };
        let topics = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name.0.to_string();
            topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
        });
        topics
            .filter(|(_, partition)| partition.error_code == 0)
            .filter_map(|(name, partition)| {
                // An empty partition has none.
                let at = u64::try_from(partition.timestamp).ok()?;
                Some((TopicPartition::new(name, partition.partition_index), Duration::from_millis(at)))
            })
            .collect()
    }
}
