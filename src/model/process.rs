//! What a process does, in the words that everyone shares.

use serde::{Deserialize, Serialize};

/// What a resource's process does, as the host says that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessSeen {
    /// There is none, or one that was asked to end: nobody can miss it.
    Gone,
    /// It is there and stands still.
    Still,
    /// It was started a short while ago, and may be reading its data before it serves anybody.
    Young,
    /// It runs, or what it stands for needs no process.
    Runs,
}
