//! Changing running members one at a time: what a roll knows, and what may come next. Pure data.

use super::{GroupView, Standing};
use crate::kafka::only_on;
use crate::model::{ProcessSeen, counted};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A roll under way within one group.
#[derive(Debug, Clone)]
pub struct Roll<'a> {
    /// Members still to be changed, by node name, with what their hosts say of their processes; `None` where a host
    /// wasn't or couldn't be asked.
    pub pending: &'a BTreeMap<&'a str, Option<ProcessSeen>>,
    /// What of that which the group holds may be interrupted, by consent: [`super::Role::interrupted`] names it.
    pub interrupts: &'a BTreeSet<String>,
}

impl Roll<'_> {
    /// Whether this member is to be changed.
    pub fn is_pending(&self, node: &str) -> bool {
        self.pending.contains_key(node)
    }

    /// A member to be changed whose host says that it has no process. It can't be missed, whatever its group believes,
    /// and its repair must not be locked out by its own failure.
    pub(super) fn without_process(&self) -> Option<&str> {
        let gone = |process: &Option<ProcessSeen>| *process == Some(ProcessSeen::Gone);
        self.pending.iter().find(|(_, process)| gone(process)).map(|(name, _)| *name)
    }

    /// A member to be changed that stands still, as its host says, and takes part in nothing any more as `out` says, where
    /// nobody can tell what the group counts on: nothing but its change has it serve again.
    pub(super) fn still(&self, out: impl Fn(&str) -> bool) -> Option<Next> {
        let still = |process: &Option<ProcessSeen>| *process == Some(ProcessSeen::Still);
        let mut found = self.pending.iter().filter(|(name, process)| still(process) && out(name));
        found.next().map(|(name, _)| Next::Do((*name).to_owned()))
    }

    /// What comes next where the group says that members to be changed are out; `None` where it says so of none. They
    /// can't be missed, but one that is starting begins anew where it is stopped at that.
    pub(super) fn out(&self, view: &GroupView) -> Option<Next> {
        let (starting, others): (Vec<&str>, Vec<&str>) =
            self.standing(Standing::Out, view).partition(|name| self.is_starting(name, view));
        let waits = || starting.first().map(|name| Next::Wait(starts(name)));
        others.first().map(|name| Next::Do((*name).to_owned())).or_else(waits)
    }

    /// Whether a member may be reading its data: it was started a short while ago, or has a process and listens to nobody
    /// yet, which it does once it has read them, however long that takes.
    pub(super) fn is_starting(&self, name: &str, view: &GroupView) -> bool {
        match self.pending.get(name) {
            Some(Some(ProcessSeen::Young)) => true,
            Some(Some(ProcessSeen::Runs) | None) => {
                view.members.get(name).is_some_and(|member| member.closed)
            }
            _ => false,
        }
    }

    /// What comes next where members to be changed are silent; `None` where none is. The group may count on them: one
    /// goes where `may_disrupt` says that those who answer do without it, so that one that hangs can be mended.
    pub(super) fn silent(
        &self,
        view: &GroupView,
        may_disrupt: impl Fn(&str) -> Result<(), NotSafe>,
    ) -> Option<Next> {
        let mut waits = None;
        for name in self.standing(Standing::Silent, view) {
            let spared = if self.is_starting(name, view) { Err(starts(name)) } else { may_disrupt(name) };
            match spared {
                Ok(()) => return Some(Next::Do(name.to_owned())),
                Err(reason @ NotSafe::Starting { .. }) => waits = waits.or(Some(Next::Wait(reason))),
                Err(reason) => {
                    let (members, so) = (vec![name.to_owned()], Some(Box::new(reason)));
                    waits = waits.or(Some(Next::Wait(NotSafe::MembersAway { members, so })));
                }
            }
        }
        waits
    }

    fn standing<'b>(&'b self, standing: Standing, view: &'b GroupView) -> impl Iterator<Item = &'b str> {
        self.pending.keys().copied().filter(move |name| view.standing(name) == Some(standing))
    }

    /// What comes next where all serve: `leader` last, and nobody who can't be spared.
    pub(super) fn leader_last(
        &self,
        leader: Option<&str>,
        may_disrupt: impl Fn(&str) -> Result<(), NotSafe>,
    ) -> Next {
        let names = || self.pending.keys().copied();
        match names().find(|name| Some(*name) != leader).or(names().next()) {
            None => Next::Done,
            Some(name) => match may_disrupt(name) {
                Ok(()) => Next::Do(name.to_owned()),
                Err(reason) => Next::Wait(reason),
            },
        }
    }
}

pub(super) fn starts(name: &str) -> NotSafe {
    NotSafe::Starting { member: name.to_owned() }
}

/// What a roll does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Change this member now.
    Do(String),
    /// Not now: the condition may come to hold by itself.
    Wait(NotSafe),
    /// Not at all: waiting won't help.
    Refuse(NotSafe),
    /// Every member is changed and has recovered.
    Done,
}

/// Why a member may not be disturbed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NotSafe {
    /// The service does not answer, so that nothing is known of it.
    #[error("nobody of the group answers")]
    NobodyAnswers,
    /// Members that aren't to be changed now are away.
    #[error("{} not up{}", listed(.members), therefore(.so.as_deref()))]
    MembersAway {
        /// Their names.
        members: Vec<String>,
        /// What one more away would break, where it would.
        so: Option<Box<Self>>,
    },
    /// A member has a process that doesn't serve yet.
    #[error("{member} is starting and may still be reading its data")]
    Starting {
        /// Its name.
        member: String,
    },
    /// Members know of different leaders or replicas in sync: a decision is on its way, or one of them is cut off.
    #[error("{} of {topic}-{partition} otherwise than the controller{}", knows(.members), also(*.others))]
    ToldDifferently {
        /// Who does, by address; at least one.
        members: Vec<String>,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many further partitions are seen otherwise by the first of them.
        others: usize,
    },
    /// Nobody has been told yet of what the group holds.
    #[error("nobody who answers has been told of the group's topics yet")]
    Untold,
    /// A group that this one needs isn't healthy.
    #[error("{group}, which is needed, is not healthy: {lacks}")]
    NeedsUnhealthy {
        /// Which.
        group: String,
        /// What is wrong with it.
        lacks: String,
    },
    /// Watchdogs ask to stop brokers that are cut off from most others, which may happen at any moment; or a roll or a gate
    /// claims them, or did a moment ago.
    #[error(
        "{} cut off from most of the others, as its watchdog says, or claimed by a roll or a gate",
        each(.brokers)
    )]
    CutOff {
        /// Their ids; at least one.
        brokers: Vec<i32>,
    },
    /// The change of a host that is changed as a whole is on trial, or it could not be asked.
    #[error("the last change of host {host} is neither confirmed nor taken back{}", untold(.why.as_deref()))]
    Unconfirmed {
        /// Its name.
        host: String,
        /// Why that isn't known, where it isn't.
        why: Option<String>,
    },
    /// Not exactly one leader or controller is known.
    #[error("the members don't agree on one leader")]
    NoSingleLeader,
    /// A partition lacks replicas in sync, and one more might be missed.
    #[error(
        "{topic}-{partition} has only replicas {isr:?} of {replicas:?} in sync{}",
        also(*.others)
    )]
    UnderReplicated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Its replicas, by broker id.
        replicas: Vec<i32>,
        /// Those in sync.
        isr: Vec<i32>,
        /// How many further partitions are so.
        others: usize,
    },
    /// Without the member a partition would have fewer replicas in sync than `min.insync.replicas`.
    #[error(
        "{topic}-{partition} would fall under min.insync.replicas={min_insync} without broker {broker} (in sync: {isr:?}){}",
        also(*.others)
    )]
    WouldBreakMinIsr {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The broker that would be away.
        broker: i32,
        /// Those in sync now.
        isr: Vec<i32>,
        /// The topic's `min.insync.replicas`.
        min_insync: u32,
        /// How many further partitions are so.
        others: usize,
    },
    /// Topics that can never spare a broker, since they have no more replicas than `min.insync.replicas`.
    #[error("{}: no broker that holds {} can stop without interrupting it", scarce(.topics), any(.topics.len()))]
    NothingToSpare {
        /// The topics, in name order; at least one.
        topics: Vec<ScarceTopic>,
    },
    /// Replicas are being moved by another hand.
    #[error("{topic}-{partition} is being reassigned{}", also(*.others))]
    Reassigning {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many further partitions are.
        others: usize,
    },
    /// Too few others have what a member held.
    #[error(
        "beside it {topic}-{partition} with replicas {replicas:?} is in sync {}, \
         and min.insync.replicas={min_insync}{}",
        only_on(.others),
        also(*.further)
    )]
    HeldByTooFew {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Its replicas, by broker id.
        replicas: Vec<i32>,
        /// The others that serve and are in sync.
        others: Vec<i32>,
        /// The topic's `min.insync.replicas`.
        min_insync: u32,
        /// How many further partitions are so.
        further: usize,
    },
    /// A member that is to leave its group holds what would be lost with it.
    #[error("it holds replicas of {} ({topic}-{partition} first), which would be lost", counted(*.held, "partition"))]
    HoldsReplicas {
        /// The topic of the first of them.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many it holds in all.
        held: usize,
    },
    /// A member that was never made here is counted on: a disk that it begins with can't be an empty one.
    #[error("the cluster counts on replicas of {} being on its disk ({topic}-{partition} first)", counted(*.held, "partition"))]
    CountedOn {
        /// The topic of the first of them.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many it counts on in all.
        held: usize,
    },
    /// A service that knows it did not answer.
    #[error("{service} could not be asked: {why}")]
    NoAnswer {
        /// Which.
        service: String,
        /// Why, with the whole chain of causes.
        why: String,
    },
    /// A member that is to leave its group is still counted on.
    #[error("{member} is still one of its group")]
    StillCounted {
        /// The member.
        member: String,
    },
    /// A member that is to leave its group keeps data, of which its role doesn't know who else has it.
    #[error("it keeps data, and the role {role} can't tell that nobody needs it")]
    KeepsData {
        /// The role.
        role: String,
    },
    /// The role doesn't let members leave.
    #[error("a member can't leave an ensemble yet: its quorum would change")]
    QuorumFixed,
    /// The role doesn't know how a member gets its data back from the others.
    #[error("the role {role} doesn't rebuild a member's data from the others")]
    NotRebuilt {
        /// The role.
        role: String,
    },
    /// No other member serves.
    #[error("nobody of its group would serve without {member}")]
    NobodyLeft {
        /// The member that would be away.
        member: String,
    },
    /// Without the member fewer than a majority would remain.
    #[error("{remaining} of {size} members would remain without {member}, and {needed} are needed")]
    QuorumLost {
        /// The member that would be away.
        member: String,
        /// Members in sync without it.
        remaining: usize,
        /// Members in all.
        size: usize,
        /// The majority.
        needed: usize,
    },
}

impl NotSafe {
    /// Whether it may be otherwise in a while, without anybody's doing.
    pub fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::HoldsReplicas { .. } | Self::CountedOn { .. } | Self::KeepsData { .. } | Self::QuorumFixed
        )
    }
}

/// A topic with no more replicas than it needs in sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScarceTopic {
    /// Its name.
    pub topic: String,
    /// Its replication factor.
    pub replication: usize,
    /// Its `min.insync.replicas`.
    pub min_insync: u32,
}

fn scarce(topics: &[ScarceTopic]) -> String {
    let told = |ScarceTopic { topic, replication, min_insync }: &ScarceTopic| {
        let noun = if *replication == 1 { "replica" } else { "replicas" };
        format!("topic {topic} has {replication} {noun} and min.insync.replicas={min_insync}")
    };
    topics.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn any(topics: usize) -> &'static str {
    if topics == 1 { "it" } else { "one of them" }
}

fn listed(members: &[String]) -> String {
    let verb = if members.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", members.join(", "))
}

fn each(ids: &[i32]) -> String {
    match ids {
        [id] => format!("broker {id} is"),
        ids => format!("each of the brokers {ids:?} is"),
    }
}

fn knows(members: &[String]) -> String {
    let verb = if members.len() == 1 { "knows" } else { "know" };
    format!("{} {verb}", members.join(", "))
}

fn therefore(reason: Option<&NotSafe>) -> String {
    reason.map(|reason| format!(", and {reason}")).unwrap_or_default()
}

fn untold(why: Option<&str>) -> String {
    why.map(|why| format!(", as far as is known: {why}")).unwrap_or_default()
}

fn also(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}
