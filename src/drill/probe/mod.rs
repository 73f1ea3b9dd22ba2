//! The probe: a producer to every partition, a consumer group, and the log read back. The only part of Octad that uses
//! librdkafka and Kafka's own Java clients, and so sees the cluster as its users' clients do.

mod background;
mod consumer;
mod java;
mod load;
mod log;
mod producer;
mod shipped;

pub(crate) use consumer::{Consumer, Delivered};
pub use java::JavaClients;
pub(crate) use load::Load;
pub(crate) use log::read_back;
pub(crate) use producer::{Producer, Written};
pub use shipped::Library;
pub(crate) use shipped::Shipped;

use rdkafka::ClientConfig;
use std::time::{Duration, Instant};

/// What the probe writes to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// The cluster's addresses, separated by commas.
    pub(crate) bootstrap: String,
    /// The topic, which nobody else writes to.
    pub(crate) topic: String,
    /// How many partitions it has.
    pub(crate) partitions: i32,
    /// What tells this run's records from any other's.
    pub(crate) run: u64,
    /// Records a second to each partition.
    pub(crate) rate: u32,
    /// `acks` of the producer: `all`, or `1` to show what that costs.
    pub(crate) acks: String,
    /// The moment from which all times are counted.
    pub(crate) epoch: Instant,
}

/// Bytes of a record. Small: what is measured is time, not throughput.
const RECORD: usize = 100;

/// How long a client of the probe may take for what needs no waiting.
const PROMPT: Duration = Duration::from_secs(10);

impl Assignment {
    /// The group as which the log is read back once more.
    fn second_reader(&self) -> String {
        format!("{}-second-reader", self.topic)
    }

    /// What all clients of the probe have in common: they look for a new leader at once and again soon. librdkafka's own
    /// pauses (100 ms to 10 s) would be measured instead of the cluster's.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "octad-drill")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "20")
            .set("topic.metadata.refresh.fast.interval.ms", "20")
            // A leader that is frozen or cut off says nothing: that another leads is learnt from the others. Since 2.10
            // librdkafka also forgets the new leader where the old one drops out of the same answer (its thread undoes
            // the move), and has it again only from the next.
            .set("topic.metadata.refresh.interval.ms", "50")
            .set("socket.connection.setup.timeout.ms", "2000")
            .set("socket.timeout.ms", "6000")
            .set("socket.nagle.disable", "true");
        config
    }
}
