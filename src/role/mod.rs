//! Roles: what a node does. A role is one file here and nothing elsewhere: it gives the node's files and process as data
//! for any host, says when its group is healthy, and which member may be disturbed next. For a service whose members don't
//! need each other it says no more than its name, its process, and how one finds out whether it serves.

mod absence;
mod alike;
mod broker;
mod group;
mod health;
mod roll;
mod zookeeper;

pub use absence::{Absence, InSync};
pub use broker::Broker;
pub use group::{Group, GroupView, MemberView, Standing};
pub use health::Health;
pub use roll::{Next, NotSafe, Roll, ScarceTopic};
pub use zookeeper::Zookeeper;

use crate::kafka::{Claim, KafkaError};
use crate::model::{DEPLOYMENT_VERSION, Deployment, File, HealthCheck, Member, NodeFacts, Process, Refusal};
use crate::wire::Wire;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a service is and how it is run, looked after and changed. Where a role says nothing, it is of members that are all
/// alike and don't need each other: well while all serve, and changed one at a time.
///
/// What is not `async` is pure.
#[async_trait]
pub trait Role: Send + Sync {
    /// The role's name, as it stands in facts.
    fn name(&self) -> &'static str;

    /// Configuration files by file name, with placeholders for the host's directories. `facts` are resolved. As a rule
    /// none.
    fn files(&self, facts: &NodeFacts) -> BTreeMap<String, File> {
        let _ = facts;
        BTreeMap::new()
    }

    /// The process to run, with placeholders for the host's directories.
    fn process(&self, facts: &NodeFacts) -> Process;

    /// How a member is asked whether it serves. As a rule whether it takes connections at its first port, by the names of
    /// their purposes; `None` where it has none, and nobody can tell.
    fn check(&self, facts: &NodeFacts) -> Option<HealthCheck> {
        facts.ports.keys().next().map(|port| HealthCheck::tcp(port))
    }

    /// Whether members keep no data: they have no disk, may be made anew anywhere, and leave without a trace.
    fn stateless(&self) -> bool {
        false
    }

    /// Purposes of the ports that clients reach, beside the stack's own hosts. As a rule none.
    fn serves(&self) -> &'static [&'static str] {
        &[]
    }

    /// Files that a new, empty data directory starts with. `bootstrap`: the group has never held data, so that this
    /// member may trust its emptiness. As a rule none.
    fn data_files(&self, facts: &NodeFacts, bootstrap: bool) -> BTreeMap<String, String> {
        let _ = (facts, bootstrap);
        BTreeMap::new()
    }

    /// What is in the data directory once a member has been of its group: a disk without it is an empty one, and nobody
    /// starts on that but by leave of whoever formatted it. `None` where a member on an empty disk does no harm.
    fn written(&self) -> Option<&'static str> {
        None
    }

    /// Whether the group holds nothing to be on a new member's disk, so that it may begin with an empty one. Asked where it is
    /// told although no member may run (Kafka: ZooKeeper).
    async fn vacant(&self, wire: &dyn Wire, member: &NodeFacts) -> Result<(), NotSafe> {
        let _ = (wire, member);
        Ok(())
    }

    /// Whether a new member may trust that the group has never held data, with `existing` of `declared` members made
    /// before it.
    fn bootstraps(&self, existing: usize, declared: usize) -> bool {
        let _ = declared;
        existing == 0
    }

    /// The command that tells whether this node may start on the disk that it finds, with placeholders for that and for
    /// octad; for hosts that ask it by themselves before each start. `None` where it may on any.
    fn admit(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        let _ = facts;
        None
    }

    /// The command that ends what a dead process of this node still holds in other services, so that nobody waits until it
    /// expires; `None` where it holds nothing.
    fn fence(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        let _ = facts;
        None
    }

    /// The command of the node's watchdog. The node's own command follows it as its last arguments: it starts the watchdog and
    /// executes that. `None` where nothing watches it.
    fn watchdog(&self, facts: &NodeFacts) -> Option<Vec<String>> {
        let _ = facts;
        None
    }

    /// All that a host needs to run a node with these facts. Nothing else of a role reaches one.
    fn deployment(&self, facts: NodeFacts) -> Deployment {
        Deployment {
            version: DEPLOYMENT_VERSION,
            files: self.files(&facts),
            stateless: self.stateless(),
            data_files: self.data_files(&facts, false),
            process: self.process(&facts),
            check: self.check(&facts),
            serves: self.serves().iter().map(|purpose| (*purpose).to_owned()).collect(),
            written: self.written().map(str::to_owned),
            admit: self.admit(&facts),
            fence: self.fence(&facts),
            watchdog: self.watchdog(&facts),
            facts,
        }
    }

    /// Asks the group how it is. A member that doesn't answer is part of the view, not an error.
    ///
    /// As a rule each member is asked by the [`Role::check`] that it was made with, or by what that is now: it serves where it
    /// answers either.
    async fn observe(&self, wire: &dyn Wire, members: &[Arc<Member>]) -> GroupView {
        alike::observe(wire, members, |facts| self.check(facts)).await
    }

    /// Whether the group as a whole serves as it should, with all `members` in place but those of these names: they may be
    /// away, where the others do without them. As a rule where all others serve.
    fn health(&self, view: &GroupView, members: &[Arc<Member>], without: &BTreeSet<String>) -> Health {
        let _ = members;
        alike::health(view, without)
    }

    /// Which member of a roll may be disturbed now. Asked again before each turn, over a fresh view. As a rule one, once
    /// all that aren't to be changed serve.
    fn next(&self, roll: &Roll<'_>, view: &GroupView) -> Next {
        alike::next(roll, view, |name| self.may_disrupt(name, roll.interrupts, view))
    }

    /// Whether the group keeps its promises while `node` is away, but for what `interrupts` consents to. Independent of
    /// [`Role::next`], which it checks. As a rule where another one serves meanwhile, or it is the only one.
    fn may_disrupt(
        &self,
        node: &str,
        interrupts: &BTreeSet<String>,
        view: &GroupView,
    ) -> Result<(), NotSafe> {
        let _ = interrupts;
        alike::may_disrupt(node, view)
    }

    /// The hosts of servers that a node's settings name, of its own group or of one that it needs, by address. As a rule none.
    fn servers(&self, facts: &NodeFacts) -> BTreeSet<String> {
        let _ = facts;
        BTreeSet::new()
    }

    /// Claims a member before it is stopped: while the claim is kept, nobody else can claim one, and watchdogs (Kafka's), which
    /// stop members by themselves, stop none. `None` where a group's members can't be claimed; else it is to be looked at again.
    async fn claim(&self, wire: &dyn Wire, member: &NodeFacts) -> Result<Option<Claim>, NotSafe> {
        let _ = (wire, member);
        Ok(None)
    }

    /// The names of what the group holds that can't be had while one of `members` restarts, whenever that is (Kafka:
    /// topics without a replica to spare). A roll needs consent to each of them. Unless a role knows better, it holds
    /// nothing such.
    fn interrupted(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeSet<String> {
        let _ = (members, view);
        BTreeSet::new()
    }

    /// The same view, judged by what the group will go by once members have these facts, where that is more than now (Kafka:
    /// `min.insync.replicas`): a roll that brings it is refused, or consented to, before its first turn and not between
    /// two. Unless a role knows better, it goes by the same.
    fn once_changed(&self, after: &[NodeFacts], view: &GroupView) -> GroupView {
        let _ = after;
        view.clone()
    }

    /// What the group is left with while each of `members` is away by itself, for people who are to consent to it. One
    /// that is away already can't be missed and is left out. Unless a role knows better, that clients wait for the only one
    /// there is.
    fn absences(&self, members: &BTreeSet<String>, view: &GroupView) -> BTreeMap<String, Absence> {
        let alone = |name: &&String| view.members.len() == 1 && view.is_up(name);
        members.iter().filter(alone).map(|name| (name.clone(), Absence::Interruption)).collect()
    }

    /// All views that may follow once `node` has been restarted and has recovered, for prediction and proof.
    /// Unless a role knows better, whoever remains may lead next, where one leads.
    fn after_restart(&self, node: &str, view: &GroupView) -> Vec<GroupView> {
        if view.leaders.is_empty() { vec![view.with_up(node)] } else { view.after_restart(node) }
    }

    /// Whether a view knows of any of what the group is recorded to hold (Kafka: topics), or of anything where that is
    /// nothing: one that doesn't may be of a group that has just begun.
    fn tells_any(&self, view: &GroupView, held: &BTreeSet<String>) -> bool {
        let _ = (view, held);
        true
    }

    /// The id that the group has of its own, as far as a view tells (Kafka: the cluster's id). Unless a role knows one, it
    /// has none.
    fn identity(&self, view: &GroupView) -> Option<String> {
        let _ = view;
        None
    }

    /// Whether a view tells of all that the group holds, by its controller or leader: what it lacks is not there.
    fn tells_all(&self, view: &GroupView) -> bool {
        let _ = view;
        true
    }

    /// The names of what users keep in the group, as far as a view tells (Kafka: topics).
    fn holds(&self, view: &GroupView) -> BTreeSet<String> {
        let _ = view;
        BTreeSet::new()
    }

    /// What the group may delete sooner, or lose, where a member's facts change so; a sentence each. `altered` are the
    /// files that another hand changed; they are put back.
    fn losses(&self, before: &NodeFacts, altered: &Altered, after: &NodeFacts) -> Vec<String> {
        let _ = (before, altered, after);
        Vec::new()
    }

    /// What a member is to be next on its way from what the members of its group are `now` to what is `wanted` of it, where
    /// it can't be that at once: versions between which there is a third, settings that all must have before the next. It is
    /// a phase of its own for the whole group. `None` where the way is straight.
    fn waypoint(&self, now: &[NodeFacts], wanted: &NodeFacts, view: Option<&GroupView>) -> Option<NodeFacts> {
        let _ = (now, wanted, view);
        None
    }

    /// Whether a member's facts may change in this way at all.
    fn allows_change(&self, before: &NodeFacts, after: &NodeFacts) -> Result<(), Refusal> {
        let _ = (before, after);
        Ok(())
    }

    /// Whether a member may leave a group that goes on: it holds nothing, by the group's controller or leader.
    /// Unless a role knows better, where it holds nothing.
    fn allows_removal(&self, leaving: &NodeFacts, view: &GroupView) -> Result<(), NotSafe> {
        let _ = view;
        if self.stateless() { Ok(()) } else { Err(NotSafe::KeepsData { role: leaving.role.clone() }) }
    }

    /// Whether a member whose data is gone may begin again with an empty disk, and what it then gets from the others,
    /// for people. Unless a role knows how, the answer is no, but where it keeps none.
    fn refill(&self, member: &NodeFacts, view: &GroupView) -> Result<String, NotSafe> {
        let _ = view;
        if self.stateless() {
            return Ok("it keeps no data".into());
        }
        Err(NotSafe::NotRebuilt { role: member.role.clone() })
    }

    /// Whether a member that was changed can be put back to what it was: not where the change lets it write what the
    /// old one can't read.
    fn reversible(&self, before: &NodeFacts, after: &NodeFacts) -> bool {
        before.software == after.software
    }

    /// Puts a group that `view` shows healthy in its preferred order after members came back (Kafka: preferred
    /// leaders). Returns whether anything moved.
    async fn settle(&self, wire: &dyn Wire, view: &GroupView) -> Result<bool, KafkaError> {
        let _ = (wire, view);
        Ok(false)
    }
}

/// Files that another hand changed, by name, as they lie on a host; `None` for one that can't be read, so that nothing is
/// known of what is in it.
pub type Altered = BTreeMap<String, Option<String>>;
