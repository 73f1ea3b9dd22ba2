//! What ZooKeeper tells of the cluster, at the moment at which it tells it: registrations that end, and who leads the
//! probe's partitions. It costs nothing while nothing changes, and misses nothing that lasts.

use crate::zookeeper::{Session, SessionError};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between attempts to reach any server.
const PAUSE: Duration = Duration::from_millis(20);

const BROKERS: &str = "/brokers/ids";
const CONTROLLER: &str = "/controller";

/// What was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chronicle {
    /// Each registration that was gone.
    pub gone: Vec<Gone>,
    /// Each change of a partition's leader or replicas in sync, and how they were at first.
    pub led: Vec<Led>,
}

/// A registration that is there no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Since when.
    pub at: Duration,
    /// The broker whose it was; `None` where it was the controller's.
    pub broker: Option<i32>,
}

/// Who leads a partition from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// The moment.
    pub at: Duration,
    /// The partition of the probe's topic.
    pub partition: i32,
    /// Who leads; `None` where nobody can.
    pub leader: Option<i32>,
    /// The replicas in sync.
    pub isr: Vec<i32>,
}

/// A chronicle that is being written.
pub(super) struct Chronicler {
    chronicle: Arc<Mutex<Chronicle>>,
    task: JoinHandle<()>,
}

impl Chronicler {
    /// Begins to listen to the first of these servers that answers, and to another one where that is lost.
    pub(super) fn start(servers: Vec<String>, topic: &str, epoch: Instant) -> Self {
        let chronicle = Arc::new(Mutex::new(Chronicle::default()));
        let mut listener = Listener {
            topic: format!("/brokers/topics/{topic}"),
            epoch,
            chronicle: chronicle.clone(),
            registered: BTreeSet::new(),
            led: BTreeMap::new(),
        };
        let task = tokio::spawn(async move {
            while !servers.is_empty() {
                if let Ok(mut session) = Session::open_any(&servers).await {
                    // What changes until another server answers is told when it does.
                    let _ = listener.listen(&mut session).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { chronicle, task }
    }

    /// What was told so far, as it grows.
    pub(super) fn so_far(&self) -> Arc<Mutex<Chronicle>> {
        self.chronicle.clone()
    }

    /// Stops listening and gives what was told.
    pub(super) fn finish(self) -> Chronicle {
        self.chronicle.lock().expect("no holder of the chronicle panics").clone()
    }
}

impl Drop for Chronicler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listener {
    /// The znode of the probe's topic.
    topic: String,
    epoch: Instant,
    chronicle: Arc<Mutex<Chronicle>>,
    /// Registrations as last known, by path.
    registered: BTreeSet<String>,
    /// Leader and replicas in sync as last known, by partition.
    led: BTreeMap<i32, Leadership>,
}

/// What Kafka writes into a partition's znode; there is more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Leadership {
    leader: i32,
    isr: Vec<i32>,
}

impl Listener {
    async fn listen(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let topic = self.topic.clone();
        for path in [BROKERS, CONTROLLER, &topic] {
            session.watch(path).await?;
        }
        self.look_at_all(session).await?;
        loop {
            let change = session.changed().await?;
            let at = change.at.saturating_duration_since(self.epoch);
            if change.path == CONTROLLER || change.path.starts_with(BROKERS) {
                self.registration(at, change.path, !change.gone);
            } else if let Some(partition) = self.partition(&change.path) {
                self.look_at(session, at, partition).await?;
            }
        }
    }

    /// Notes what has changed while nobody was listened to, or what there is at first.
    async fn look_at_all(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let mut there: BTreeSet<String> =
            session.children(BROKERS).await?.into_iter().map(|id| format!("{BROKERS}/{id}")).collect();
        there.extend(session.read(CONTROLLER).await?.map(|_| CONTROLLER.to_owned()));
        let at = self.epoch.elapsed();
        let gone: Vec<String> = self.registered.difference(&there).cloned().collect();
        for path in gone {
            self.registration(at, path, false);
        }
        self.registered = there;
        for number in session.children(&format!("{}/partitions", self.topic)).await? {
            if let Ok(partition) = number.parse() {
                self.look_at(session, self.epoch.elapsed(), partition).await?;
            }
        }
        Ok(())
    }

    fn registration(&mut self, at: Duration, path: String, there: bool) {
        if there {
            self.registered.insert(path);
        } else if self.registered.remove(&path) {
            let broker = path.strip_prefix(BROKERS).and_then(|rest| rest.trim_matches('/').parse().ok());
            self.chronicle.lock().expect("no holder of the chronicle panics").gone.push(Gone { at, broker });
        }
    }

    /// The partition of which a path within the topic tells.
    fn partition(&self, path: &str) -> Option<i32> {
        let rest = path.strip_prefix(&self.topic)?.strip_prefix("/partitions/")?;
        rest.strip_suffix("/state")?.parse().ok()
    }

    async fn look_at(
        &mut self,
        session: &mut Session,
        at: Duration,
        partition: i32,
    ) -> Result<(), SessionError> {
        let path = format!("{}/partitions/{partition}/state", self.topic);
        let Some(now) = session.read_json::<Leadership>(&path).await? else { return Ok(()) };
        if self.led.get(&partition) != Some(&now) {
            // Kafka has -1 for nobody.
            let leader = Some(now.leader).filter(|leader| *leader >= 0);
            let led = Led { at, partition, leader, isr: now.isr.clone() };
            self.chronicle.lock().expect("no holder of the chronicle panics").led.push(led);
            self.led.insert(partition, now);
        }
        Ok(())
    }
}
