//! How the answers of a simulated service fall short of the truth: they fail, come late, are old, or tell of a part only.
//! Each look takes the next moment of a test's script, so that a lie comes where a roll has just begun to rely on one.

use super::FakeWorld;
use super::cluster::Cluster;
use super::world::{Due, World};
use crate::kafka::{
    BrokerAnswer, ClusterView, ConnectionError, KafkaError, PartitionView, TopicPartition, TopicView,
};
use crate::zookeeper::{EnsembleView, MemberView};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a look comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// It tells how things are.
    Truth,
    /// Nobody answers.
    Nobody,
    /// Every other member answers: those at even places, or at odd ones.
    Half {
        /// Which.
        odd: bool,
    },
    /// Who answers tells how it was some looks ago, and the controller isn't heard.
    Old,
    /// The controller tells how it was some looks ago.
    OldController,
    /// It tells how it was before what follows it took effect.
    Late,
    /// It tells nothing of topics, as a new controller does for a while.
    Untold,
    /// It tells how things are, and then hosts can't be asked for some looks at them.
    HostsSilent,
    /// It tells how things are, and the next stop that was decided from a look comes too late to be one.
    LateStop,
    /// A process stands still: a broker answers nobody, fetches nothing, and its session ends after some looks; a ZooKeeper
    /// server doesn't vote.
    StandsStill(String),
    /// It goes on.
    GoesOn(String),
}

/// For how many looks a broker that stands still keeps its session.
const SESSION: u64 = 4;
/// How many looks an old answer is old.
const OLD: usize = 5;

/// What a world needs in order to lie.
#[derive(Default)]
pub(super) struct Lies {
    script: VecDeque<Moment>,
    /// So many looks at hosts to come fail.
    silent_hosts: u64,
    /// The next stop that has a limit is too late.
    late: bool,
    remembered: VecDeque<ClusterView>,
}

impl FakeWorld {
    /// Has the looks to come go by this script, one moment each; those after it tell the truth.
    pub fn script(&self, moments: impl IntoIterator<Item = Moment>) {
        self.lock().lies.script = moments.into_iter().collect();
    }

    /// Ends the script; whoever stands still goes on.
    pub fn truth(&self) {
        let mut world = self.lock();
        world.lies = Lies { remembered: std::mem::take(&mut world.lies.remembered), ..Lies::default() };
        for node in std::mem::take(&mut world.still) {
            world.goes_on(&node);
        }
    }
}

impl World {
    /// The next moment. What it does to a broker is done.
    fn moment(&mut self) -> Moment {
        let moment = self.lies.script.pop_front().unwrap_or(Moment::Truth);
        match &moment {
            Moment::HostsSilent => self.lies.silent_hosts = SESSION,
            Moment::LateStop => self.lies.late = true,
            Moment::StandsStill(node) => self.stands_still(node),
            Moment::GoesOn(node) if self.still.remove(node) => self.goes_on(node),
            _ => {}
        }
        moment
    }

    pub(super) fn stands_still(&mut self, node: &str) {
        let Some(pid) = self.nodes.get(node).and_then(|node| node.pid()) else { return };
        if self.still.insert(node.to_owned()) {
            self.member_stands_still(node);
            self.after(SESSION, Due::SessionOver(node.to_owned(), pid));
        }
    }

    /// Whether a look at a host fails.
    pub(super) fn host_is_silent(&mut self) -> bool {
        let silent = self.lies.silent_hosts > 0;
        self.lies.silent_hosts = self.lies.silent_hosts.saturating_sub(1);
        silent
    }

    /// Whether a stop is too late. Meanwhile things went on.
    pub(super) fn is_late(&mut self) -> bool {
        let late = std::mem::take(&mut self.lies.late);
        if late {
            (0..SESSION).for_each(|_| self.pass());
        }
        late
    }

    /// Whether the next moment is one at which a process of this role, or of the other, stands still or goes on: that
    /// happens at looks at its own group, since one behind a look could not be told.
    fn next_strikes(&self, servers: bool) -> bool {
        match self.lies.script.front() {
            Some(Moment::StandsStill(node) | Moment::GoesOn(node)) => self.is_server(node) == servers,
            _ => false,
        }
    }

    fn goes_on(&mut self, node: &str) {
        if let Some(pid) = self.nodes.get(node).and_then(|node| node.pid()) {
            self.later(Due::Joins(node.to_owned(), pid));
        }
    }

    /// The cluster as this look has it.
    pub(super) fn looked_at(
        &mut self,
        truth: impl Fn(&Self) -> Result<ClusterView, KafkaError>,
    ) -> Result<ClusterView, KafkaError> {
        let moment = if self.next_strikes(true) { Moment::Truth } else { self.moment() };
        let view = truth(self)?;
        let old = self.lies.remembered.front().cloned();
        self.lies.remembered.push_back(view.clone());
        if self.lies.remembered.len() > OLD {
            self.lies.remembered.pop_front();
        }
        match moment {
            Moment::Truth
            | Moment::HostsSilent
            | Moment::LateStop
            | Moment::StandsStill(_)
            | Moment::GoesOn(_) => Ok(view),
            Moment::Untold => Ok(ClusterView { topics: BTreeMap::new(), ..view }),
            Moment::Nobody => Err(nobody()),
            Moment::Half { odd } => half(view, odd),
            Moment::Old => match old {
                Some(old) => as_it_was(without_controller(view)?, old),
                None => Ok(view),
            },
            Moment::OldController => match old {
                Some(old) => as_it_was(view, old),
                None => Ok(view),
            },
            Moment::Late => {
                (0..SESSION).for_each(|_| self.pass());
                Ok(view)
            }
        }
    }

    /// The ensemble as this look has it.
    pub(super) fn ensemble_looked_at(&mut self, truth: impl Fn(&Self) -> EnsembleView) -> EnsembleView {
        let moment = if self.next_strikes(false) { Moment::Truth } else { self.moment() };
        let mut view = truth(self);
        let silent = |place: usize| match moment {
            Moment::Nobody => true,
            Moment::Half { odd } => (place % 2 == 1) != odd,
            _ => false,
        };
        for (_, member) in view.members.iter_mut().enumerate().filter(|(place, _)| silent(*place)) {
            *member.1 = MemberView::Unreachable { why: "no answer in time".into() };
        }
        if moment == Moment::Late {
            (0..SESSION).for_each(|_| self.pass());
        }
        view
    }

    /// The brokers of a cluster that stand still.
    pub(super) fn still_in(&self, cluster: &Cluster) -> BTreeSet<i32> {
        let still = cluster.running.iter().filter(|(_, node)| self.still.contains(*node));
        still.map(|(id, _)| *id).collect()
    }
}

fn nobody() -> KafkaError {
    KafkaError::Unreachable {
        address: "everybody".into(),
        source: ConnectionError::Closed { api: "Metadata" },
    }
}

fn silence(view: &mut ClusterView, silent: impl Fn(usize, &BrokerAnswer) -> bool) {
    for (place, answer) in view.answers.values_mut().enumerate() {
        if silent(place, answer) {
            *answer = BrokerAnswer::Silent { why: "no answer in time".into(), closed: false };
        }
    }
}

/// A look counts as that of whoever answered: the controller, or somebody who is not.
fn told_by(mut view: ClusterView) -> Result<ClusterView, KafkaError> {
    let ids: Vec<i32> = view
        .answers
        .values()
        .filter_map(|answer| match answer {
            BrokerAnswer::Answered { id, .. } => *id,
            BrokerAnswer::Silent { .. } => None,
        })
        .collect();
    view.seen_by = view.controller.filter(|id| ids.contains(id)).or(ids.first().copied());
    if view.seen_by.is_none() {
        return Err(nobody());
    }
    if view.seen_by != view.controller {
        view.reassignments = None;
    }
    Ok(view)
}

fn half(mut view: ClusterView, odd: bool) -> Result<ClusterView, KafkaError> {
    silence(&mut view, |place, _| (place % 2 == 1) != odd);
    told_by(view)
}

fn without_controller(mut view: ClusterView) -> Result<ClusterView, KafkaError> {
    let controller = view.controller;
    silence(&mut view, |_, answer| matches!(answer, BrokerAnswer::Answered { id, .. } if *id == controller));
    told_by(view)
}

/// What this look's source tells is old; the others know how it is.
fn as_it_was(mut view: ClusterView, old: ClusterView) -> Result<ClusterView, KafkaError> {
    let now = std::mem::replace(&mut view.topics, old.topics);
    let differs = differing(&now, &view.topics);
    let source = view.seen_by;
    for answer in view.answers.values_mut() {
        if let BrokerAnswer::Answered { id, controller: Some(_), differing, .. } = answer
            && *id != source
        {
            differing.clone_from(&differs);
        }
    }
    view.brokers = old.brokers;
    Ok(view)
}

fn differing(
    now: &BTreeMap<String, TopicView>,
    old: &BTreeMap<String, TopicView>,
) -> BTreeSet<TopicPartition> {
    let known = |partition: &PartitionView| {
        (partition.leader, partition.isr.iter().copied().collect::<BTreeSet<i32>>())
    };
    let was =
        |topic: &str, number: &i32| old.get(topic).and_then(|topic| topic.partitions.get(number)).map(known);
    let all = now.iter().flat_map(|(name, topic)| topic.partitions.iter().map(move |one| (name, one)));
    all.filter(|(name, (number, partition))| was(name, number) != Some(known(partition)))
        .map(|(name, (number, _))| TopicPartition::new(name.clone(), *number))
        .collect()
}
