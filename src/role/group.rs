//! A group of nodes that are one service together (an ensemble, a cluster), and how it looks from outside. Pure data.

use crate::model::Key;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nodes of one role that form one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The role of all members.
    pub role: String,
    /// The members' keys.
    pub members: BTreeSet<Key>,
}

/// A group as seen over the wire. Clones share what is large, so that prediction and proof can make thousands of them.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// The members, by node name. A member that was asked for and didn't answer is here, and not up.
    pub members: Arc<BTreeMap<String, MemberView>>,
    /// The members that lead (ZooKeeper's leader, Kafka's controller): one, unless they don't agree or none is chosen.
    pub leaders: BTreeSet<String>,
    /// The role's own description of the whole, which only the role reads.
    pub detail: Arc<dyn Any + Send + Sync>,
}

/// One member of a group as seen over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Whether it serves as a member of the group.
    pub standing: Standing,
    /// Its host says that nobody listens at its address: it has no process, or one that doesn't serve yet.
    #[serde(default)]
    pub closed: bool,
    /// It was asked itself and says that it doesn't serve, as a service may that is starting.
    #[serde(default, skip_serializing_if = "is_no")]
    pub ill: bool,
    /// A few words for people, such as `leader`, `controller`, `not registered`.
    pub note: String,
}

fn is_no(value: &bool) -> bool {
    !value
}

/// Whether a member serves. What could not be asked is never taken for what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It answers, as a member of the group.
    Up,
    /// Kafka's controller, or ZooKeeper's leader, was asked and doesn't count it as a member.
    Out,
    /// Not known: it didn't answer, and neither did a controller or leader that could tell. The group may count on it.
    Silent,
}

impl GroupView {
    /// What is noted of a member where it could not be asked how it stands.
    pub const NOT_KNOWN: &str = "not known";

    /// The role's own description, where it is a `T`.
    pub fn detail<T: Any>(&self) -> Option<&T> {
        self.detail.downcast_ref()
    }

    /// The member that leads, where exactly one is known to.
    pub fn leader(&self) -> Option<&str> {
        self.leaders.first().filter(|_| self.leaders.len() == 1).map(String::as_str)
    }

    /// Whether a member serves as one; `false` for one that is not of the group.
    pub fn is_up(&self, node: &str) -> bool {
        self.standing(node) == Some(Standing::Up)
    }

    /// Whether a member says of itself that it doesn't serve.
    pub fn is_ill(&self, node: &str) -> bool {
        self.members.get(node).is_some_and(|member| member.ill)
    }

    /// How a member stands; `None` for one that is not of the group.
    pub fn standing(&self, node: &str) -> Option<Standing> {
        self.members.get(node).map(|member| member.standing)
    }

    /// Whether anything could be learnt of any member.
    pub fn is_known(&self) -> bool {
        self.members.values().any(|member| member.note != Self::NOT_KNOWN)
    }

    /// How many members serve.
    pub fn up_count(&self) -> usize {
        self.members.values().filter(|member| member.standing == Standing::Up).count()
    }

    /// The members that don't serve, in name order.
    pub fn away(&self) -> Vec<&str> {
        let away = self.members.iter().filter(|(_, member)| member.standing != Standing::Up);
        away.map(|(name, _)| name.as_str()).collect()
    }

    /// The same view, with this member up.
    pub fn with_up(&self, node: &str) -> Self {
        let mut back = self.clone();
        if !back.is_up(node)
            && let Some(member) = Arc::make_mut(&mut back.members).get_mut(node)
        {
            member.standing = Standing::Up;
        }
        back
    }

    /// The views that may follow once `node` has been restarted: it is up, and where it led, any other member may lead.
    pub fn after_restart(&self, node: &str) -> Vec<Self> {
        let back = self.with_up(node);
        let led_by = |leader: &String| Self { leaders: [leader.clone()].into(), ..back.clone() };
        match self.leader() {
            Some(leader) if leader == node && self.members.len() > 1 => {
                self.members.keys().filter(|name| *name != node).map(led_by).collect()
            }
            Some(_) => vec![back],
            None => vec![],
        }
    }
}
