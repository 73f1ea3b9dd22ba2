//! The one door to running services: what the engine is given so that it can reach Kafka, ZooKeeper and whatever tells of
//! itself over HTTP.
//!
//! The engine knows these traits and no socket. The real door is [`NetworkWire`]; a simulated world
//! implements [`Wire`] too, so that plans, gates and rolls are tested without a server. Does no I/O itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::http;
pub use crate::http::NotServing;
use crate::kafka::{self, Claim, Kafka, LookError, NotClaimed, TopicPartition};
use crate::model::HealthCheck;
use crate::zookeeper::{self, Zookeeper};

/// How long ZooKeeper may take to tell what a broker is assigned: thousands of topics are a few round trips.
const ASSIGNED: Duration = Duration::from_secs(10);

/// How long ZooKeeper may take to write that a broker is claimed: a few round trips.
const CLAIMED: Duration = Duration::from_secs(3);

/// Gives clients for one cluster's services.
#[async_trait]
pub trait Wire: Send + Sync {
    /// A client for the Kafka cluster with these bootstrap addresses (`host:port`, one for each broker that
    /// should be asked). Connects to nothing yet. The same addresses give the same client, with its connections.
    ///
    /// Where its ensemble's servers are named as well, a description is of the controller that ZooKeeper names, and is
    /// refused while nobody there answers.
    fn kafka(&self, bootstrap: &[String], zookeeper: &[String]) -> Arc<dyn Kafka>;

    /// A client for ZooKeeper ensembles; it holds no connection.
    fn zookeeper(&self) -> Arc<dyn Zookeeper>;

    /// The partitions of which a replica is assigned to a broker, as the ensemble at these addresses has it, which holds the
    /// cluster's metadata: no broker needs to run for that.
    async fn assigned(&self, zookeeper: &[String], broker: i32) -> Result<Vec<TopicPartition>, LookError>;

    /// Claims a broker in the ensemble at these addresses before it is restarted, which watchdogs heed; `None` where there are
    /// none. What was looked at before is to be looked at again.
    async fn claim(&self, zookeeper: &[String], broker: i32) -> Result<Option<Claim>, NotClaimed>;

    /// Asks the service at this address (`host:port`) whether it serves.
    async fn ask(&self, address: &str, check: &HealthCheck) -> Result<(), NotServing>;
}

/// The real network: plain-text TCP, without authentication.
#[derive(Debug, Default)]
pub struct NetworkWire {
    kafka: kafka::Timeouts,
    zookeeper: zookeeper::Timeout,
    clients: Mutex<BTreeMap<[Vec<String>; 2], Arc<kafka::Client>>>,
}

impl NetworkWire {
    /// The network, with how long Kafka and ZooKeeper may take to answer.
    pub fn new(kafka: kafka::Timeouts, zookeeper: zookeeper::Timeout) -> Self {
        Self { kafka, zookeeper, clients: Mutex::default() }
    }
}

#[async_trait]
impl Wire for NetworkWire {
    fn kafka(&self, bootstrap: &[String], zookeeper: &[String]) -> Arc<dyn Kafka> {
        let (bootstrap, zookeeper) = (bootstrap.to_vec(), zookeeper.to_vec());
        let mut clients = self.clients.lock().expect("no holder of the clients panics");
        let client = clients
            .entry([bootstrap.clone(), zookeeper.clone()])
            .or_insert_with(|| Arc::new(kafka::Client::new(bootstrap, self.kafka).of_ensemble(zookeeper)));
        client.clone()
    }

    fn zookeeper(&self) -> Arc<dyn Zookeeper> {
        Arc::new(zookeeper::FourLetter::new(self.zookeeper))
    }

    async fn assigned(&self, zookeeper: &[String], broker: i32) -> Result<Vec<TopicPartition>, LookError> {
        kafka::assigned(zookeeper, broker, ASSIGNED).await
    }

    async fn claim(&self, zookeeper: &[String], broker: i32) -> Result<Option<Claim>, NotClaimed> {
        kafka::claim(zookeeper, broker, CLAIMED).await.map(Some)
    }

    async fn ask(&self, address: &str, check: &HealthCheck) -> Result<(), NotServing> {
        http::ask(address, check).await
    }
}
