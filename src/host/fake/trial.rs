//! Hosts that are changed as a whole: what is on trial there, and how it ends.

use super::world::{Generation, Run, World};
use crate::clock::Until;
use crate::host::{HostChange, HostError, SystemChange};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host ran before the change that is on trial: the files of each node.
#[derive(Serialize, Deserialize)]
pub(super) struct Trial {
    before: BTreeMap<String, Generation>,
    /// The system, where it is compared.
    #[serde(default)]
    system: Option<SystemChange>,
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
            stop.until.map_or(Ok(()), |until| self.in_time(host, name, until))?;
        }
        self.went_back.remove(host);
        let system = self.switched(host, change.boots);
        if !self.trials.contains_key(host) {
            let here = self.nodes.iter().filter(|(_, node)| node.host == host);
            let before = here.filter_map(|(name, node)| Some((name.clone(), node.generation.clone()?)));
            let before = before.collect();
            self.trials.insert(host.to_owned(), Trial { before, system });
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

    /// Whether a process that a host runs of a node may still be asked to end.
    pub(super) fn in_time(&mut self, host: &str, node: &str, until: Until) -> Result<(), HostError> {
        let runs = self.nodes.get(node).is_some_and(|node| node.host == host && node.pid().is_some());
        match runs && (until.has_passed() || self.is_late()) {
            true => Err(HostError::TooLate { node: node.to_owned() }),
            false => Ok(()),
        }
    }

    /// Has a host run what it ran before the change that is on trial, where it isn't too late for that.
    pub(super) fn revert(&mut self, host: &str, until: Until) -> Result<(), HostError> {
        let here: Vec<String> =
            self.trials.get(host).map(|trial| trial.before.keys().cloned().collect()).unwrap_or_default();
        here.iter().try_for_each(|node| self.in_time(host, node, until))?;
        self.take_back(host);
        Ok(())
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
        let Some(Trial { before, system }) = self.trials.remove(host) else { return Vec::new() };
        self.went_back.insert(host.to_owned());
        self.systems.extend(system.map(|system| (host.to_owned(), system)));
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
