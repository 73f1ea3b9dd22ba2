//! The change of a host: all that it is to run, and which nodes are begun anew for that.

use super::{Host, HostError};
use crate::clock::Until;
use crate::model::Deployment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is made ready for one host.
pub struct Staging {
    /// The host.
    pub host: Arc<dyn Host>,
    /// Nodes that are made or changed, as they are to be.
    pub nodes: Vec<Deployment>,
    /// Nodes that lie there besides, as they do.
    pub others: Vec<Deployment>,
    /// Those of `nodes` that have no process: their ports must be free.
    pub starting: BTreeSet<String>,
    /// Somebody consented to formatting its disk where it is blank.
    pub may_format: bool,
    /// Somebody consented to bringing it what it may be lost by.
    pub may_lock_out: bool,
}

impl Staging {
    /// Nothing is to be made ready for this host yet.
    pub fn of(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            nodes: Vec::new(),
            others: Vec::new(),
            starting: BTreeSet::new(),
            may_format: false,
            may_lock_out: false,
        }
    }
}

/// What a host is to run.
#[derive(Debug)]
pub struct HostChange<'a> {
    /// All its nodes, as they are to be: its one configuration.
    pub nodes: &'a [Deployment],
    /// Those of them that are begun anew, by name.
    pub anew: &'a BTreeMap<String, Stop>,
    /// Where it runs that already, and less than all of it until it boots, it boots, and those begin anew with it.
    pub boots: bool,
}

/// How a node's process is ended.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// It is killed when it outlives this.
    pub timeout: Duration,
    /// A process that runs is asked to end before this, or not at all.
    pub until: Option<Until>,
}

/// Changes the nodes of a host that has no configuration as a whole.
pub(in crate::host) async fn one_by_one<H: Host + ?Sized>(
    host: &H,
    change: &HostChange<'_>,
) -> Result<BTreeMap<String, String>, HostError> {
    let mut generations = BTreeMap::new();
    for deployment in change.nodes {
        let name = &deployment.facts.node;
        let Some(stop) = change.anew.get(name) else { continue };
        generations.insert(name.clone(), host.install(deployment).await?);
        host.stop(name, stop.timeout, stop.until).await?;
        host.start(name).await?;
    }
    Ok(generations)
}
