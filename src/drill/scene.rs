//! The stack as a fault sees it: who is there, who leads, and whether all is well.

mod disturb;

pub use disturb::Unsynced;

use super::error::DrillError;
use super::placement::Zoned;
use crate::engine::{self, Context, Events, Lock, Options, State};
use crate::host::{Ability, Host, RunState};
use crate::kafka::Kafka;
use crate::model::NodeFacts;
use crate::registry::Registry;
use crate::resource::{self, KindError, NodeKind, Surroundings as _};
use crate::role::{Broker, Health, Zookeeper};
use crate::stack::ValidStack;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between looks at whether the stack is healthy.
const LOOK: Duration = Duration::from_millis(250);

/// The stack under drill.
pub struct Scene {
    /// What the stack's file declares.
    pub stack: ValidStack,
    /// What is recorded of it.
    pub state: State,
    /// The directory of the stack.
    pub site: PathBuf,
    /// The stack's lock.
    pub lock: Lock,
    /// How plans are carried out.
    pub options: Options,
    /// Makes choices repeatable.
    pub seed: u64,
    context: Arc<Context>,
    brokers: Vec<NodeFacts>,
    servers: Vec<NodeFacts>,
    disturbed: Mutex<BTreeSet<String>>,
    not_kept: Mutex<Vec<String>>,
}

impl Scene {
    /// A healthy stack, with what an earlier drill left disturbed put right.
    ///
    /// # Errors
    /// Where it lacks brokers or isn't healthy.
    pub async fn open(
        context: Arc<Context>,
        site: &Path,
        lock: Lock,
        stack: ValidStack,
        state: State,
        options: Options,
        seed: u64,
    ) -> Result<Self, DrillError> {
        let nodes: Vec<NodeFacts> = state
            .resources
            .iter()
            .filter(|(key, _)| key.kind == NodeKind::NAME)
            .filter_map(|(_, recorded)| NodeFacts::of(&recorded.inputs).ok())
            .collect();
        let of = |role: &str| -> Vec<NodeFacts> {
            nodes.iter().filter(|facts| facts.role == role).cloned().collect()
        };
        let (brokers, servers) = (of(Broker::NAME), of(Zookeeper::NAME));
        if brokers.is_empty() {
            return Err(DrillError::NoMember { role: Broker::NAME });
        }
        let inventory = engine::observe(&context, &stack, &state).await;
        if let Some(stranger) = engine::strangers(context.registry(), &state, &inventory).into_iter().next() {
            return Err(DrillError::Stranger(stranger));
        }
        let left = Self::left(site);
        let scene = Self {
            stack,
            state,
            site: site.to_owned(),
            lock,
            options,
            seed,
            context,
            brokers,
            servers,
            disturbed: Mutex::new(left.clone()),
            not_kept: Mutex::default(),
        };
        if !left.is_empty() {
            let left = left.into_iter().collect::<Vec<_>>().join(", ");
            scene.events().notice(format!("putting right what an earlier drill left disturbed: {left}"));
            scene.restore().await?;
        }
        match scene.wait_healthy(Duration::from_secs(60)).await {
            Ok(()) => Ok(scene),
            Err(reason) => Err(DrillError::Unhealthy { reason }),
        }
    }

    /// Notes that Octad did what it mustn't, in words: the fault has failed.
    pub fn not_kept(&self, what: String) {
        self.not_kept.lock().expect("no holder of the notes panics").push(what);
    }

    /// What was noted so since it was asked for last.
    pub(super) fn take_not_kept(&self) -> Vec<String> {
        std::mem::take(&mut *self.not_kept.lock().expect("no holder of the notes panics"))
    }

    /// Where events go.
    pub fn events(&self) -> &Events {
        self.context.events()
    }

    /// The kinds, roles and backends.
    pub fn registry(&self) -> &Registry {
        self.context.registry()
    }

    /// The surroundings in which plans are carried out.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// All brokers.
    pub fn brokers(&self) -> &[NodeFacts] {
        &self.brokers
    }

    /// All ZooKeeper servers.
    pub fn servers(&self) -> &[NodeFacts] {
        &self.servers
    }

    /// The zone of a node's host, as it told when it was made; the host itself where none is declared.
    fn zone_of<'a>(&'a self, facts: &'a NodeFacts) -> &'a str {
        let host = self.state.resources.get(&facts.host.key());
        let zone = host.and_then(|host| host.outputs.get("zone")?.as_str());
        zone.unwrap_or(&facts.host.name)
    }

    /// All brokers, each with its zone.
    pub(super) fn zoned(&self) -> Vec<Zoned<'_>> {
        self.brokers.iter().map(|facts| (facts.id, self.zone_of(facts))).collect()
    }

    /// Brokers and ZooKeeper servers by zone; empty where no zones are declared, each host being its own.
    pub(super) fn zones(&self) -> BTreeMap<&str, Vec<&NodeFacts>> {
        let mut zones: BTreeMap<&str, Vec<&NodeFacts>> = BTreeMap::new();
        for facts in self.brokers.iter().chain(&self.servers) {
            zones.entry(self.zone_of(facts)).or_default().push(facts);
        }
        let own = |zone: &str, nodes: &[&NodeFacts]| nodes.iter().all(|facts| facts.host.name == zone);
        if zones.iter().all(|(zone, nodes)| own(zone, nodes)) { BTreeMap::new() } else { zones }
    }

    /// The broker or ZooKeeper server of this name.
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.brokers.iter().chain(&self.servers).find(|facts| facts.node == name)
    }

    /// How many replicas the probe's topic has, unless the user says otherwise: the cluster's default.
    pub fn replicas(&self) -> usize {
        let default = self.broker_setting("default.replication.factor").and_then(|text| text.parse().ok());
        // Kafka's own.
        default.unwrap_or(1)
    }

    /// A place among so many, another for each seed.
    pub fn place(&self, among: usize) -> usize {
        usize::try_from(self.seed % 1_000_000).unwrap_or_default() % among.max(1)
    }

    /// The addresses of all brokers.
    pub fn bootstrap(&self) -> Vec<String> {
        self.brokers.iter().filter_map(|facts| facts.endpoint("client")).collect()
    }

    /// A client for the cluster, which asks these brokers.
    pub fn kafka(&self, bootstrap: &[String]) -> Arc<dyn Kafka> {
        let ensemble = self.brokers.first().map(Broker::ensemble).unwrap_or_default();
        self.registry().wire().kafka(bootstrap, &ensemble)
    }

    /// The value of a broker setting, as the first broker has it.
    pub fn broker_setting(&self, name: &str) -> Option<&str> {
        self.brokers.first()?.settings.get(name)?.known().ok().map(String::as_str)
    }

    /// Why a drill can't have this of the hosts; `None` where it can.
    pub fn lacks(&self, ability: Ability) -> Option<String> {
        let mut nodes = self.brokers.iter().chain(&self.servers);
        nodes.find_map(|facts| match self.host(facts) {
            Ok(host) => host.lacks(ability),
            Err(error) => Some(error.to_string()),
        })
    }

    /// The broker that is the controller.
    ///
    /// # Errors
    /// Where none is known to be.
    pub async fn controller(&self) -> Result<&NodeFacts, DrillError> {
        self.leading(&self.brokers, "controller").await
    }

    /// A broker that isn't the controller, another for each `number` as far as there are that many.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn plain_broker(&self, number: usize) -> Result<&NodeFacts, DrillError> {
        let controller = self.controller().await?;
        let plain: Vec<_> = self.brokers.iter().filter(|facts| facts.node != controller.node).collect();
        self.chosen(&plain, number).ok_or(DrillError::NoMember { role: "broker beside the controller" })
    }

    /// The ensemble's leader.
    ///
    /// # Errors
    /// Where none is known to be.
    pub async fn zookeeper_leader(&self) -> Result<&NodeFacts, DrillError> {
        self.leading(&self.servers, "ZooKeeper leader").await
    }

    /// A follower of the ensemble, another for each `number` as far as there are that many.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn zookeeper_follower(&self, number: usize) -> Result<&NodeFacts, DrillError> {
        let leader = self.zookeeper_leader().await?;
        let followers: Vec<_> = self.servers.iter().filter(|facts| facts.node != leader.node).collect();
        self.chosen(&followers, number).ok_or(DrillError::NoMember { role: "ZooKeeper follower" })
    }

    fn chosen<'a>(&self, among: &[&'a NodeFacts], number: usize) -> Option<&'a NodeFacts> {
        among.get((self.place(among.len()) + number).checked_rem(among.len())?).copied()
    }

    async fn leading<'a>(
        &self,
        members: &'a [NodeFacts],
        what: &'static str,
    ) -> Result<&'a NodeFacts, DrillError> {
        let missing = DrillError::NoMember { role: what };
        let Some(group) = members.first().map(|facts| &facts.group) else { return Err(missing) };
        let view = resource::view(self.context.as_ref(), group).await;
        let leader = view.as_ref().and_then(|view| view.leader());
        members.iter().find(|facts| Some(facts.node.as_str()) == leader).ok_or(missing)
    }

    /// What its host says of a node's process; `None` where it knows of none.
    ///
    /// # Errors
    /// Where its host can't be asked.
    pub async fn run_state(&self, facts: &NodeFacts) -> Result<Option<RunState>, DrillError> {
        let found = async { run_state(self.host(facts)?.as_ref(), &facts.node).await };
        said("look at", &facts.node, found.await)
    }

    /// Waits, unless the drill is to end.
    ///
    /// # Errors
    /// Where it is.
    pub async fn pause(&self, time: Duration) -> Result<(), DrillError> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.options.interrupt.wait() => Err(DrillError::Interrupted),
        }
    }

    /// Waits until every group is healthy.
    ///
    /// # Errors
    /// What is wrong with the first that isn't once `limit` is over.
    pub async fn wait_healthy(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        // ZooKeeper first: brokers that are asked while it has no quorum wait for it in threads that clients need.
        let mut groups: Vec<_> = self.state.groups.keys().collect();
        groups.sort_by_key(|group| !self.servers.iter().any(|facts| facts.group == **group));
        loop {
            let mut wrong = None;
            for group in &groups {
                let health = resource::health(self.context.as_ref(), group).await;
                let health = health.unwrap_or_else(|| Health::Unhealthy("nobody of it can be asked".into()));
                if let Some(reason) = health.lacks() {
                    wrong = Some(format!("{group}: {reason}"));
                    break;
                }
            }
            match wrong {
                None => return Ok(()),
                Some(reason) if Instant::now() >= deadline => return Err(reason),
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Puts leaders where they belong, so that each run of a fault begins alike.
    pub async fn settle(&self) {
        for group in self.state.groups.keys() {
            let seen = resource::view(self.context.as_ref(), group).await;
            if let (Some(role), Some(view)) = (self.context.role_of(group), seen) {
                // A comfort, not a condition.
                let _ = role.settle(self.context.wire(), &view).await;
            }
        }
    }

    /// The host that a node is on.
    pub(super) fn host_of(&self, facts: &NodeFacts) -> Result<Arc<dyn Host>, DrillError> {
        said("find the host of", &facts.node, self.host(facts))
    }

    fn host(&self, facts: &NodeFacts) -> Result<Arc<dyn Host>, KindError> {
        self.context.host(&facts.host.key())
    }
}

/// The names of nodes, in one line.
pub(super) fn names(nodes: &[&NodeFacts]) -> String {
    nodes.iter().map(|facts| facts.node.as_str()).collect::<Vec<_>>().join(", ")
}

/// The addresses of nodes' hosts.
pub(super) fn addresses<'a>(
    nodes: impl IntoIterator<Item = &'a NodeFacts>,
) -> impl Iterator<Item = Ipv4Addr> {
    nodes.into_iter().filter_map(|facts| facts.host.address.known().ok()?.parse().ok())
}

fn said<T>(action: &'static str, subject: &str, result: Result<T, KindError>) -> Result<T, DrillError> {
    result.map_err(|source| DrillError::Host { action, subject: subject.to_owned(), source })
}

async fn run_state(host: &dyn Host, node: &str) -> Result<Option<RunState>, KindError> {
    Ok(host.node(node).await?.map(|found| found.run))
}
