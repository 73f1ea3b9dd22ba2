//! What a node is: the single owner of its settings. Pure data; a role makes of it what a host runs, a
//! [`Deployment`](super::Deployment).

use super::{Deployment, HostInputs, Key, Output, property};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the facts, as states record them. The document that has them has one of its own,
/// [`DEPLOYMENT_VERSION`](super::DEPLOYMENT_VERSION).
pub const FACTS_VERSION: u32 = 2;

/// Everything that a host needs to know to run one node, apart from the host's own paths.
///
/// `settings` is complete: every default is written in by the node's role, so that no reader has defaults of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFacts {
    /// [`FACTS_VERSION`] of the writer.
    pub version: u32,
    /// The stack that the node belongs to.
    pub stack: String,
    /// The node's name, unique in the stack.
    pub node: String,
    /// The role's name, such as `zookeeper` or `broker`.
    pub role: String,
    /// The ensemble or cluster that the node is a member of.
    pub group: String,
    /// The node's number within its group: ZooKeeper's `myid`, Kafka's `broker.id`.
    pub id: i32,
    /// The host that runs the node.
    pub host: HostFacts,
    /// TCP ports that the node listens on at its host's address, by purpose (`client`, `peer`, `election`).
    pub ports: BTreeMap<String, u16>,
    /// The software that runs.
    pub software: Software,
    /// The role's configuration file as key and value, complete but for the host's own paths.
    pub settings: BTreeMap<String, Output<String>>,
    /// Whether the crash fence ends what the node holds in other services when its process died; without meaning for
    /// roles that have none.
    #[serde(default = "yes")]
    pub fence: bool,
    /// Whether a watchdog stops the node where it is cut off from the rest of its group and they can do without it;
    /// without meaning for roles that have none.
    #[serde(default, skip_serializing_if = "is_no")]
    pub watchdog: bool,
    /// The Java virtual machine's limits, for roles that run in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jvm: Option<Jvm>,
}

impl NodeFacts {
    /// The kind of resources that have facts for inputs.
    pub const KIND: &'static str = "node";

    /// The key of the resource with these facts.
    pub fn key(&self) -> Key {
        Key::new(Self::KIND, &self.node)
    }

    /// The facts of a node by its inputs: declared ones are the facts, planned and recorded ones the document that has them
    /// ([`Deployment`]).
    ///
    /// # Errors
    /// Where the inputs aren't a node's.
    pub fn of(inputs: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(inputs.get(Deployment::FACTS).unwrap_or(inputs))
    }
}

/// The host's part of a node's facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// The host's name, unique in the stack.
    pub name: String,
    /// The address at which other nodes and clients reach the host.
    pub address: Output<String>,
    /// The failure domain, for roles that go by it; where none is declared, the host is its own. Others don't have it, so
    /// that nobody is restarted for what it doesn't know of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What NixOS is to know of the machine; `None` where the host isn't one that NixOS runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl HostFacts {
    /// The key of the host.
    pub fn key(&self) -> Key {
        Key::new(HostInputs::KIND, &self.name)
    }
}

/// A machine that runs NixOS, apart from the node on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// How it boots: the format of one of the flake's images (such as `qcow2` or `amazon`), or `own` where `modules`
    /// say so.
    pub platform: String,
    /// Further NixOS modules, such as hardware, users and keys; paths from the root of the flake.
    pub modules: Vec<String>,
    /// The data disk by a name that stays, such as `/dev/disk/by-id/…`; `None` where no node on it keeps data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_disk: Option<String>,
    /// The network of the stack's own hosts, which reach every port of each other.
    pub peers: String,
    /// Networks of clients, which reach the port `client` of roles that serve them.
    pub clients: Vec<String>,
}

/// Which software at which version, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name, such as `kafka`; of jars that of the artifact set.
    pub name: String,
    /// Its version, such as `3.9.2`; of what is installed the oldest that serves.
    pub version: String,
    /// Where it comes from.
    pub source: Source,
}

/// Where software comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// One of the artifact sets that Octad carries.
    Jars {
        /// Digest of the set's lock: it changes when any file of the set does.
        digest: String,
    },
    /// An archive (`tar`, `tar.gz` or `zip`) that is fetched and unpacked.
    Archive {
        /// Where it is fetched from, by HTTP or HTTPS.
        url: String,
        /// The archive's SHA-256, as 64 lower-case hexadecimal digits: what counts, wherever it is fetched from.
        sha256: String,
        /// How many directories, each alone at its place, stand around what is meant.
        #[serde(default, skip_serializing_if = "is_zero")]
        strip: u32,
    },
    /// A program that the machine has: found on `PATH`, on NixOS in the package of the software's name.
    Installed {
        /// The first version that doesn't serve any more; `None` where every newer one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<String>,
    },
}

impl Software {
    /// What has to be known to have it, for people: `python3 3.9 or newer`.
    pub fn wanted(&self) -> String {
        let Self { name, version, source } = self;
        match source {
            Source::Jars { .. } | Source::Archive { .. } => format!("{name} {version}"),
            Source::Installed { below: None } => format!("{name} {version} or newer"),
            Source::Installed { below: Some(below) } => format!("{name} {version} or newer, below {below}"),
        }
    }
}

/// Limits of a Java virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jvm {
    /// Heap in MiB, as both its initial and its largest size.
    pub heap_mib: u32,
    /// Further options, in order.
    pub options: Vec<String>,
}

fn yes() -> bool {
    true
}

pub(super) fn is_no(flag: &bool) -> bool {
    !flag
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Jvm {
    /// The options of the command line, heap first.
    pub fn flags(&self) -> Vec<String> {
        let heap = [format!("-Xms{}m", self.heap_mib), format!("-Xmx{}m", self.heap_mib)];
        heap.into_iter().chain(self.options.iter().cloned()).collect()
    }
}

impl NodeFacts {
    /// The only member of a group that is called as its role, without ports, settings and a Java virtual machine.
    pub fn new(stack: &str, node: &str, role: &str, host: HostFacts, software: Software) -> Self {
        Self {
            version: FACTS_VERSION,
            stack: stack.to_owned(),
            node: node.to_owned(),
            role: role.to_owned(),
            group: role.to_owned(),
            id: 1,
            host,
            ports: BTreeMap::new(),
            software,
            settings: BTreeMap::new(),
            fence: true,
            watchdog: false,
            jvm: None,
        }
    }

    /// A setting, where it is set and known.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.known().ok().map(String::as_str)
    }

    /// `address:port` of the port for `purpose`, or `None` where the node has no such port or its host's address is
    /// not yet known.
    pub fn endpoint(&self, purpose: &str) -> Option<String> {
        let address = self.host.address.known().ok()?;
        Some(format!("{address}:{}", self.ports.get(purpose)?))
    }

    /// The settings that are known and `own`, which is the host's, as a properties file in name order: the form of Kafka's
    /// and ZooKeeper's files.
    pub fn properties(&self, own: (&str, &str)) -> String {
        let known = self
            .settings
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.known().ok()?.as_str())));
        let all: BTreeMap<&str, &str> = known.chain([own]).collect();
        all.into_iter().map(|(name, value)| property(name, value)).collect()
    }
}
