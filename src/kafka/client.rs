//! The real [`Kafka`]: finds the controller, and brings each request to the broker that can carry it out.
//!
//! Keeps connections and nothing else: who the controller is gets asked anew for every change, since it moves
//! whenever a broker goes. What is asked is in `describe` and `admin`.

use crate::causes::with_causes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kafka_protocol::messages::MetadataRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::error::{Attempt, ConnectionError, KafkaError};
use super::pool::Pool;
use super::snapshot::{Snapshot, majority_controller};
use super::{ClusterView, ConfigEntry, Kafka, NewTopic, Reassignment, TopicPartition};

/// The pause before the controller is looked for again. An election takes some tens of milliseconds once the
/// old controller's session is gone.
const CONTROLLER_PAUSE: Duration = Duration::from_millis(100);

/// How long Kafka may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a TCP connection. A host that drops packets costs every description this much.
    pub connect: Duration,
    /// For an answer to a question, such as metadata. A frozen broker costs every description this much.
    pub answer: Duration,
    /// For a change: to find the controller and to carry the change out.
    pub change: Duration,
}

impl Default for Timeouts {
    /// 1 s, 3 s and 30 s: a broker on a loaded single-CPU machine answers within tens of milliseconds but may
    /// pause a second or two for a garbage collection; 30 s outlasts a controller that died and whose
    /// ZooKeeper session (12 s by default) must expire first.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            answer: Duration::from_secs(3),
            change: Duration::from_secs(30),
        }
    }
}

/// Talks to a real cluster over plain-text TCP.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<String>,
    pub(super) zookeeper: Vec<String>,
    pub(super) timeouts: Timeouts,
    pub(super) pool: Arc<Pool>,
}

/// What the bootstrap brokers know, and who did not answer.
pub(super) struct Heard {
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    pub(super) silent: Vec<Attempt>,
}

impl Heard {
    /// The controller and its advertised address, as long as most brokers agree on one that is alive.
    pub(super) fn controller(&self) -> Option<(i32, String)> {
        let id = majority_controller(self.snapshots.values())?;
        let broker = self.snapshots.values().find_map(|snapshot| snapshot.brokers.get(&id))?;
        Some((id, broker.address()))
    }
}

impl Client {
    /// A client for the cluster with these brokers (`host:port`). Connects when first asked something.
    ///
    /// Give every broker's address: a description tells for each of these what it says, and whether it says
    /// anything. Brokers reached only through others' metadata are asked just when one is the controller.
    pub fn new(bootstrap: Vec<String>, timeouts: Timeouts) -> Self {
        Self { bootstrap, zookeeper: Vec::new(), timeouts, pool: Arc::new(Pool::new(timeouts.connect)) }
    }

    /// The same, with the servers of the cluster's ensemble, `host:port` each.
    #[must_use]
    pub fn of_ensemble(self, zookeeper: Vec<String>) -> Self {
        Self { zookeeper, ..self }
    }

    /// Asks every bootstrap broker for its metadata, all at once; with all topics or with none.
    pub(super) async fn hear(&self, topics: bool) -> Result<Heard, KafkaError> {
        let mut asked = JoinSet::new();
        for address in BTreeSet::from_iter(self.bootstrap.iter().cloned()) {
            let (pool, limit) = (Arc::clone(&self.pool), self.timeouts.answer);
            asked.spawn(async move {
                let answer = metadata(&pool, &address, limit, topics).await;
                (address, answer)
            });
        }
        let mut heard = Heard { snapshots: BTreeMap::new(), silent: vec![] };
        while let Some(done) = asked.join_next().await {
            match done {
                Ok((address, Ok(snapshot))) => drop(heard.snapshots.insert(address, snapshot)),
                Ok((address, Err(why))) => heard.silent.push(Attempt { address, why }),
                // Nobody aborts these tasks while they are awaited here; what is left is a panic.
                Err(died) => std::panic::resume_unwind(died.into_panic()),
            }
        }
        heard.silent.sort_by(|one, other| one.address.cmp(&other.address));
        if heard.snapshots.is_empty() {
            return Err(KafkaError::NobodyAnswered { attempts: heard.silent, registered: None });
        }
        of_one_cluster(&heard.snapshots)?;
        Ok(heard)
    }

    /// Brings a request to the controller, again and again for as long as there is none, it cannot be
    /// connected to, or it says it isn't the one. `build` gets the API version and the milliseconds that
    /// Kafka has left; `read` turns the response into a result, given the broker's address.
    pub(super) async fn ask_controller<R: Api, T>(
        &self,
        build: impl Fn(i16, i32) -> R + Send + Sync,
        read: impl Fn(&str, R::Response) -> Result<T, KafkaError> + Send + Sync,
    ) -> Result<T, KafkaError> {
        let deadline = Instant::now() + self.timeouts.change;
        let mut last = None;
        loop {
            if let Some((_, address)) = self.hear(false).await?.controller() {
                let left = deadline.saturating_duration_since(Instant::now());
                let kafka_has = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
                // Kafka's own word that time is up says more than our silence: wait a little longer for it.
                let limit = Duration::from_secs((left + self.timeouts.answer).as_secs_f64().ceil() as u64);
                match self.pool.call(&address, limit, |version| build(version, kafka_has)).await {
                    Ok(response) => match read(&address, response) {
                        Err(error) if error.is_not_controller() => last = Some(with_causes(&error)),
                        result => return result,
                    },
                    Err(why) if why.is_before_sending() => {
                        last = Some(Attempt { address, why }.to_string());
                    }
                    Err(source) => return Err(KafkaError::Unreachable { address, source }),
                }
            }
            if Instant::now() + CONTROLLER_PAUSE >= deadline {
                let (api, waited) = (R::NAME, self.timeouts.change);
                return Err(KafkaError::NoController { api, waited, last });
            }
            sleep(CONTROLLER_PAUSE).await;
        }
    }
}

/// What one broker knows.
pub(super) async fn metadata(
    pool: &Pool,
    address: &str,
    limit: Duration,
    topics: bool,
) -> Result<Snapshot, ConnectionError> {
    let build = |_| {
        MetadataRequest::default()
            .with_topics(if topics { None } else { Some(vec![]) })
            .with_allow_auto_topic_creation(false)
    };
    pool.call(address, limit, build).await.map(Snapshot::from)
}

fn of_one_cluster(snapshots: &BTreeMap<String, Snapshot>) -> Result<(), KafkaError> {
    let mut known = snapshots.iter().filter_map(|(at, snapshot)| Some((at, snapshot.cluster_id.as_ref()?)));
    let Some((first_address, first)) = known.next() else { return Ok(()) };
    match known.find(|(_, id)| *id != first) {
        None => Ok(()),
        Some((other_address, other)) => Err(KafkaError::DifferentClusters {
            first_address: first_address.clone(),
            first: first.clone(),
            other_address: other_address.clone(),
            other: other.clone(),
        }),
    }
}

#[async_trait]
impl Kafka for Client {
    async fn describe(&self) -> Result<ClusterView, KafkaError> {
        self.observe().await
    }

    async fn create_topic(&self, topic: &NewTopic) -> Result<Option<String>, KafkaError> {
        self.create(topic).await
    }

    async fn grow_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        self.grow(topic, partitions).await
    }

    async fn alter_topic_configs(
        &self,
        topic: &str,
        set: &BTreeMap<String, String>,
        unset: &BTreeSet<String>,
    ) -> Result<(), KafkaError> {
        self.alter_configs(topic, set, unset).await
    }

    async fn delete_topic(&self, topic: &str) -> Result<(), KafkaError> {
        self.delete(topic, None).await
    }

    async fn delete_topic_of_id(&self, topic: &str, id: &str) -> Result<(), KafkaError> {
        self.delete(topic, Some(id)).await
    }

    async fn describe_topic_configs(&self, topic: &str) -> Result<BTreeMap<String, ConfigEntry>, KafkaError> {
        self.topic_configs(topic).await
    }

    async fn describe_broker_configs(&self) -> Result<BTreeMap<String, ConfigEntry>, KafkaError> {
        self.broker_configs().await
    }

    async fn rates(&self) -> Result<BTreeMap<String, f64>, KafkaError> {
        self.measured_rates().await
    }

    async fn reassign(&self, orders: &BTreeMap<TopicPartition, Vec<i32>>) -> Result<(), KafkaError> {
        self.alter_reassignments(orders).await
    }

    async fn list_reassignments(&self) -> Result<Vec<Reassignment>, KafkaError> {
        self.reassignments().await
    }

    async fn elect_preferred(&self, partitions: &BTreeSet<TopicPartition>) -> Result<(), KafkaError> {
        self.elect(partitions).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cluster: Option<&str>) -> Snapshot {
        Snapshot { cluster_id: cluster.map(str::to_owned), ..Snapshot::default() }
    }

    #[test]
    fn brokers_of_two_clusters_are_told_apart() {
        let mut snapshots = BTreeMap::from([("a:1".into(), of(Some("x"))), ("b:1".into(), of(None))]);
        assert!(of_one_cluster(&snapshots).is_ok(), "a starting broker does not know its cluster yet");
        snapshots.insert("c:1".into(), of(Some("y")));
        let error = of_one_cluster(&snapshots).unwrap_err();
        assert_eq!(error.to_string(), "brokers of different clusters: a:1 is of x, c:1 of y");
    }
}
