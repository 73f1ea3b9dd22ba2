//! What others must notice of a fault, so that it is known to have had its effect. Pure.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Something that somebody other than who makes a fault notices of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// ZooKeeper ends the registration of this broker.
    Unregistered(String),
    /// No connection to this node comes about from this machine: it is refused, or has no answer.
    Closed(String),
    /// Packets of one node's host don't get to the other node.
    Apart {
        /// Whose host tries.
        from: String,
        /// Which node isn't reached.
        to: String,
    },
    /// The kernel of this node's host has its process stand still.
    Frozen(String),
    /// This node's own log says so.
    Said {
        /// The node.
        node: String,
        /// A part of the line.
        words: &'static str,
    },
    /// ZooKeeper tells of any change: a registration that ends, a leader or replicas in sync that differ.
    AnyChange,
}

impl Sign {
    /// A broker whose host is gone: nobody is there, and its registration ends.
    pub fn host_lost(broker: &str) -> [Self; 2] {
        [Self::Closed(broker.to_owned()), Self::Unregistered(broker.to_owned())]
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unregistered(node) => write!(f, "ZooKeeper ended the registration of {node}"),
            Self::Closed(node) => write!(f, "no connection to {node} came about"),
            Self::Apart { from, to } => write!(f, "{from} did not reach {to}"),
            Self::Frozen(node) => write!(f, "the kernel had {node} stand still"),
            Self::Said { node, words } => write!(f, "{node} said \"{words}\""),
            Self::AnyChange => f.write_str("ZooKeeper told of a change"),
        }
    }
}

/// A sign, and whether it was seen while the fault lasted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What is noticed, and by whom, for people.
    pub sign: String,
    /// When it was seen, in milliseconds since the deed that it is a sign of; `None` where it wasn't.
    pub seen_after_ms: Option<u64>,
}

impl Evidence {
    /// What came of a sign that was looked for since `from`.
    pub(super) fn of(sign: &Sign, from: Duration, seen: Option<Duration>) -> Self {
        let seen_after_ms = seen.map(|at| super::pauses::millis(at.saturating_sub(from)));
        Self { sign: sign.to_string(), seen_after_ms }
    }
}
