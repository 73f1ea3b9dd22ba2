//! What is not done, and what would help.

use super::Key;
use serde::{Deserialize, Serialize};

/// Why something is not done, and what would help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The resource concerned.
    pub key: Key,
    /// What was asked for and why it is not done.
    pub reason: String,
    /// The next step.
    pub hint: String,
}
