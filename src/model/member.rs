//! A member of a group, as it was last put on its host. Data.

use super::{Deployment, HealthCheck, NodeFacts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Deref;

/// What of a member's document others go by: its facts, and how it is asked. What it runs is what it is asked for, whatever
/// its role would ask by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its facts, resolved.
    pub facts: NodeFacts,
    /// How it is asked whether it serves; `None` where nobody can tell.
    pub check: Option<HealthCheck>,
}

impl Member {
    /// The member that a node's inputs are of, those of the facts alone too ([`NodeFacts::of`]). One whose document is of
    /// another version counts as a member all the same: a group without it would be a smaller one.
    ///
    /// # Errors
    /// Where the inputs aren't a node's.
    pub fn of(inputs: &Value) -> Result<Self, serde_json::Error> {
        match Deployment::of(inputs) {
            Ok(Some(Deployment { facts, check, .. })) => Ok(Self { facts, check }),
            Ok(None) | Err(_) => NodeFacts::of(inputs).map(Self::from),
        }
    }
}

impl From<NodeFacts> for Member {
    /// A member that can't be asked.
    fn from(facts: NodeFacts) -> Self {
        Self { facts, check: None }
    }
}

impl Deref for Member {
    type Target = NodeFacts;

    fn deref(&self) -> &NodeFacts {
        &self.facts
    }
}
