//! A Kafka cluster as one look has it, and what follows from that: who is up, out or silent, whether it is the
//! controller's word, what would be missed. Pure.

use super::MIN_INSYNC;
use crate::kafka::{BrokerAnswer, ClusterView, LocatedPartition, TopicPartition};
use crate::model::Member;
use crate::role::{GroupView, MemberView, NotSafe, ScarceTopic, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The cluster as a view has it.
#[derive(Clone)]
pub(super) struct Seen {
    /// `None` where no broker answered.
    pub(super) cluster: Option<ClusterView>,
    /// Where none did: the addresses at which nobody listens, by their hosts' word.
    pub(super) closed: BTreeSet<String>,
    /// Where none did: who is registered in ZooKeeper, as far as it could be asked.
    pub(super) registered: Option<BTreeSet<i32>>,
    /// Where none was asked, or they could not be made sense of: why.
    pub(super) why: Option<String>,
    /// The addresses that were asked.
    pub(super) asked: Vec<String>,
    /// Whom it is asked about.
    pub(super) members: Vec<Arc<Member>>,
}

impl Seen {
    /// The group as it follows from this.
    pub(super) fn view(self) -> GroupView {
        let cluster = self.cluster.as_ref();
        let member = |facts: &Arc<Member>| {
            let address = facts.endpoint("client");
            let registered = cluster.is_some_and(|cluster| cluster.brokers.contains_key(&facts.id));
            let answers = cluster.is_some_and(|cluster| knows_itself(cluster, facts.id, address.as_ref()));
            let leads = cluster.is_some_and(|cluster| cluster.controller == Some(facts.id));
            // What a broker says of itself doesn't count here: one that lost its session may not have noticed.
            let others_say = || cluster.is_some_and(|cluster| decided(cluster, address.as_deref()).is_ok());
            let (standing, note) = match (registered, answers, leads) {
                (true, true, true) => (Standing::Up, "controller"),
                (true, true, false) => (Standing::Up, "registered"),
                // ZooKeeper keeps the session of a broker that died for a while.
                (true, false, _) => (Standing::Silent, "registered, not answering"),
                (false, _, _) if others_say() => (Standing::Out, "not registered"),
                (false, _, _) if cluster.is_some() => (Standing::Silent, "not registered"),
                (false, _, _) if self.why.is_some() => (Standing::Silent, GroupView::NOT_KNOWN),
                (false, _, _) => (Standing::Silent, "not answering"),
            };
            let closed = cluster.is_some_and(|cluster| is_closed(cluster, address.as_ref()))
                || address.is_some_and(|address| self.closed.contains(&address));
            (facts.node.clone(), MemberView { standing, closed, ill: false, note: note.to_owned() })
        };
        let members: BTreeMap<String, MemberView> = self.members.iter().map(member).collect();
        let leads = |facts: &&Arc<Member>| {
            cluster.is_some_and(|cluster| cluster.controller == Some(facts.id))
                && members[&facts.node].standing == Standing::Up
        };
        let leaders = self.members.iter().filter(leads).map(|facts| facts.node.clone()).collect();
        GroupView { members: Arc::new(members), leaders, detail: Arc::new(self) }
    }

    /// The same, with a broker that answers and is in sync again.
    pub(super) fn with_back(&self, id: i32) -> Self {
        let mut cluster = self.cluster.clone();
        let address =
            self.members.iter().find(|facts| facts.id == id).and_then(|facts| facts.endpoint("client"));
        if let (Some(cluster), Some(address)) = (&mut cluster, address) {
            let alive = Arc::new(cluster.brokers.keys().copied().chain([id]).collect());
            let answer = BrokerAnswer::Answered {
                id: Some(id),
                controller: cluster.controller,
                alive,
                differing: BTreeSet::new(),
            };
            cluster.answers.insert(address, answer);
            let partitions = cluster.topics.values_mut().flat_map(|topic| topic.partitions.values_mut());
            for partition in partitions.filter(|one| one.replicas.contains(&id) && !one.isr.contains(&id)) {
                partition.isr.push(id);
                partition.leader = partition.leader.or(Some(id));
            }
        }
        Self { cluster, ..self.clone() }
    }

    /// The same, where topics that don't say themselves how many replicas they need in sync need at least so many.
    pub(super) fn with_min_insync(&self, least: u32) -> Self {
        let mut cluster = self.cluster.clone();
        for topic in cluster.iter_mut().flat_map(|cluster| cluster.topics.values_mut()) {
            if !topic.configs.contains_key(MIN_INSYNC) {
                topic.min_insync_replicas = topic.min_insync_replicas.max(least);
            }
        }
        Self { cluster, ..self.clone() }
    }
}

/// The cluster, where a broker answered.
pub(super) fn cluster(view: &GroupView) -> Option<&ClusterView> {
    view.detail::<Seen>()?.cluster.as_ref()
}

/// The broker id of a member.
pub(super) fn id_of(node: &str, view: &GroupView) -> Option<i32> {
    let members = &view.detail::<Seen>()?.members;
    members.iter().find(|facts| facts.node == node).map(|facts| facts.id)
}

/// Whether ZooKeeper says, where no broker answers, that a member isn't registered: nothing is taken from the cluster with it.
pub(super) fn is_unregistered(node: &str, view: &GroupView) -> bool {
    let registered = view.detail::<Seen>().and_then(|seen| seen.registered.as_ref());
    id_of(node, view).zip(registered).is_some_and(|(id, registered)| !registered.contains(&id))
}

/// Brokers that are no longer waited for.
pub(super) struct LeftOut {
    ids: BTreeSet<i32>,
    pub(super) addresses: BTreeSet<String>,
}

impl LeftOut {
    /// Whether all of these are left out; not where there are none.
    pub(super) fn holds_all<'a>(&self, ids: impl Iterator<Item = &'a i32>) -> bool {
        let mut ids = ids.peekable();
        ids.peek().is_some() && ids.all(|id| self.ids.contains(id))
    }
}

/// The members of these names.
pub(super) fn left_out(view: &GroupView, names: &BTreeSet<String>) -> LeftOut {
    let seen = view.detail::<Seen>().map(|seen| seen.members.as_slice()).unwrap_or_default();
    let out = || seen.iter().filter(|facts| names.contains(&facts.node));
    LeftOut {
        ids: out().map(|facts| facts.id).collect(),
        addresses: out().filter_map(|facts| facts.endpoint("client")).collect(),
    }
}

/// Whether a broker answers at its own address and takes part in the cluster; while it starts it sees nobody alive.
fn knows_itself(cluster: &ClusterView, id: i32, address: Option<&String>) -> bool {
    let answer = address.and_then(|address| cluster.answers.get(address));
    matches!(answer, Some(BrokerAnswer::Answered { alive, .. }) if alive.contains(&id))
}

/// Whether nobody listens at an address, by the word of its host.
fn is_closed(cluster: &ClusterView, address: Option<&String>) -> bool {
    let answer = address.and_then(|address| cluster.answers.get(address));
    matches!(answer, Some(BrokerAnswer::Silent { closed: true, .. }))
}

/// The brokers that answered.
pub(super) fn serving(cluster: &ClusterView) -> BTreeSet<i32> {
    let id = |answer: &BrokerAnswer| match answer {
        BrokerAnswer::Answered { id, .. } => *id,
        BrokerAnswer::Silent { .. } => None,
    };
    cluster.answers.values().filter_map(id).collect()
}

/// Whether this is what the controller says, and all who answer agree on who that is and on what it decided: what
/// another broker says may be old, and so may be what one says that is not the controller any more. Who names no
/// controller is starting and has no say, and the broker at the address `but` isn't heard. One that names this
/// controller, and that this controller doesn't know of, is told nothing any more: it lost its session and lives on, and
/// what it believes of partitions is nobody's word.
pub(super) fn decided(cluster: &ClusterView, but: Option<&str>) -> Result<(), NotSafe> {
    let Some(controller) = cluster.controller.filter(|id| cluster.seen_by == Some(*id)) else {
        return Err(NotSafe::NoSingleLeader);
    };
    let mut otherwise: Vec<(&String, &BTreeSet<TopicPartition>)> = Vec::new();
    for (address, answer) in cluster.answers.iter().filter(|(address, _)| Some(address.as_str()) != but) {
        match answer {
            BrokerAnswer::Answered { controller: Some(named), .. } if *named != controller => {
                return Err(NotSafe::NoSingleLeader);
            }
            BrokerAnswer::Answered { id: Some(id), .. } if !cluster.brokers.contains_key(id) => {}
            BrokerAnswer::Answered { controller: Some(_), differing, .. } if !differing.is_empty() => {
                otherwise.push((address, differing));
            }
            BrokerAnswer::Answered { .. } | BrokerAnswer::Silent { .. } => {}
        }
    }
    let Some((differing, first)) =
        otherwise.first().and_then(|(_, differing)| Some((differing, differing.first()?)))
    else {
        return Ok(());
    };
    Err(NotSafe::ToldDifferently {
        members: otherwise.iter().map(|(address, _)| (*address).clone()).collect(),
        topic: first.topic.clone(),
        partition: first.partition,
        others: differing.len() - 1,
    })
}

/// The strict rule for disturbing a healthy broker: nothing under-replicated, nothing on the move.
pub(super) fn quiet(cluster: &ClusterView) -> Result<(), NotSafe> {
    let Some(moving) = &cluster.reassignments else { return Err(NotSafe::NoSingleLeader) };
    if let Some(first) = moving.first() {
        return Err(NotSafe::Reassigning {
            topic: first.topic.clone(),
            partition: first.partition,
            others: moving.len() - 1,
        });
    }
    match cluster.under_replicated().next() {
        None => Ok(()),
        Some(first) => Err(NotSafe::UnderReplicated {
            topic: first.topic.to_owned(),
            partition: first.partition,
            replicas: first.state.replicas.clone(),
            isr: first.state.isr.clone(),
            others: cluster.under_replicated().count() - 1,
        }),
    }
}

/// The topics without a replica to spare of which members with such names hold one. None where there is only one
/// member: that nobody takes over is told in the preview.
pub(super) fn scarce(view: &GroupView, named: impl Fn(&str) -> bool) -> Vec<ScarceTopic> {
    let Some(Seen { cluster: Some(cluster), members, .. }) = view.detail() else { return Vec::new() };
    let mut found: Vec<_> = cluster.partitions().filter(|partition| !partition.has_spare()).collect();
    if found.is_empty() || members.len() == 1 {
        return Vec::new();
    }
    let named = members.iter().filter(|facts| named(&facts.node));
    let ids: BTreeSet<i32> = named.map(|facts| facts.id).collect();
    found.retain(|partition| partition.state.replicas.iter().any(|id| ids.contains(id)));
    found.dedup_by_key(|partition| partition.topic);
    let told = |one: LocatedPartition<'_>| ScarceTopic {
        topic: one.topic.to_owned(),
        replication: one.state.replicas.len(),
        min_insync: one.min_insync_replicas,
    };
    found.into_iter().map(told).collect()
}

/// Whether there is consent to interrupt each of these.
pub(super) fn consented(mut topics: Vec<ScarceTopic>, interrupts: &BTreeSet<String>) -> Result<(), NotSafe> {
    topics.retain(|one| !interrupts.contains(&one.topic));
    if topics.is_empty() { Ok(()) } else { Err(NotSafe::NothingToSpare { topics }) }
}
