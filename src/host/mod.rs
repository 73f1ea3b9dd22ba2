//! Hosts: where nodes run. A backend is one file here; every backend passes the contract in `tests/host_contract`.

mod change;
mod cut;
mod drillable;
mod error;
pub mod fake;
mod lease;
mod local;
mod nixos;
mod system;

pub use change::{HostChange, Staging, Stop};
pub use cut::{Cut, Peers};
pub use drillable::{Ability, Drillable};
pub use error::{BackendError, Hinted, HostError};
pub use fake::{FakeBackend, FakeWorld};
pub use lease::{LEASE, Lease, LeaseRecord, LeaseRequest, MARGIN};
pub use local::{Isolation, LocalBackend, LocalOptions};
pub use nixos::NixosBackend;
pub use system::{Comparing, Generation, Past, SystemChange, Wanted, lock_out_hint};

use crate::clock::Until;
use crate::model::{Deployment, HostInputs, Options};
use crate::tool::Lack;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A way to have hosts, such as local processes or machines over SSH.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The backend's name, as it stands in a stack file.
    fn name(&self) -> &'static str;

    /// A handle on a host; nothing is done yet. `site` is the stack's own directory, and has its name. Backends of which the
    /// hosts have no names but those of the stack pass `identity` over.
    fn host(
        &self,
        site: &Path,
        name: &str,
        inputs: &HostInputs,
        identity: Identity<'_>,
    ) -> Result<Arc<dyn Host>, HostError>;

    /// What is wrong with the options of a host, and what to write instead. Pure.
    fn check_options(&self, options: &Options) -> Result<(), (String, String)> {
        match options.keys().next() {
            None => Ok(()),
            Some(name) => Err((
                format!("hosts of the backend {} have no option `{name}`", self.name()),
                "leave it away".into(),
            )),
        }
    }

    /// Whether a host has to be made anew to be what these inputs say, and can be: another takes its place, nodes move there
    /// one at a time and fill what they had from the others, and then the old one goes. As a rule no host can. Pure.
    fn renews(&self, before: &HostInputs, after: &HostInputs) -> bool {
        let _ = (before, after);
        false
    }

    /// Whether a host with the inputs after is the one with those before: what differs says only how it is reached, or what
    /// is to come. As a rule it isn't. Pure.
    fn is_same(&self, before: &HostInputs, after: &HostInputs) -> bool {
        let _ = (before, after);
        false
    }

    /// Whether a host with these inputs has one configuration for all its nodes, which is changed in one act and is on trial
    /// until that is confirmed ([`Host::apply`]). As a rule each node of a host is changed by itself, for good. Pure.
    fn changes_whole(&self, inputs: &HostInputs) -> bool {
        let _ = inputs;
        false
    }

    /// Bytes that are free on the file system that all hosts at `site` share, where they have no disks of their own;
    /// `None` where they share none, or it can't be told.
    fn shared_disk(&self, site: &Path) -> Option<u64> {
        let _ = site;
        None
    }

    /// What this machine lacks to run these nodes with; changes nothing. As a rule nothing.
    async fn lacking(&self, all: &[Deployment]) -> Vec<Lack> {
        let _ = all;
        Vec::new()
    }

    /// All that is asked of its hosts from now on is under this lease. As a rule hosts keep none ([`Host::keeps_leases`]).
    fn work_under(&self, lease: &Arc<Lease>) {
        let _ = lease;
    }

    /// How what hosts run that are changed as a whole ([`Backend::changes_whole`]) differs from what they are to run; changes
    /// nothing. Those are left out of which nobody can tell yet: it is seen whether they can be reached when they are looked at.
    /// From then on they are given what they are to run by that.
    ///
    /// # Errors
    /// Where it can't be told what a host is to run.
    async fn compare(
        &self,
        hosts: &[Comparing],
        progress: &Progress,
    ) -> Result<BTreeMap<String, SystemChange>, HostError> {
        let _ = (hosts, progress);
        Ok(BTreeMap::new())
    }

    /// Makes ready what can be beside what runs, for all hosts before any of them is changed: finds programs, fetches files,
    /// builds and copies configurations, finds addresses in use. May be repeated.
    async fn stage(&self, hosts: &[Staging], progress: &Progress) -> Result<(), HostError>;
}

/// By what a backend finds a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity<'a> {
    /// The name that the stack gives it: the world has given it none, or it was never made.
    Name,
    /// The token of the operation that was to make it and may have ([`Host::make`]).
    Token(&'a str),
    /// The id that the world gave it.
    Id(&'a str),
}

/// Where a backend tells how far long work has come: what, how much is done, of how much.
pub type Progress = dyn Fn(&str, u64, u64) + Send + Sync;

/// The name of the file that holds the document that a generation was made from.
pub const DOCUMENT_FILE: &str = "node.json";

/// A machine, or what stands for one. All operations are idempotent.
#[async_trait]
pub trait Host: Send + Sync {
    /// Whether the host is up; `None` where it doesn't exist.
    async fn power(&self) -> Result<Option<bool>, HostError>;

    /// Whether this machine can give what the host needs; changes nothing. As a rule it needs nothing.
    async fn check(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// What this machine lacks to make the host with; changes nothing. As a rule nothing.
    async fn lacking(&self) -> Result<Vec<Lack>, HostError> {
        Ok(Vec::new())
    }

    /// Whether the host's address is one of this machine's, at which others may listen already.
    fn shares_address(&self) -> bool {
        false
    }

    /// Whether others than those who share the stack's directory may reach the host, so that it keeps a record of who may
    /// change it ([`Lease`]). As a rule the lock of that directory keeps all others out.
    fn keeps_leases(&self) -> bool {
        false
    }

    /// Asks it for a lease, by the rule of [`LeaseRecord::after`]; tells what it has on record then.
    async fn lease(&self, request: &LeaseRequest) -> Result<LeaseRecord, HostError> {
        Ok(LeaseRecord::default().after(request))
    }

    /// Asks for a host that the world gives an id, and returns that; the same token asks for the same host, however often.
    /// `None` where hosts have no ids, and [`Host::boot`] makes them.
    async fn make(&self, token: &str) -> Result<Option<String>, HostError> {
        let _ = token;
        Ok(None)
    }

    /// Makes the host exist and reachable, mends what a drill has left ([`Drillable::mend`]), and returns its
    /// address.
    async fn boot(&self) -> Result<String, HostError>;

    /// How a node stands; `None` where the host has never heard of it.
    async fn node(&self, node: &str) -> Result<Option<NodeObservation>, HostError>;

    /// The nodes of which the host has anything, their data or a part of it, whoever knows of them.
    async fn nodes(&self) -> Result<BTreeSet<String>, HostError>;

    /// Formats the disk that a node's data is to be on, where it is blank: somebody consented to that by the host's name.
    /// `refill` where what was on another in its place is filled again by others. As a rule hosts have no disks of their own.
    async fn format_disk(&self, deployment: &Deployment, refill: bool) -> Result<(), HostError> {
        let _ = (deployment, refill);
        Ok(())
    }

    /// Gives a node its data directory, with its data files in it and a marker that says whose it is. Does nothing where the
    /// marker of the same node is there already, or where the node keeps no data.
    ///
    /// # Errors
    /// [`HostError::ForeignData`] where the directory holds something else.
    async fn format(&self, deployment: &Deployment) -> Result<(), HostError>;

    /// Puts a node's files in place as a new generation and returns its id. What runs goes on as it is until it is
    /// stopped and started.
    async fn install(&self, deployment: &Deployment) -> Result<String, HostError>;

    /// The files of the generation in place as they lie there, by name; none where there is no generation.
    async fn files(&self, node: &str) -> Result<BTreeMap<String, String>, HostError>;

    /// The files that [`Host::install`] would put in place. Pure.
    fn render(&self, deployment: &Deployment) -> BTreeMap<String, String>;

    /// Starts the current generation of a node; returns once its process exists.
    async fn start(&self, node: &str) -> Result<(), HostError>;

    /// Stops a node; returns once its process is gone. It is killed when it outlives `timeout`. A process that runs is
    /// asked to end before `until`, or not at all: it is asked for that as late as can be.
    ///
    /// # Errors
    /// [`HostError::TooLate`] where it was too late for that; nothing has changed then.
    async fn stop(&self, node: &str, timeout: Duration, until: Option<Until>) -> Result<(), HostError>;

    /// Has the host run what it is to: each node that is begun anew gets its files and is stopped and started; the others go
    /// on as they are. Returns the generation of each of the former.
    ///
    /// A host that is changed as a whole ([`Backend::changes_whole`]) is changed in one act, and is on trial then: what it
    /// ran before is kept, and it goes back to that by itself where it boots, or where nobody reaches it any more who could
    /// confirm the change. That a process doesn't come up is for whoever asks for the change to find out. Another change
    /// that comes before the first is confirmed is on trial instead; what ran before both is kept. As a rule nodes are
    /// changed one after the other, and that is for good.
    ///
    /// # Errors
    /// [`HostError::TooLate`] where it was too late to stop one of them: a host that is changed as a whole is as it was then.
    async fn apply(&self, change: &HostChange<'_>) -> Result<BTreeMap<String, String>, HostError> {
        change::one_by_one(self, change).await
    }

    /// Whether the last change is still on trial.
    async fn unconfirmed(&self) -> Result<bool, HostError> {
        Ok(false)
    }

    /// Keeps what is on trial for good: the host boots it from now on. Returns whether the host runs what it was changed to
    /// last: `false` where it has gone back to what it ran before. May be repeated.
    async fn confirm(&self) -> Result<bool, HostError> {
        Ok(true)
    }

    /// Has a host that is changed as a whole run the system that was found to be due ([`Backend::compare`]), for good, where that
    /// begins nobody anew. As a rule there is none.
    async fn renew(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// What running the system would do that was made ready for it ([`Backend::stage`]), as it tells; changes nothing. `None` where
    /// none was.
    async fn dry_activate(&self) -> Result<Option<String>, HostError> {
        Ok(None)
    }

    /// Has it boot that system from now on, and go on as it is until then. Returns whether one was made ready.
    async fn boot_later(&self) -> Result<bool, HostError> {
        Ok(false)
    }

    /// What it has run. As a rule hosts have no systems that are changed as a whole.
    async fn past(&self) -> Result<Past, HostError> {
        Ok(Past::default())
    }

    /// Takes back what is on trial: the host runs what it ran before, as it boots. Where nothing is, it does nothing. A process
    /// that runs is asked to end before `until`, or not at all.
    ///
    /// # Errors
    /// [`HostError::TooLate`] where it was too late for that; the change is on trial as before then.
    async fn revert(&self, until: Until) -> Result<(), HostError> {
        let _ = until;
        Ok(())
    }

    /// Has a stopped node go on under another name, with its data, its marker and its log; its files are to be
    /// installed anew. Where there is no node `from`, it only finishes what was cut off.
    ///
    /// # Errors
    /// [`HostError::NameTaken`] where both exist; any where `from` still runs.
    async fn rename(&self, from: &str, to: &str) -> Result<(), HostError>;

    /// What drills do to it; `None` where the backend has nothing for drills.
    fn drillable(&self) -> Option<&dyn Drillable> {
        None
    }

    /// Removes a stopped node with its data.
    async fn remove(&self, node: &str) -> Result<(), HostError>;

    /// Halts the host and keeps all that it holds.
    async fn halt(&self) -> Result<(), HostError>;

    /// Removes the host with all that it holds.
    async fn destroy(&self) -> Result<(), HostError>;

    /// A node's log lines, oldest first, then, where `follow` is set, those to come until the receiver is dropped.
    async fn logs(
        &self,
        node: &str,
        query: LogQuery,
    ) -> Result<tokio::sync::mpsc::Receiver<LogLine>, HostError>;
}

/// Which log lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// Not older than this.
    pub since: Option<SystemTime>,
    /// At most this many of the newest.
    pub tail: Option<usize>,
    /// Go on with those to come.
    pub follow: bool,
}

/// One line of a node's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: SystemTime,
    /// What it says.
    pub text: String,
}

/// How a node stands on its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeObservation {
    /// The document that the generation in place was made from ([`Deployment`]); `None` where none is.
    pub deployment: Option<Value>,
    /// Files of the generation in place that were changed by another hand.
    pub altered: Vec<String>,
    /// The data directory and its marker are there, or it is known to keep no data.
    pub data: bool,
    /// What the process does.
    pub run: RunState,
}

/// What a node's process does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunState {
    /// It runs.
    Running {
        /// Process id on its host.
        pid: u32,
        /// Since when, in milliseconds of Unix time, for people.
        since_ms: u64,
        /// For how many milliseconds, by a clock that nobody sets.
        age_ms: u64,
        /// It was started from the generation in place.
        current: bool,
        /// How often it was restarted after a failure since it was last asked to start.
        restarts: u64,
    },
    /// It died and will be started again after a pause.
    Restarting {
        /// How often it was restarted since it was last asked to start.
        restarts: u64,
        /// How it ended.
        last_exit: String,
    },
    /// Its process is there and was halted (SIGSTOP): it serves nobody, and nothing will have it go on but `up`.
    Frozen,
    /// Its process was asked to end and is still there; nothing will start it then but `up`.
    Stopping,
    /// It does not run, and nothing will start it but `up`.
    Stopped,
    /// It can't be started; its supervisor goes on trying where something is missing that may come back.
    Failed {
        /// Why.
        reason: String,
    },
}

impl RunState {
    /// Whether there is a process, be it about to end.
    pub fn has_process(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Frozen | Self::Stopping)
    }
}
