//! What a host that is changed as a whole runs beside the documents of its nodes, and what it is to run.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// Which system a host is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
    /// What is made of the documents of its nodes by now.
    #[default]
    Made,
    /// What it runs, whatever would be made of the same documents by now.
    AsItRuns,
    /// One that it ran before, by where it lies there.
    Before(String),
}

/// A host whose system is compared with the one that it is to run.
#[derive(Debug, Clone)]
pub struct Comparing {
    /// Its name.
    pub host: String,
    /// The documents of declared nodes on it, by node.
    pub documents: BTreeMap<String, serde_json::Value>,
    /// What it is to run.
    pub wanted: Wanted,
}

/// What a host that is changed as a whole has run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// What it has had boot and still has, oldest first.
    pub all: Vec<Generation>,
    /// What it runs.
    pub runs: String,
    /// The fencing token of the lease under which it was changed to that, where it was: hosts that were changed in one run have
    /// the same.
    pub wave: Option<u64>,
}

/// One system that a host has had boot.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its number, which tells it from others of the host.
    pub number: u64,
    /// Since when.
    pub since: SystemTime,
    /// Where it lies.
    pub system: String,
    /// The documents in it, by node.
    pub documents: BTreeMap<String, serde_json::Value>,
}

impl Past {
    /// What it had boot before what it runs: the last one of a system that is another.
    pub fn before(&self) -> Option<&Generation> {
        let now = self.all.iter().rposition(|one| one.system == self.runs).unwrap_or(self.all.len());
        self.all[..now].iter().rfind(|one| one.system != self.runs)
    }
}

/// What helps where a host may be lost by a change.
pub fn lock_out_hint(host: &str) -> String {
    format!("nothing was changed; `octad up --allow-lockout {host}` consents to it")
}

/// How the system that a host runs differs from the one that it is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemChange {
    /// What it runs.
    pub runs: String,
    /// What it is to run.
    pub makes: String,
    /// Documents of its nodes differ: the new system comes with their change.
    pub with_documents: bool,
    /// Nodes that begin anew with it, although their documents may be the same.
    pub renewed: BTreeSet<String>,
    /// It runs less than all of its own system until it boots (the kernel).
    pub lacks_boot: bool,
    /// It runs less than all of the new one until it boots.
    pub will_lack_boot: bool,
    /// What it may be lost by, for people, a part of a sentence each: another root device, an address that goes.
    pub risks: Vec<String>,
}

impl SystemChange {
    /// Whether there is another system to run.
    pub fn is_due(&self) -> bool {
        self.runs != self.makes
    }

    /// Whether it is changed by itself, beside all that runs on it: nobody begins anew, and no change of a node brings it.
    pub fn interrupts_nobody(&self) -> bool {
        self.is_due() && !self.with_documents && self.renewed.is_empty()
    }

    /// Whether a boot is all that is lacking.
    pub fn only_lacks_boot(&self) -> bool {
        self.lacks_boot && !self.is_due()
    }

    /// The same, where the host is to go on with what it runs.
    #[must_use]
    pub fn as_it_runs(&self) -> Self {
        let (runs, with_documents) = (self.runs.clone(), self.with_documents);
        let (lacks_boot, will_lack_boot) = (self.lacks_boot, self.lacks_boot);
        Self { makes: runs.clone(), runs, with_documents, lacks_boot, will_lack_boot, ..Self::default() }
    }

    /// The same, once the host runs that.
    #[must_use]
    pub fn once_made(&self) -> Self {
        Self {
            runs: self.makes.clone(),
            makes: self.makes.clone(),
            lacks_boot: self.will_lack_boot,
            will_lack_boot: self.will_lack_boot,
            ..Self::default()
        }
    }
}
