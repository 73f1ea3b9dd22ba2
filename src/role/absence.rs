//! What a group is left with while one of its members is away. Pure data.

use serde::{Deserialize, Serialize};

/// What is left while one member restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// It is the only one: clients wait until it is back.
    Interruption,
    /// The group votes.
    Quorum {
        /// Members that serve without it.
        left: usize,
        /// Members in all.
        size: usize,
        /// How many make a majority.
        needed: usize,
    },
    /// The group keeps replicas.
    Replicas {
        /// Partitions that it leads, and which another leads meanwhile.
        leads: usize,
        /// Partitions that have one replica less in sync, those that change alike together.
        in_sync: Vec<InSync>,
    },
}

/// Partitions that change alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InSync {
    /// Replicas in sync before.
    pub before: usize,
    /// Replicas in sync meanwhile.
    pub meanwhile: usize,
    /// The topics' `min.insync.replicas`.
    pub min_insync: u32,
    /// How many partitions.
    pub partitions: usize,
}
