//! The one door to a running cluster: what the engine is given so that it can reach Kafka and ZooKeeper.
//!
//! The engine knows these traits and no socket. The real door is [`NetworkWire`]; a simulated world
//! implements [`Wire`] too, so that plans, gates and rolls are tested without a server. Does no I/O itself.

use std::sync::Arc;

use crate::kafka::{self, Kafka};
use crate::zookeeper::{self, Zookeeper};

/// Gives clients for one cluster's services.
pub trait Wire: Send + Sync {
    /// A client for the Kafka cluster with these bootstrap addresses (`host:port`, one for each broker that
    /// should be asked). Connects to nothing yet. The client caches connections: keep it for the whole run.
    fn kafka(&self, bootstrap: &[String]) -> Arc<dyn Kafka>;

    /// A client for ZooKeeper ensembles; it holds no connection.
    fn zookeeper(&self) -> Arc<dyn Zookeeper>;
}

/// The real network: plain-text TCP, without authentication.
#[derive(Debug, Clone, Default)]
pub struct NetworkWire {
    /// How long Kafka may take to answer.
    pub kafka: kafka::Timeouts,
    /// How long ZooKeeper may take to answer.
    pub zookeeper: zookeeper::Timeout,
}

impl Wire for NetworkWire {
    fn kafka(&self, bootstrap: &[String]) -> Arc<dyn Kafka> {
        Arc::new(kafka::Client::new(bootstrap.to_vec(), self.kafka))
    }

    fn zookeeper(&self) -> Arc<dyn Zookeeper> {
        Arc::new(zookeeper::FourLetter::new(self.zookeeper))
    }
}
