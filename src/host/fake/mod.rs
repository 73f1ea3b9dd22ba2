//! A simulated world: hosts, disks, processes, a ZooKeeper ensemble and a Kafka cluster, in memory and deterministic.
//! The engine runs against it unchanged, so that tests can show what real servers can't: a crash of Octad at every
//! single action, thousands of nodes, and every moment at which a promise was broken.
//!
//! One world holds the nodes of one stack: nodes are told apart by name. Time is a count of observations: what takes a
//! while elsewhere (joining, catching up) is done here after [`FakeWorld::set_lag`] further observations. Does no I/O.

mod cluster;
mod ensemble;
mod faults;
mod inspect;
mod kafka;
mod lies;
mod machine;
mod record;
mod systems;
mod trial;
mod world;

pub use lies::Moment;
pub use record::{Breach, Cause, Cut, Deed, Loss};

use super::{Backend, Comparing, Host, HostError, Identity, Progress, Staging, SystemChange};
use crate::kafka::{Claim, Kafka, LookError, NotClaimed, TopicPartition};
use crate::model::{HealthCheck, HostInputs, Options};
use crate::wire::{NotServing, Wire};
use crate::zookeeper::{EnsembleView, Zookeeper};
use async_trait::async_trait;
use machine::FakeHost;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use world::World;

/// The world; clones are the same one.
#[derive(Clone, Default)]
pub struct FakeWorld {
    world: Arc<Mutex<World>>,
    killed: Arc<Notify>,
    /// Nanoseconds for which the world was held.
    spent: Arc<AtomicU64>,
    watcher: Arc<OnceLock<Watcher>>,
    claimed: Arc<Mutex<BTreeSet<i32>>>,
}

/// A broker that is claimed, until this is dropped.
struct Claimed {
    broker: i32,
    all: Arc<Mutex<BTreeSet<i32>>>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.broker);
    }
}

/// The world, held by the one that looks at it or changes it.
struct Held<'a> {
    world: MutexGuard<'a, World>,
    since: Duration,
    spent: &'a AtomicU64,
}

impl Deref for Held<'_> {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from((processor_time() - self.since).as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Time on the processor that this thread has taken so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

type Watcher = Box<dyn Fn() + Send + Sync>;

/// Hosts in a [`FakeWorld`].
#[derive(Clone)]
pub struct FakeBackend(FakeWorld);

impl FakeWorld {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its hosts, for a registry.
    pub fn backend(&self) -> FakeBackend {
        FakeBackend(self.clone())
    }

    /// Time on the processor that the simulation itself has taken, so that its cost can be told from its user's.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    fn lock(&self) -> Held<'_> {
        let world = self.world.lock().expect("no holder of the world panics");
        Held { world, since: processor_time(), spent: &self.spent }
    }

    /// The world that [`FakeWorld::to_json`] wrote down.
    ///
    /// # Errors
    /// Where the text isn't such a world.
    pub fn from_json(text: &[u8]) -> serde_json::Result<Self> {
        Ok(Self { world: Arc::new(Mutex::new(serde_json::from_slice(text)?)), ..Self::default() })
    }

    /// All of it, so that it can outlive the process that simulates it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&*self.lock()).expect("a world has only text keys")
    }

    /// Has `watcher` called right before and right after each deed of Octad's. The first watcher stays.
    pub fn watch(&self, watcher: impl Fn() + Send + Sync + 'static) {
        let _ = self.watcher.set(Box::new(watcher));
    }

    fn moment(&self) {
        if let Some(watcher) = self.watcher.get() {
            watcher();
        }
    }

    /// Takes note of a deed of Octad's and does it, unless it is to be cut off here.
    async fn act<T, E>(
        &self,
        verb: &'static str,
        subject: &str,
        deed: impl FnOnce(&mut World) -> Result<T, E>,
        cut_off: impl FnOnce() -> E,
    ) -> Result<T, E> {
        let takes = self.lock().takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        self.moment();
        let (cut, done) = {
            let mut world = self.lock();
            let cut = world.begin(verb, subject);
            let done = !matches!(cut, Some(Cut::Refused | Cut::KilledBefore));
            (cut, done.then(|| deed(&mut world)))
        };
        self.moment();
        if let (None, Some(done)) = (cut, done) {
            return done;
        }
        if matches!(cut, Some(Cut::KilledBefore | Cut::KilledAfter)) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        Err(cut_off())
    }

    /// Returns when a deed with [`Cut::KilledBefore`] or [`Cut::KilledAfter`] is reached. That deed never returns: drop
    /// the future that waits for it, as the end of Octad's process would.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }
}

impl std::fmt::Debug for FakeWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeWorld")
    }
}

impl std::fmt::Debug for FakeBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeBackend")
    }
}

impl FakeBackend {
    /// The backend's name.
    pub const NAME: &'static str = "fake";
    /// The option with which a host is changed as a whole.
    pub const WHOLE: &'static str = "whole";
}

#[async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn host(
        &self,
        _site: &Path,
        name: &str,
        inputs: &HostInputs,
        identity: Identity<'_>,
    ) -> Result<Arc<dyn Host>, HostError> {
        let machine = self.0.lock().machine_of(name, identity);
        let whole = self.changes_whole(inputs);
        Ok(Arc::new(FakeHost::new(self.0.clone(), name, machine, inputs.address, whole)))
    }

    /// A simulated host has whatever options somebody thinks of.
    fn check_options(&self, _options: &Options) -> Result<(), (String, String)> {
        Ok(())
    }

    fn renews(&self, before: &HostInputs, after: &HostInputs) -> bool {
        self.0.lock().gives_ids && before.options != after.options
    }

    fn shared_disk(&self, _site: &Path) -> Option<u64> {
        self.0.lock().shared_disk
    }

    fn changes_whole(&self, inputs: &HostInputs) -> bool {
        inputs.options.get(Self::WHOLE).and_then(Value::as_bool).unwrap_or(false)
    }

    async fn compare(
        &self,
        hosts: &[Comparing],
        _progress: &Progress,
    ) -> Result<BTreeMap<String, SystemChange>, HostError> {
        let mut world = self.0.lock();
        let mut compared = BTreeMap::new();
        for one in hosts {
            // What is on trial is judged first.
            let is_settled = !world.trials.contains_key(&one.host);
            let change = if is_settled { world.compared(one) } else { None };
            compared.extend(change.map(|change| (one.host.clone(), change)));
        }
        Ok(compared)
    }

    async fn stage(&self, _hosts: &[Staging], _progress: &Progress) -> Result<(), HostError> {
        Ok(())
    }
}

#[async_trait]
impl Wire for FakeWorld {
    fn kafka(&self, bootstrap: &[String], _zookeeper: &[String]) -> Arc<dyn Kafka> {
        Arc::new(kafka::Client { world: self.clone(), bootstrap: bootstrap.to_vec() })
    }

    fn zookeeper(&self) -> Arc<dyn Zookeeper> {
        Arc::new(self.clone())
    }

    async fn assigned(&self, zookeeper: &[String], broker: i32) -> Result<Vec<TopicPartition>, LookError> {
        self.lock().assigned(zookeeper, broker).ok_or(LookError::TimedOut { after: Duration::ZERO })
    }

    async fn claim(&self, _: &[String], broker: i32) -> Result<Option<Claim>, NotClaimed> {
        let mut brokers = self.lock().asked.clone();
        // Nobody is claimed while another one is, be it by the same Octad.
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        brokers.extend(claimed.iter());
        if !brokers.is_empty() {
            return Err(NotClaimed::Asked { brokers });
        }
        claimed.insert(broker);
        Ok(Some(Claim::simulated(Claimed { broker, all: self.claimed.clone() })))
    }

    async fn ask(&self, address: &str, check: &HealthCheck) -> Result<(), NotServing> {
        let mut world = self.lock();
        world.pass();
        world.ask(address, check)
    }
}

#[async_trait]
impl Zookeeper for FakeWorld {
    async fn describe(&self, members: &BTreeMap<i32, String>) -> EnsembleView {
        let mut world = self.lock();
        world.pass();
        world.ensemble_looked_at(|world| EnsembleView {
            members: members.iter().map(|(id, at)| (*id, world.member_at(*id, at))).collect(),
        })
    }
}
