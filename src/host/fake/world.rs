//! The world's hosts, disks and processes, and its time. What the processes are to each other is in `ensemble` and
//! `cluster`.

use super::cluster::Cluster;
use super::ensemble::Ensemble;
use super::lies::Lies;
use super::record::{Breach, Cause, Cut, Deed, Loss};
use crate::host::{FACTS_FILE, HostError, Identity, NodeObservation, RunState};
use crate::model::{Deployment, HealthCheck, Layout, NodeFacts, Output};
use crate::role::{Broker, Zookeeper};
use crate::wire::NotServing;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

#[derive(Serialize, Deserialize)]
pub(super) struct World {
    pub(super) machines: BTreeMap<String, Machine>,
    pub(super) nodes: BTreeMap<String, Node>,
    /// The nodes that exist, by group.
    pub(super) members: BTreeMap<String, BTreeSet<String>>,
    /// Client endpoints that a process was started with, running or not.
    pub(super) endpoints: HashMap<String, String>,
    pub(super) ensembles: BTreeMap<String, Ensemble>,
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) deeds: Vec<Deed>,
    pub(super) breaches: Vec<Breach>,
    pub(super) cause: Cause,
    pub(super) cut: Option<(usize, Cut)>,
    /// Brokers that watchdogs ask for, since they are cut off.
    #[serde(default)]
    pub(super) asked: BTreeSet<i32>,
    pub(super) refused: BTreeMap<String, String>,
    /// Hosts that nobody gets an answer from, whatever runs on them.
    #[serde(default)]
    pub(super) unreachable: BTreeSet<String>,
    /// What nodes answer over HTTP, where that isn't what they should.
    #[serde(default)]
    pub(super) answers: BTreeMap<String, u16>,
    /// Nodes whose configuration files can't be read.
    pub(super) unreadable: BTreeSet<String>,
    /// Settings with which a process ends as soon as it has read them.
    pub(super) fatal: BTreeMap<String, String>,
    /// Bytes free on the file system that all hosts share.
    pub(super) shared_disk: Option<u64>,
    /// Bytes that the busiest partition of each topic takes in a second.
    pub(super) rates: BTreeMap<String, f64>,
    /// Whether it gives hosts ids of its own, and makes them anew where their options change.
    #[serde(default)]
    pub(super) gives_ids: bool,
    /// The ids that it has given, by the token that each was asked for with.
    #[serde(default)]
    pub(super) ids: BTreeMap<String, String>,
    /// What is left of nodes on hosts that they have moved away from, by host and node.
    #[serde(default, with = "left_behind")]
    pub(super) left: BTreeMap<(String, String), Node>,
    pub(super) lag: u64,
    /// How long each deed of Octad's takes.
    pub(super) takes: Duration,
    /// Nodes whose processes stand still, and which nobody has told so.
    pub(super) still: BTreeSet<String>,
    #[serde(skip)]
    pub(super) lies: Lies,
    now: u64,
    #[serde(with = "in_order")]
    due: BTreeMap<(u64, u64), Due>,
    numbers: u64,
}

/// A host.
#[derive(Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) address: Ipv4Addr,
    pub(super) up: bool,
    pub(super) nodes: BTreeSet<String>,
}

/// All that a host has of one node.
#[derive(Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) disk: Option<Disk>,
    /// The disk that was taken away.
    pub(super) lost: Option<Disk>,
    pub(super) generation: Option<Generation>,
    /// Its host starts it by itself.
    pub(super) wanted: bool,
    pub(super) run: Run,
    pub(super) restarts: u64,
    /// How often a process of it was made.
    pub(super) spawns: u64,
    /// How often it was given an empty disk.
    pub(super) formats: u64,
    /// It ends as soon as it is started.
    pub(super) broken: bool,
}

/// A data disk.
#[derive(Serialize, Deserialize)]
pub(super) struct Disk {
    pub(super) number: u64,
    /// `None`: what lies on it is nobody's.
    pub(super) marker: Option<Value>,
    /// ZooKeeper may vote with what is on it.
    pub(super) trusted: bool,
    /// The last ZooKeeper transaction on it.
    pub(super) zxid: u64,
}

/// Files of a node.
#[derive(Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) id: String,
    pub(super) facts: NodeFacts,
    pub(super) files: BTreeMap<String, String>,
    pub(super) altered: BTreeSet<String>,
    /// It starts without a disk.
    #[serde(default)]
    pub(super) stateless: bool,
}

/// What a process does.
#[derive(Serialize, Deserialize)]
pub(super) enum Run {
    Running {
        pid: u64,
        /// The observation at which it was started.
        since: u64,
        generation: String,
        facts: Box<NodeFacts>,
    },
    Failing {
        last_exit: String,
    },
    Failed {
        reason: String,
    },
    /// It counts as away at once.
    Frozen,
    Stopped,
}

/// What takes effect later. The number is the process's: one that was stopped meanwhile does nothing any more.
#[derive(Serialize, Deserialize)]
pub(super) enum Due {
    /// A member reaches its group.
    Joins(String, u64),
    /// A broker has fetched what it missed.
    CaughtUp(String, u64),
    /// An empty ZooKeeper member has the leader's data.
    Synced(String, u64),
    /// The session of a broker that stands still is over, unless it goes on by then.
    SessionOver(String, u64),
    /// A reassignment is done.
    Moved { cluster: String, topic: String, partition: i32 },
}

impl Default for World {
    fn default() -> Self {
        Self {
            machines: BTreeMap::new(),
            nodes: BTreeMap::new(),
            members: BTreeMap::new(),
            endpoints: HashMap::new(),
            ensembles: BTreeMap::new(),
            clusters: BTreeMap::new(),
            deeds: Vec::new(),
            breaches: Vec::new(),
            cause: Cause::Time,
            cut: None,
            asked: BTreeSet::new(),
            refused: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            answers: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            fatal: BTreeMap::new(),
            shared_disk: None,
            rates: BTreeMap::new(),
            gives_ids: false,
            ids: BTreeMap::new(),
            left: BTreeMap::new(),
            lag: 1,
            takes: Duration::ZERO,
            still: BTreeSet::new(),
            lies: Lies::default(),
            now: 0,
            due: BTreeMap::new(),
            numbers: 0,
        }
    }
}

/// JSON's keys are texts; these aren't.
mod left_behind {
    use super::Node;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::collections::BTreeMap;

    type Left = BTreeMap<(String, String), Node>;

    pub(super) fn serialize<S: Serializer>(left: &Left, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(left)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Left, D::Error> {
        Ok(Vec::<((String, String), Node)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// JSON's keys are texts; these aren't.
mod in_order {
    use super::Due;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::collections::BTreeMap;

    type Dues = BTreeMap<(u64, u64), Due>;

    pub(super) fn serialize<S: Serializer>(due: &Dues, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(due)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dues, D::Error> {
        Ok(Vec::<((u64, u64), Due)>::deserialize(deserializer)?.into_iter().collect())
    }
}

fn marker_of(facts: &NodeFacts) -> Value {
    json!({ "stack": facts.stack, "node": facts.node, "role": facts.role, "id": facts.id })
}

/// The files of a node, as every simulated host would have them.
pub(super) fn rendered(deployment: &Deployment) -> BTreeMap<String, String> {
    let nowhere = Layout { config: "".into(), data: "".into(), runtime: "".into(), software: "".into() };
    let mut files = deployment.rendered(&nowhere);
    files.insert(FACTS_FILE.into(), json!(deployment.facts).to_string());
    files
}

impl Node {
    pub(super) fn facts(&self) -> Option<&NodeFacts> {
        match &self.run {
            Run::Running { facts, .. } => Some(facts),
            _ => None,
        }
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> Option<u64> {
        match &self.run {
            Run::Running { pid, .. } => Some(*pid),
            _ => None,
        }
    }
}

impl World {
    /// Begins a deed of Octad's; tells how it is to be cut off, if it is.
    pub(super) fn begin(&mut self, verb: &'static str, subject: &str) -> Option<Cut> {
        let deed = Deed { verb: verb.to_owned(), subject: subject.to_owned() };
        self.cause = Cause::Octad(deed.clone());
        self.deeds.push(deed);
        let (at, cut) = self.cut?;
        (at == self.deeds.len()).then(|| {
            self.cut = None;
            cut
        })
    }

    pub(super) fn breach(&mut self, loss: Loss) {
        let (deeds, cause) = (self.deeds.len(), self.cause.clone());
        self.breaches.push(Breach { deeds, cause, loss });
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    // Time.

    /// One observation passes.
    pub(super) fn pass(&mut self) {
        self.now += 1;
        self.catch_up_with_time();
    }

    /// Everything that was begun takes effect.
    pub(super) fn settle(&mut self) {
        while let Some(((at, _), _)) = self.due.last_key_value() {
            self.now = self.now.max(*at);
            self.catch_up_with_time();
        }
    }

    pub(super) fn later(&mut self, due: Due) {
        self.after(self.lag, due);
    }

    pub(super) fn after(&mut self, looks: u64, due: Due) {
        let number = self.number();
        self.due.insert((self.now + looks, number), due);
        if looks == 0 {
            self.catch_up_with_time();
        }
    }

    fn catch_up_with_time(&mut self) {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= self.now) {
            let due = first.remove();
            let cause = std::mem::replace(&mut self.cause, Cause::Time);
            self.take_effect(due);
            self.cause = cause;
        }
    }

    fn take_effect(&mut self, due: Due) {
        let alive =
            |world: &Self, node: &str, pid| world.nodes.get(node).is_some_and(|node| node.pid() == Some(pid));
        match due {
            Due::Joins(node, pid) if alive(self, &node, pid) && !self.still.contains(&node) => {
                match self.role_of(&node).as_deref() {
                    Some(Zookeeper::NAME) => self.member_joins(&node),
                    Some(Broker::NAME) => self.broker_joins(&node),
                    _ => {}
                }
            }
            Due::Synced(node, pid) if alive(self, &node, pid) && !self.still.contains(&node) => {
                self.member_synced(&node);
            }
            Due::CaughtUp(node, pid) if alive(self, &node, pid) && !self.still.contains(&node) => {
                self.broker_caught_up(&node);
            }
            Due::Moved { cluster, topic, partition } => self.moved(&cluster, &topic, partition),
            Due::SessionOver(node, pid) if alive(self, &node, pid) && self.still.contains(&node) => {
                self.session_over(&node);
            }
            Due::Joins(..) | Due::Synced(..) | Due::CaughtUp(..) | Due::SessionOver(..) => {}
        }
    }

    fn role_of(&self, node: &str) -> Option<String> {
        Some(self.nodes.get(node)?.facts()?.role.clone())
    }

    // Hosts.

    /// The world's own name of a host.
    pub(super) fn machine_of(&self, called: &str, identity: Identity<'_>) -> String {
        match identity {
            Identity::Id(id) => id.to_owned(),
            // One that was asked for and never came to be known is found by that.
            Identity::Token(token) if self.gives_ids => {
                self.ids.get(token).cloned().unwrap_or_else(|| format!("{called} (none)"))
            }
            Identity::Name if self.gives_ids => format!("{called} (none)"),
            Identity::Token(_) | Identity::Name => called.to_owned(),
        }
    }

    /// The id of the host that is asked for with this token.
    pub(super) fn give_id(&mut self, token: &str) -> String {
        let number = self.number();
        self.ids.entry(token.to_owned()).or_insert_with(|| format!("i-{number}")).clone()
    }

    pub(super) fn is_on(&self, host: &str, node: &str) -> bool {
        self.nodes.get(node).is_none_or(|node| node.host == host)
    }

    /// Starts a node on a host, where nothing of it runs on another.
    pub(super) fn start_on(&mut self, host: &str, node: &str) -> Result<(), HostError> {
        if !self.is_on(host, node) {
            // What was left here runs again, and what was begun elsewhere is nothing but a disk.
            self.at_rest(node)?;
            let Some(old) = self.left.remove(&(host.to_owned(), node.to_owned())) else {
                return Err(HostError::NoSuchNode { host: host.to_owned(), node: node.to_owned() });
            };
            if let Some(new) = self.nodes.insert(node.to_owned(), old) {
                if new.spawns > 0 {
                    let what = format!("{node} is started from an old copy");
                    self.breach(Loss::Data { what });
                }
                self.left.insert((new.host.clone(), node.to_owned()), new);
            }
        }
        self.start(node)
    }

    /// Removes what is left of a node on a host that it has moved away from; whether there was anything.
    pub(super) fn shed(&mut self, host: &str, node: &str) -> bool {
        let shed = self.left.remove(&(host.to_owned(), node.to_owned())).is_some();
        if let Some(machine) = self.machines.get_mut(host).filter(|_| shed) {
            machine.nodes.remove(node);
        }
        shed
    }

    /// Has a node begin anew on another host than the one that it lies on, which keeps what it has of it.
    fn leave_behind(&mut self, host: &str, node: &str) -> Result<(), HostError> {
        if self.is_on(host, node) {
            return Ok(());
        }
        self.at_rest(node)?;
        if let Some(old) = self.nodes.remove(node) {
            if let Some(facts) = old.generation.as_ref().map(|generation| generation.facts.clone())
                && facts.role == Broker::NAME
            {
                self.disk_gone(&facts);
            }
            self.left.insert((old.host.clone(), node.to_owned()), old);
        }
        Ok(())
    }

    pub(super) fn boot(&mut self, host: &str, address: Option<Ipv4Addr>) -> Ipv4Addr {
        let assigned = match self.machines.get(host) {
            Some(machine) => machine.address,
            None => address.unwrap_or_else(|| {
                let number = u32::try_from(self.number()).unwrap_or(u32::MAX);
                Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
            }),
        };
        let machine = self.machines.entry(host.to_owned()).or_insert_with(|| Machine {
            address: assigned,
            up: false,
            nodes: BTreeSet::new(),
        });
        if !machine.up {
            machine.up = true;
            for node in machine.nodes.clone() {
                if self.nodes.get(&node).is_some_and(|one| one.wanted && one.host == host) {
                    // It failed before Octad asks for it: what went wrong is seen then.
                    let _ = self.start(&node);
                }
            }
        }
        assigned
    }

    pub(super) fn go_down(&mut self, host: &str) {
        let Some(machine) = self.machines.get_mut(host) else { return };
        machine.up = false;
        for node in machine.nodes.clone() {
            if self.is_on(host, &node) {
                self.end(&node, Run::Stopped);
            }
        }
    }

    pub(super) fn destroy(&mut self, host: &str) {
        self.go_down(host);
        let nodes = self.machines.remove(host).map(|machine| machine.nodes).unwrap_or_default();
        for node in nodes {
            if !self.shed(host, &node) {
                self.forget(&node);
            }
        }
    }

    pub(super) fn machine(&mut self, host: &str) -> Result<&mut Machine, HostError> {
        self.machines
            .get_mut(host)
            .filter(|machine| machine.up)
            .ok_or_else(|| HostError::Down { host: host.to_owned() })
    }

    // Nodes.

    pub(super) fn observe(&self, host: &str, node: &str) -> Option<NodeObservation> {
        let left = || self.left.get(&(host.to_owned(), node.to_owned()));
        let node = self.nodes.get(node).filter(|node| node.host == host).or_else(left)?;
        let generation = node.generation.as_ref();
        let run = match &node.run {
            Run::Running { pid, generation: started, since, .. } => RunState::Running {
                pid: u32::try_from(*pid).unwrap_or(u32::MAX),
                since_ms: 0,
                // As if a minute passed between two looks.
                age_ms: (self.now - since) * 60_000,
                current: generation.is_some_and(|generation| generation.id == *started),
                restarts: node.restarts,
            },
            Run::Failing { last_exit } => {
                RunState::Restarting { restarts: node.restarts, last_exit: last_exit.clone() }
            }
            Run::Failed { reason } => RunState::Failed { reason: reason.clone() },
            Run::Frozen => RunState::Frozen,
            Run::Stopped => RunState::Stopped,
        };
        Some(NodeObservation {
            facts: generation.map(|generation| json!(generation.facts)),
            altered: generation.map_or_else(Vec::new, |one| one.altered.iter().cloned().collect()),
            data: node.disk.as_ref().is_some_and(|disk| disk.marker.is_some())
                || generation.is_some_and(|generation| generation.stateless),
            run,
        })
    }

    /// What whoever serves at an address says of itself. It listens once it has joined its group.
    pub(super) fn ask(&self, address: &str, check: &HealthCheck) -> Result<(), NotServing> {
        let is_at = |facts: &NodeFacts| facts.endpoint(check.port()).as_deref() == Some(address);
        let listens = |node: &Node| match (&node.run, &node.generation) {
            (Run::Running { facts, since, .. }, _) => is_at(facts) && self.now - since >= self.lag,
            (Run::Frozen, Some(generation)) => is_at(&generation.facts),
            _ => false,
        };
        let found = self.nodes.iter().find(|(_, node)| listens(node));
        let Some((name, node)) = found else { return Err(NotServing::Closed) };
        if self.still.contains(name) || matches!(node.run, Run::Frozen) {
            return Err(NotServing::Silent { why: "no answer in time".into() });
        }
        match (check, self.answers.get(name)) {
            (HealthCheck::Http { status, .. }, Some(found)) if found != status => {
                Err(NotServing::Status { found: *found, wanted: *status })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn files(&self, host: &str, node: &str) -> BTreeMap<String, String> {
        let node = self.nodes.get(node).filter(|node| node.host == host);
        let files = node.and_then(|node| node.generation.as_ref()).map(|generation| generation.files.clone());
        files.unwrap_or_default()
    }

    pub(super) fn node_on(&mut self, host: &str, node: &str) -> Result<&mut Node, HostError> {
        self.machine(host)?.nodes.insert(node.to_owned());
        Ok(self.nodes.entry(node.to_owned()).or_insert_with(|| Node {
            host: host.to_owned(),
            disk: None,
            lost: None,
            generation: None,
            wanted: false,
            run: Run::Stopped,
            restarts: 0,
            spawns: 0,
            formats: 0,
            broken: false,
        }))
    }

    pub(super) fn format(&mut self, host: &str, deployment: &Deployment) -> Result<(), HostError> {
        let facts = &deployment.facts;
        self.leave_behind(host, &facts.node)?;
        if deployment.stateless {
            self.machine(host)?;
            return Ok(());
        }
        let number = self.number();
        let node = self.node_on(host, &facts.node)?;
        if let Some(disk) = &node.disk {
            return if disk.marker.as_ref() == Some(&marker_of(facts)) {
                Ok(())
            } else {
                Err(HostError::ForeignData { node: facts.node.clone(), directory: format!("{host}:data") })
            };
        }
        // ZooKeeper's own sign that an empty data directory may be trusted.
        let trusted = deployment.data_files.contains_key("initialize");
        node.disk = Some(Disk { number, marker: Some(marker_of(facts)), trusted, zxid: 0 });
        node.formats += 1;
        self.members.entry(facts.group.clone()).or_default().insert(facts.node.clone());
        Ok(())
    }

    pub(super) fn install(&mut self, host: &str, deployment: &Deployment) -> Result<String, HostError> {
        let facts = &deployment.facts;
        let files = rendered(deployment);
        let mut hash = Sha256::new();
        hash.update(json!(files).to_string());
        let id: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        self.node_on(host, &facts.node)?.generation = Some(Generation {
            id: id.clone(),
            facts: facts.clone(),
            files,
            altered: BTreeSet::new(),
            stateless: deployment.stateless,
        });
        if deployment.stateless {
            self.members.entry(facts.group.clone()).or_default().insert(facts.node.clone());
        }
        Ok(id)
    }

    pub(super) fn start(&mut self, name: &str) -> Result<(), HostError> {
        let pid = self.number();
        let refused = self.refused.get(name).cloned();
        let node = self.nodes.get_mut(name).filter(|node| node.generation.is_some());
        let Some(node) = node else {
            return Err(HostError::NoSuchNode { host: "the host".into(), node: name.to_owned() });
        };
        if node.facts().is_some() {
            return Ok(());
        }
        node.wanted = true;
        node.restarts = 0;
        let stateless = node.generation.as_ref().is_some_and(|generation| generation.stateless);
        let disk = stateless || node.disk.as_ref().is_some_and(|disk| disk.marker.is_some());
        let refused = if disk { refused } else { Some("the marker of its data directory is missing".into()) };
        if let Some(reason) = refused {
            node.run = Run::Failed { reason: reason.clone() };
            return Err(HostError::NotStarted { node: name.to_owned(), reason });
        }
        let settings = node.generation.iter().flat_map(|generation| &generation.facts.settings);
        let fatal = |(name, value): (&String, &Output<String>)| {
            self.fatal.get(name).is_some_and(|fatal| value.known() == Ok(fatal))
        };
        if settings.into_iter().any(fatal) {
            node.restarts = 5;
            node.run = Run::Failing { last_exit: "exit status 1".into() };
            return Ok(());
        }
        if node.broken {
            node.restarts = 3;
            node.run = Run::Failing { last_exit: "exit status 1".into() };
            return Ok(());
        }
        self.spawn(name, pid);
        Ok(())
    }

    pub(super) fn spawn(&mut self, name: &str, pid: u64) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let Some(generation) = &node.generation else { return };
        let facts = generation.facts.clone();
        node.spawns += 1;
        let (generation, boxed) = (generation.id.clone(), Box::new(facts.clone()));
        node.run = Run::Running { pid, since: self.now, generation, facts: boxed };
        if let Some(endpoint) = facts.endpoint("client") {
            self.endpoints.insert(endpoint, name.to_owned());
        }
        if facts.role == Broker::NAME {
            self.broker_starts(&facts);
        }
        self.later(Due::Joins(name.to_owned(), pid));
    }

    /// Ends a node's process, if it has one.
    pub(super) fn end(&mut self, name: &str, then: Run) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if let Run::Running { facts, .. } = std::mem::replace(&mut node.run, then) {
            match facts.role.as_str() {
                Zookeeper::NAME => self.member_leaves(&facts),
                Broker::NAME => self.broker_leaves(&facts),
                _ => {}
            }
            self.still.remove(name);
        }
    }

    pub(super) fn stop(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.wanted = false;
            self.end(name, Run::Stopped);
        }
    }

    /// Refuses what needs a node's process to be gone.
    pub(super) fn at_rest(&self, name: &str) -> Result<(), HostError> {
        match self.nodes.get(name).map(|node| &node.run) {
            Some(Run::Running { .. } | Run::Failing { .. } | Run::Frozen) => {
                let missing = "it must be stopped first".to_owned();
                Err(HostError::Incomplete { subject: name.to_owned(), missing })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn rename(&mut self, host: &str, from: &str, to: &str) -> Result<(), HostError> {
        self.at_rest(from)?;
        if self.nodes.get(from).is_none_or(|node| node.host != host) {
            return Ok(());
        }
        if self.nodes.contains_key(to) {
            let (node, name) = (from.to_owned(), to.to_owned());
            return Err(HostError::NameTaken { host: host.to_owned(), node, name });
        }
        let Some(mut node) = self.nodes.remove(from) else { return Ok(()) };
        node.wanted = false;
        if let Some(marker) = node.disk.as_mut().and_then(|disk| disk.marker.as_mut()) {
            marker["node"] = json!(to);
        }
        self.nodes.insert(to.to_owned(), node);
        let machine = self.machines.get_mut(host).map(|machine| &mut machine.nodes);
        for names in self.members.values_mut().chain(machine) {
            if names.remove(from) {
                names.insert(to.to_owned());
            }
        }
        self.endpoints.values_mut().filter(|node| *node == from).for_each(|node| to.clone_into(node));
        Ok(())
    }

    /// Removes what is left of a node, its data too.
    pub(super) fn forget(&mut self, name: &str) {
        let Some(node) = self.nodes.remove(name) else { return };
        if let Some(machine) = self.machines.get_mut(&node.host) {
            machine.nodes.remove(name);
        }
        let Some(facts) = node.generation.map(|generation| generation.facts) else { return };
        if facts.role == Broker::NAME {
            self.disk_gone(&facts);
        }
        let left = self.members.entry(facts.group.clone()).or_default();
        left.remove(name);
        if left.is_empty() {
            self.members.remove(&facts.group);
            self.clusters.remove(&facts.group);
            if self.ensembles.remove(&facts.group).is_some() {
                self.metadata_gone(&facts.group);
            }
        }
    }
}
