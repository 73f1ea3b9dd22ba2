//! Changing running members one at a time: what a roll knows, and what may come next. Pure data.

use serde::Serialize;
use std::collections::BTreeSet;

/// A roll under way within one group.
#[derive(Debug, Clone)]
pub struct Roll<'a> {
    /// Members still to be changed, by node name.
    pub pending: &'a BTreeSet<&'a str>,
    /// What of that which the group holds may be interrupted, by consent: [`super::Role::interrupted`] names it.
    pub interrupts: &'a BTreeSet<String>,
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
        "beside it {topic}-{partition} with replicas {replicas:?} is in sync only on {others:?}, \
         and min.insync.replicas={min_insync}{}",
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
    /// The role doesn't know how a member gets its data back from the others.
    #[error("the role {role} doesn't rebuild a member's data from the others")]
    NotRebuilt {
        /// The role.
        role: String,
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

fn therefore(reason: Option<&NotSafe>) -> String {
    reason.map(|reason| format!(", and {reason}")).unwrap_or_default()
}

fn also(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}
