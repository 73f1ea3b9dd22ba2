//! The world as a whole: all that is in it. What befalls its hosts and nodes is in the folder of its name; what the
//! processes are to each other is in `ensemble` and `cluster`.

mod hosts;
mod nodes;
mod time;

pub(super) use nodes::rendered;

use super::cluster::Cluster;
use super::ensemble::Ensemble;
use super::lies::Lies;
use super::record::{Breach, Cause, Cut, Deed, Loss};
use super::trial::Trial;
use crate::host::{DOCUMENT_FILE, SystemChange};
use crate::model::{Member, NodeFacts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// The only path that a node knows, where that isn't the one that it was made to be asked for.
    #[serde(default)]
    pub(super) paths: BTreeMap<String, String>,
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
    /// What hosts ran before the change that is on trial there.
    #[serde(default)]
    pub(super) trials: BTreeMap<String, Trial>,
    /// Hosts that have gone back from the change that was on trial last.
    #[serde(default)]
    pub(super) went_back: BTreeSet<String>,
    /// How what hosts run beside their nodes' documents differs from what they are to run.
    #[serde(default)]
    pub(super) systems: BTreeMap<String, SystemChange>,
    /// Hosts that are to go on with the system that they run.
    #[serde(skip)]
    pub(super) stay: BTreeSet<String>,
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
#[derive(Clone, Serialize, Deserialize)]
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
        member: Box<Member>,
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
            paths: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            fatal: BTreeMap::new(),
            shared_disk: None,
            rates: BTreeMap::new(),
            gives_ids: false,
            ids: BTreeMap::new(),
            left: BTreeMap::new(),
            trials: BTreeMap::new(),
            went_back: BTreeSet::new(),
            systems: BTreeMap::new(),
            stay: BTreeSet::new(),
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

impl Generation {
    /// The document that it was made from.
    pub(super) fn document(&self) -> Value {
        let text = self.files.get(DOCUMENT_FILE).map(String::as_str).unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }
}

impl Node {
    pub(super) fn facts(&self) -> Option<&NodeFacts> {
        self.member().map(|member| &member.facts)
    }

    /// What its process was started as.
    pub(super) fn member(&self) -> Option<&Member> {
        match &self.run {
            Run::Running { member, .. } => Some(member),
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
}
