//! What a simulated world remembers: what Octad did, and every moment at which a promise was broken. Pure data.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that Octad did to the world, whether or not it changed anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What: `boot`, `format`, `install`, `start`, `stop`, `rename`, `remove`, `halt`, `destroy`, or a change of a topic.
    pub verb: String,
    /// To which host, node or topic.
    pub subject: String,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.subject)
    }
}

/// How a deed is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// It fails and has no effect.
    Refused,
    /// It is done, and fails all the same: the answer got lost.
    AnswerLost,
    /// Octad's process ends before it; see [`super::FakeWorld::killed`].
    KilledBefore,
    /// Octad's process ends when it is done, before the answer arrives.
    KilledAfter,
}

/// A moment at which a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// How many deeds had begun by then.
    pub deeds: usize,
    /// Who did it.
    pub cause: Cause,
    /// What was lost.
    pub loss: Loss,
}

/// Who broke a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Octad, by this deed.
    Octad(Deed),
    /// A fault that a test made.
    Fault(String),
    /// What was begun earlier took effect.
    Time,
}

/// What was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// An ensemble that had a quorum has none.
    Quorum {
        /// The group.
        group: String,
        /// Members that still vote.
        voters: usize,
        /// Members in all.
        size: usize,
    },
    /// A partition has fewer replicas in sync and running than acks=all writes need.
    MinIsr {
        /// The topic.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The replicas in sync that still run.
        live: Vec<i32>,
        /// How many are needed.
        required: usize,
    },
    /// Acknowledged data is gone.
    Data {
        /// Which.
        what: String,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Octad(deed) => write!(f, "octad's {deed}: ")?,
            Cause::Fault(fault) => write!(f, "{fault}: ")?,
            Cause::Time => {}
        }
        match &self.loss {
            Loss::Quorum { group, voters, size } => {
                write!(f, "{group} has no quorum ({voters} of {size} vote)")
            }
            Loss::MinIsr { topic, partition, live, required } => {
                write!(f, "{topic}-{partition} has {live:?} in sync and needs {required}")
            }
            Loss::Data { what } => write!(f, "lost {what}"),
        }
    }
}
