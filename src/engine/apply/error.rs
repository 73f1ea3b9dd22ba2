//! Why a plan was carried out in part only.

use crate::engine::GateError;
use crate::engine::state::StateError;
use crate::model::{Key, Refusal};
use crate::resource::KindError;
use crate::role::NotSafe;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The resource's kind could not act.
    #[error("could not {verb} {key}")]
    Act {
        /// What was tried.
        verb: &'static str,
        /// On which resource.
        key: Key,
        /// What went wrong.
        source: KindError,
    },
    /// This program lacks the kind.
    #[error("{0} is of a kind that this program does not know")]
    UnknownKind(Key),
    /// A gate did not open.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A member of a roll can't be spared.
    #[error("the roll of {group} stopped after {done} of {of} members: {reason}")]
    NotSafe {
        /// The group.
        group: String,
        /// Members changed.
        done: usize,
        /// Members in all.
        of: usize,
        /// Why.
        reason: NotSafe,
    },
    /// A member did not come back from its change, and was put back to what it was.
    #[error("{member} did not become healthy with its change and was put back to what it was")]
    PutBack {
        /// The member.
        member: String,
        /// What was wrong with it.
        #[source]
        reason: GateError,
    },
    /// A host took its change back by itself before that was confirmed.
    #[error(
        "{host} has gone back to what it ran before by itself: its change was neither confirmed nor refused in time"
    )]
    WentBack {
        /// The host.
        host: Key,
    },
    /// Another group answers at the addresses of the stack's own.
    #[error("{}: {}", .0.key, .0.reason)]
    Stranger(Refusal),
    /// Octad was asked to stop.
    #[error("stopped at a safe point")]
    Interrupted,
    /// The journal can't be written; nothing is done that can't be recorded.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A plan that was carried out in part only.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ApplyError {
    /// The first thing that went wrong.
    #[source]
    pub error: StepError,
    /// What was changed before.
    pub done: Vec<String>,
    /// What was to be changed and wasn't.
    pub not_done: Vec<String>,
}
