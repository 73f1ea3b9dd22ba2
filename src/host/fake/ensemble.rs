//! The simulated ZooKeeper ensembles: who votes, who leads, and which data a quorum is formed with.

use super::record::Loss;
use super::world::{Due, World};
use crate::model::NodeFacts;
use crate::zookeeper::{Latency, MemberView, Mode, Serving};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Ensemble {
    /// How many members its members know of; 1 runs standalone.
    size: usize,
    /// Those that run, by id.
    running: BTreeMap<i32, String>,
    /// Those that run and may vote.
    voters: BTreeSet<i32>,
    pub(super) leader: Option<i32>,
    /// The last transaction that a quorum agreed on.
    pub(super) zxid: u64,
}

impl Ensemble {
    fn has_majority(&self) -> bool {
        self.voters.len() * 2 > self.size
    }
}

impl World {
    /// A member reaches the others.
    pub(super) fn member_joins(&mut self, node: &str) {
        let Some(facts) = self.nodes[node].facts() else { return };
        let (group, id) = (facts.group.clone(), facts.id);
        let size = facts.settings.keys().filter(|name| name.starts_with("server.")).count().max(1);
        let trusted = self.nodes[node].disk.as_ref().is_some_and(|disk| disk.trusted);
        let ensemble = self.ensembles.entry(group.clone()).or_default();
        ensemble.size = size;
        ensemble.running.insert(id, node.to_owned());
        if trusted {
            ensemble.voters.insert(id);
        }
        self.elect(&group);
    }

    /// A member that was empty has the leader's data.
    pub(super) fn member_synced(&mut self, node: &str) {
        let Some(facts) = self.nodes[node].facts() else { return };
        let (group, id) = (facts.group.clone(), facts.id);
        let Some(ensemble) = self.ensembles.get_mut(&group) else { return };
        if ensemble.leader.is_none() || !ensemble.running.contains_key(&id) {
            return;
        }
        ensemble.voters.insert(id);
        if let Some(disk) = self.nodes.get_mut(node).and_then(|node| node.disk.as_mut()) {
            disk.trusted = true;
        }
    }

    pub(super) fn member_leaves(&mut self, facts: &NodeFacts) {
        let Some(ensemble) = self.ensembles.get_mut(&facts.group) else { return };
        let served = ensemble.leader.is_some();
        ensemble.running.remove(&facts.id);
        let voted = ensemble.voters.remove(&facts.id);
        if served && voted {
            let zxid = ensemble.zxid;
            self.note_zxid(&facts.node, zxid);
        }
        let ensemble = &self.ensembles[&facts.group];
        let (voters, size) = (ensemble.voters.len(), ensemble.size);
        if served && !ensemble.has_majority() {
            self.breach(Loss::Quorum { group: facts.group.clone(), voters, size });
            self.lose_quorum(&facts.group);
        } else if ensemble.leader == Some(facts.id) {
            // Sessions outlive a change of leader: nobody has to register again.
            self.note_all(&facts.group);
            self.choose_leader(&facts.group);
        }
    }

    /// Whether a node is a member of an ensemble.
    pub(super) fn is_server(&self, node: &str) -> bool {
        self.ensembles.values().any(|ensemble| ensemble.running.values().any(|member| member == node))
    }

    /// A member answers nobody any more, as if it had left, though its process is there. Nobody's deed.
    pub(super) fn member_stands_still(&mut self, node: &str) {
        let Some(facts) = self.nodes.get(node).and_then(|node| node.facts()).cloned() else { return };
        let Some(ensemble) = self.ensembles.get_mut(&facts.group) else { return };
        let (served, zxid) = (ensemble.leader.is_some(), ensemble.zxid);
        if !ensemble.voters.remove(&facts.id) {
            return;
        }
        if served {
            self.note_zxid(node, zxid);
        }
        let ensemble = &self.ensembles[&facts.group];
        if served && !ensemble.has_majority() {
            self.lose_quorum(&facts.group);
        } else if ensemble.leader == Some(facts.id) {
            self.note_all(&facts.group);
            self.choose_leader(&facts.group);
        }
    }

    fn note_zxid(&mut self, node: &str, zxid: u64) {
        if let Some(disk) = self.nodes.get_mut(node).and_then(|node| node.disk.as_mut()) {
            disk.zxid = zxid;
        }
    }

    fn lose_quorum(&mut self, group: &str) {
        self.note_all(group);
        self.ensembles.entry(group.to_owned()).or_default().leader = None;
        self.quorum_changed(group);
    }

    /// Those that vote have all that was agreed on.
    fn note_all(&mut self, group: &str) {
        let Some(ensemble) = self.ensembles.get(group) else { return };
        let zxid = ensemble.zxid;
        let voters = ensemble.voters.iter().filter_map(|id| ensemble.running.get(id).cloned());
        for node in voters.collect::<Vec<String>>() {
            self.note_zxid(&node, zxid);
        }
    }

    /// Forms a quorum where one is missing and can be had, and lets empty members fetch its data.
    fn elect(&mut self, group: &str) {
        let ensemble = &self.ensembles[group];
        if ensemble.has_majority() && ensemble.leader.is_none() {
            self.choose_leader(group);
            self.quorum_changed(group);
        }
        let ensemble = &self.ensembles[group];
        if ensemble.leader.is_some() {
            let empty = ensemble.running.iter().filter(|(id, _)| !ensemble.voters.contains(id));
            let empty: Vec<String> = empty.map(|(_, node)| node.clone()).collect();
            for node in empty {
                let Some(pid) = self.nodes[&node].pid() else { continue };
                self.later(Due::Synced(node, pid));
            }
        }
    }

    /// Whoever has seen most leads; the id decides among equals.
    fn choose_leader(&mut self, group: &str) {
        let Some(ensemble) = self.ensembles.get_mut(group) else { return };
        let zxid = |id: &i32| {
            let node = self.nodes.get(&ensemble.running[id]);
            node.and_then(|node| node.disk.as_ref()).map_or(0, |disk| disk.zxid)
        };
        let Some((newest, leader)) = ensemble.voters.iter().map(|id| (zxid(id), *id)).max() else { return };
        let known = std::mem::replace(&mut ensemble.zxid, ((newest >> 32) + 1) << 32);
        ensemble.leader = Some(leader);
        if newest < known {
            let what = format!("transactions of {group}: {newest:#x} leads where {known:#x} was agreed on");
            self.breach(Loss::Data { what });
        }
    }

    pub(super) fn has_quorum(&self, group: &str) -> bool {
        self.ensembles.get(group).is_some_and(|ensemble| ensemble.leader.is_some())
    }

    /// What the member at an address says.
    pub(super) fn member_at(&self, id: i32, endpoint: &str) -> MemberView {
        if self.endpoints.get(endpoint).is_some_and(|node| self.still.contains(node)) {
            return MemberView::Unreachable { why: "no answer in time".into() };
        }
        let node = self.endpoints.get(endpoint).and_then(|node| self.nodes.get(node));
        let facts = node.and_then(|node| node.facts());
        let Some(facts) =
            facts.filter(|facts| facts.id == id && facts.endpoint("client").as_deref() == Some(endpoint))
        else {
            return MemberView::Unreachable { why: "cannot connect: connection refused".into() };
        };
        let Some(ensemble) = self.ensembles.get(&facts.group) else { return MemberView::NotServing };
        let mode = match ensemble.leader {
            Some(_) if !ensemble.voters.contains(&id) => return MemberView::NotServing,
            Some(_) if ensemble.size == 1 => Mode::Standalone,
            Some(leader) if leader == id => Mode::Leader,
            Some(_) => Mode::Follower,
            None => return MemberView::NotServing,
        };
        MemberView::Serving(Serving {
            mode,
            zxid: ensemble.zxid,
            version: facts.software.version.clone(),
            connections: 1,
            outstanding: 0,
            latency: Latency::default(),
            synced_followers: (mode == Mode::Leader)
                .then(|| u32::try_from(ensemble.voters.len() - 1).unwrap_or(u32::MAX)),
        })
    }
}
