//! Producers as their libraries ship them: nobody has set anything but where the cluster is. They show what a service
//! waits for that hasn't been set up for failures.

use super::Assignment;
use super::java::{JavaClients, JavaProducer};
use super::producer::{Producer, Written};
use crate::drill::error::DrillError;
use serde::Serialize;
use std::time::Duration;

/// A library for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    /// What most clients use that are not Java.
    Librdkafka,
    /// Kafka's own.
    Java,
}

impl std::fmt::Display for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Librdkafka => "librdkafka",
            Self::Java => "java",
        })
    }
}

/// A producer of that library at work.
pub(crate) enum Shipped {
    Librdkafka(Producer),
    Java(JavaProducer),
}

impl Shipped {
    /// Begins to write.
    ///
    /// # Errors
    /// Where the library can't be had.
    pub(crate) fn start(
        library: Library,
        assignment: &Assignment,
        java: &Result<JavaClients, String>,
    ) -> Result<Self, DrillError> {
        Ok(match library {
            Library::Librdkafka => Self::Librdkafka(Producer::as_shipped(assignment)?),
            Library::Java => {
                let unavailable = |reason| DrillError::NoJavaClients { reason };
                let clients = java.as_ref().map_err(|reason| unavailable(reason.clone()))?;
                let started = JavaProducer::start(clients, assignment);
                Self::Java(started.map_err(|error| unavailable(error.to_string()))?)
            }
        })
    }

    /// How many partitions have had no acknowledgement yet.
    pub(crate) fn silent(&self) -> usize {
        match self {
            Self::Librdkafka(producer) => producer.silent(),
            Self::Java(producer) => producer.silent(),
        }
    }

    /// Stops writing, waits at most `patience` for what is under way, and gives what was acknowledged. Blocks.
    pub(crate) fn finish(self, patience: Duration) -> Vec<Written> {
        match self {
            Self::Librdkafka(producer) => producer.finish(patience),
            Self::Java(producer) => producer.finish(),
        }
    }
}
