//! The world's nodes: their disks, files and processes.

use super::{Disk, Due, Generation, Node, Run, World};
use crate::hex::hex;
use crate::host::{DOCUMENT_FILE, HostError, NodeObservation, RunState};
use crate::model::{Deployment, HealthCheck, Layout, Member, NodeFacts, Output};
use crate::role::{Broker, Zookeeper};
use crate::wire::NotServing;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

fn marker_of(facts: &NodeFacts) -> Value {
    json!({ "stack": facts.stack, "node": facts.node, "role": facts.role, "id": facts.id })
}

/// The files of a node, as every simulated host would have them.
pub(in crate::host::fake) fn rendered(deployment: &Deployment) -> BTreeMap<String, String> {
    let nowhere = Layout { config: "".into(), data: "".into(), runtime: "".into(), software: "".into() };
    let mut files = deployment.rendered(&nowhere);
    files.insert(DOCUMENT_FILE.into(), json!(deployment).to_string());
    files
}

impl World {
    pub(in crate::host::fake) fn observe(&self, host: &str, node: &str) -> Option<NodeObservation> {
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
            deployment: generation.map(Generation::document),
            altered: generation.map_or_else(Vec::new, |one| one.altered.iter().cloned().collect()),
            data: node.disk.as_ref().is_some_and(|disk| disk.marker.is_some())
                || generation.is_some_and(|generation| generation.stateless),
            run,
        })
    }

    /// What whoever serves at an address says of itself. It listens once it has joined its group.
    pub(in crate::host::fake) fn ask(&self, address: &str, check: &HealthCheck) -> Result<(), NotServing> {
        let is_at = |facts: &NodeFacts| facts.endpoint(check.port()).as_deref() == Some(address);
        let listens = |node: &Node| match (&node.run, &node.generation) {
            (Run::Running { member, since, .. }, _) => is_at(member) && self.now - since >= self.lag,
            (Run::Frozen, Some(generation)) => is_at(&generation.facts),
            _ => false,
        };
        let found = self.nodes.iter().find(|(_, node)| listens(node));
        let Some((name, node)) = found else { return Err(NotServing::Closed) };
        if self.still.contains(name) || matches!(node.run, Run::Frozen) {
            return Err(NotServing::Silent { why: "no answer in time".into() });
        }
        let HealthCheck::Http { path, status: wanted, .. } = check else { return Ok(()) };
        // It knows the path that it was made to be asked for.
        let made_with = node.member().and_then(|member| match member.check.as_ref()? {
            HealthCheck::Http { path, .. } => Some(path),
            HealthCheck::Tcp { .. } => None,
        });
        let known = self.paths.get(name).or(made_with) == Some(path);
        let found = self.answers.get(name).copied().unwrap_or(if known { *wanted } else { 404 });
        if found == *wanted { Ok(()) } else { Err(NotServing::Status { found, wanted: *wanted }) }
    }

    /// Whether a node has a process that has joined its group.
    pub(in crate::host::fake) fn has_joined(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| match &node.run {
            Run::Running { since, .. } => self.now - since >= self.lag,
            _ => false,
        })
    }

    pub(in crate::host::fake) fn files(&self, host: &str, node: &str) -> BTreeMap<String, String> {
        let node = self.nodes.get(node).filter(|node| node.host == host);
        let files = node.and_then(|node| node.generation.as_ref()).map(|generation| generation.files.clone());
        files.unwrap_or_default()
    }

    pub(in crate::host::fake) fn node_on(&mut self, host: &str, node: &str) -> Result<&mut Node, HostError> {
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

    pub(in crate::host::fake) fn format(
        &mut self,
        host: &str,
        deployment: &Deployment,
    ) -> Result<(), HostError> {
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

    pub(in crate::host::fake) fn install(
        &mut self,
        host: &str,
        deployment: &Deployment,
    ) -> Result<String, HostError> {
        let facts = &deployment.facts;
        let files = rendered(deployment);
        let mut hash = Sha256::new();
        hash.update(json!(files).to_string());
        let id = hex(&hash.finalize()[..6]);
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

    pub(in crate::host::fake) fn start(&mut self, name: &str) -> Result<(), HostError> {
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
        let files = node.generation.iter().flat_map(|generation| &generation.files);
        let said = |(name, text): (&String, &String)| {
            self.fatal.get(name).is_some_and(|fatal| text.contains(fatal.as_str()))
        };
        if settings.into_iter().any(fatal) || files.into_iter().any(said) {
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

    pub(in crate::host::fake) fn spawn(&mut self, name: &str, pid: u64) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let Some(generation) = &node.generation else { return };
        let Ok(member) = Member::of(&generation.document()) else { return };
        let facts = member.facts.clone();
        node.spawns += 1;
        let (generation, member) = (generation.id.clone(), Box::new(member));
        node.run = Run::Running { pid, since: self.now, generation, member };
        if let Some(endpoint) = facts.endpoint("client") {
            self.endpoints.insert(endpoint, name.to_owned());
        }
        if facts.role == Broker::NAME {
            self.broker_starts(&facts);
        }
        self.later(Due::Joins(name.to_owned(), pid));
    }

    /// Ends a node's process, if it has one.
    pub(in crate::host::fake) fn end(&mut self, name: &str, then: Run) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if let Run::Running { member: facts, .. } = std::mem::replace(&mut node.run, then) {
            match facts.role.as_str() {
                Zookeeper::NAME => self.member_leaves(&facts),
                Broker::NAME => self.broker_leaves(&facts),
                _ => {}
            }
            self.still.remove(name);
        }
    }

    pub(in crate::host::fake) fn stop(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.wanted = false;
            self.end(name, Run::Stopped);
        }
    }

    /// Refuses what needs a node's process to be gone.
    pub(in crate::host::fake) fn at_rest(&self, name: &str) -> Result<(), HostError> {
        match self.nodes.get(name).map(|node| &node.run) {
            Some(Run::Running { .. } | Run::Failing { .. } | Run::Frozen) => {
                let missing = "it must be stopped first".to_owned();
                Err(HostError::Incomplete { subject: name.to_owned(), missing })
            }
            _ => Ok(()),
        }
    }

    pub(in crate::host::fake) fn rename(
        &mut self,
        host: &str,
        from: &str,
        to: &str,
    ) -> Result<(), HostError> {
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
    pub(in crate::host::fake) fn forget(&mut self, name: &str) {
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
