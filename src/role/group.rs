//! A group of nodes that are one service together (an ensemble, a cluster), and how it looks from outside. Pure data.

use crate::resource::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes of one role that form one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The role of all members.
    pub role: String,
    /// The members' keys.
    pub members: BTreeSet<Key>,
}

/// A group as seen over the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    /// The members, by node name. A member that was asked for and didn't answer is here, and not up.
    pub members: BTreeMap<String, MemberView>,
    /// The role's own description of the whole.
    pub detail: Value,
}

/// One member of a group as seen over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// It serves as a member of the group.
    pub up: bool,
    /// It leads the group (ZooKeeper's leader, Kafka's controller).
    pub leads: bool,
    /// A few words for people, such as `leader`, `controller`, `not registered`.
    pub note: String,
}

impl GroupView {
    /// The role's own description, read as `T`; `None` where nobody answered or it is not of that form.
    pub fn detail<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.detail.clone()).ok()
    }

    /// The member that leads, where exactly one is known to.
    pub fn leader(&self) -> Option<&str> {
        let mut leaders = self.members.iter().filter(|(_, member)| member.leads);
        match (leaders.next(), leaders.next()) {
            (Some((name, _)), None) => Some(name),
            _ => None,
        }
    }

    /// The views that may follow once `node` has been restarted: it is up, and where it led, any other member may lead.
    pub fn after_restart(&self, node: &str) -> Vec<Self> {
        let leaders: Vec<&str> = match self.leader() {
            Some(leader) if leader == node && self.members.len() > 1 => {
                self.members.keys().map(String::as_str).filter(|name| *name != node).collect()
            }
            leader => leader.into_iter().collect(),
        };
        let led_by = |leader: &str| {
            let mut next = self.clone();
            for (name, member) in &mut next.members {
                member.leads = name == leader;
                member.up = member.up || name == node;
            }
            next
        };
        leaders.into_iter().map(led_by).collect()
    }
}
