//! A simulated world: hosts, disks, processes, a ZooKeeper ensemble and a Kafka cluster, in memory and deterministic.
//! The engine runs against it unchanged, so that tests can show what real servers can't: a crash of Octad at every
//! single action, thousands of nodes, and every moment at which a promise was broken.
//!
//! One world holds the nodes of one stack: nodes are told apart by name. Time is a count of observations: what takes a
//! while elsewhere (joining, catching up) is done here after [`FakeWorld::set_lag`] further observations. Does no I/O.

mod cluster;
mod ensemble;
mod faults;
mod kafka;
mod machine;
mod record;
mod world;

pub use record::{Breach, Cause, Cut, Deed, Loss};

use super::{Backend, Deployment, Host, HostError, Progress};
use crate::kafka::Kafka;
use crate::resource::HostInputs;
use crate::wire::Wire;
use crate::zookeeper::{EnsembleView, Zookeeper};
use async_trait::async_trait;
use machine::FakeHost;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::sync::Notify;
use world::World;

/// The world; clones are the same one.
#[derive(Clone, Default)]
pub struct FakeWorld {
    world: Arc<Mutex<World>>,
    killed: Arc<Notify>,
    watcher: Arc<OnceLock<Watcher>>,
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

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no holder of the world panics")
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
}

#[async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn host(&self, _site: &Path, name: &str, inputs: &HostInputs) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(FakeHost::new(self.0.clone(), name, inputs.address)))
    }

    async fn prepare(
        &self,
        _starting: &[(Arc<dyn Host>, Deployment)],
        _all: &[Deployment],
        _progress: &Progress,
    ) -> Result<(), HostError> {
        Ok(())
    }
}

impl Wire for FakeWorld {
    fn kafka(&self, bootstrap: &[String]) -> Arc<dyn Kafka> {
        Arc::new(kafka::Client { world: self.clone(), bootstrap: bootstrap.to_vec() })
    }

    fn zookeeper(&self) -> Arc<dyn Zookeeper> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Zookeeper for FakeWorld {
    async fn describe(&self, members: &BTreeMap<i32, String>) -> EnsembleView {
        let mut world = self.lock();
        world.pass();
        EnsembleView { members: members.iter().map(|(id, at)| (*id, world.member_at(*id, at))).collect() }
    }
}
