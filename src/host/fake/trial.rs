//! Hosts that are changed as a whole: what is on trial there, and how it ends.

use super::world::{Generation, Run, World};
use crate::host::{HostChange, HostError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host ran before the change that is on trial: the files of each node.
#[derive(Serialize, Deserialize)]
pub(super) struct Trial {
    before: BTreeMap<String, Generation>,
}

impl World {
    /// Changes a host in one act, on trial.
    pub(super) fn try_out(
        &mut self,
        host: &str,
        change: &HostChange<'_>,
    ) -> Result<BTreeMap<String, String>, HostError> {
        self.machine(host)?;
        for (name, stop) in change.anew {
            let runs = self.nodes.get(name).is_some_and(|node| node.host == host && node.pid().is_some());
            let late = stop.until.is_some_and(crate::clock::Until::has_passed);
            if runs && (late || stop.until.is_some() && self.is_late()) {
                return Err(HostError::TooLate { node: name.clone() });
            }
        }
        if !self.trials.contains_key(host) {
            let here = self.nodes.iter().filter(|(_, node)| node.host == host);
            let before = here.filter_map(|(name, node)| Some((name.clone(), node.generation.clone()?)));
            let before = before.collect();
            self.trials.insert(host.to_owned(), Trial { before });
        }
        let mut generations = BTreeMap::new();
        for deployment in change.nodes {
            // What runs on goes by what it was started with, which is the same where nothing changes.
            let generation = self.install(host, deployment)?;
            if change.anew.contains_key(&deployment.facts.node) {
                generations.insert(deployment.facts.node.clone(), generation);
            }
        }
        change.anew.keys().for_each(|name| self.stop(name));
        for name in change.anew.keys() {
            // That it doesn't run is seen by whoever looks.
            let _ = self.start(name);
        }
        Ok(generations)
    }

    /// Has a host run what it ran before the change that is on trial.
    pub(super) fn take_back(&mut self, host: &str) {
        for name in self.put_before(host) {
            self.stop(&name);
            let _ = self.start(&name);
        }
    }

    /// A host boots what it ran before the change that is on trial.
    pub(super) fn boots_what_was(&mut self, host: &str) {
        for name in self.put_before(host) {
            self.end(&name, Run::Stopped);
        }
    }

    /// Puts the files in place that were there before the change on trial; returns the nodes whose these are.
    fn put_before(&mut self, host: &str) -> Vec<String> {
        let before = self.trials.remove(host).map(|trial| trial.before).unwrap_or_default();
        let mut changed = Vec::new();
        for (name, generation) in before {
            let here = self.nodes.get_mut(&name).filter(|node| node.host == host);
            let Some(current) = here.and_then(|node| node.generation.as_mut()) else { continue };
            if current.id != generation.id || !current.altered.is_empty() {
                *current = generation;
                changed.push(name);
            }
        }
        changed
    }
}
