//! Why a drill could not be carried out. That an objective is missed is no error but the drill's result.

use crate::engine::ApplyError;
use crate::engine::Violation;
use crate::kafka::KafkaError;
use crate::resource::KindError;
use std::io;
use std::path::PathBuf;

/// Why a drill has no result.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// A fault of this name isn't known.
    #[error("there is no fault `{name}`")]
    UnknownFault {
        /// As it was named.
        name: String,
        /// Those that are.
        known: Vec<&'static str>,
    },
    /// A fault can't be had on this stack.
    #[error("{fault} can't be drilled here: {reason}")]
    Refused {
        /// The fault.
        fault: &'static str,
        /// Why.
        reason: String,
    },
    /// The stack lacks what every drill needs.
    #[error("the stack has no {role}, and a drill needs one")]
    NoMember {
        /// The role of which there is no node, or no leading one.
        role: &'static str,
    },
    /// Another group answers at the addresses of the stack's own, and is not to be disturbed.
    #[error("{}: {}", .0.key, .0.reason)]
    Stranger(crate::model::Refusal),
    /// The stack isn't healthy, so that a drill would tell nothing.
    #[error("the stack is not healthy: {reason}")]
    Unhealthy {
        /// What is wrong.
        reason: String,
    },
    /// The stack did not come back by itself, or not in time.
    #[error("the stack is not healthy {} s after {fault} was undone: {reason}", .after_s)]
    NotRecovered {
        /// The fault.
        fault: &'static str,
        /// How long was waited, in seconds.
        after_s: u64,
        /// What is wrong.
        reason: String,
    },
    /// The roll was over before it could be killed, or nobody finished it.
    #[error("{fault}: {reason}")]
    NotFinished {
        /// The fault.
        fault: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A host could not be disturbed or put right.
    #[error("could not {action} {subject}")]
    Host {
        /// What was tried.
        action: &'static str,
        /// On which node or host.
        subject: String,
        /// Why not.
        source: KindError,
    },
    /// The cluster refused or could not be asked.
    #[error("could not {action}")]
    Kafka {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: KafkaError,
    },
    /// The probe's client failed.
    #[error("the probe could not {action}")]
    Client {
        /// What it tried.
        action: &'static str,
        /// What the client library says.
        source: rdkafka::error::KafkaError,
    },
    /// Kafka's own clients were asked for and can't be had.
    #[error("Kafka's Java clients can't be had: {reason}")]
    NoJavaClients {
        /// Why.
        reason: String,
    },
    /// The log could not be read to its end, so that nothing is known of what it holds.
    #[error("the log of {topic} could not be read to its end: {left} records are left after {after_s} s")]
    LogUnread {
        /// The topic.
        topic: String,
        /// How many records are missing.
        left: u64,
        /// How long was waited, in seconds.
        after_s: u64,
    },
    /// The roll's plan is not safe.
    #[error("the roll is not safe and was not begun")]
    Check(#[from] Violation),
    /// The state of the stack can't be read.
    #[error(transparent)]
    State(#[from] crate::engine::StateError),
    /// The roll failed.
    #[error("the roll stopped")]
    Roll(#[from] ApplyError),
    /// A file could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever makes the fault has gone without a word.
    #[error("the marks ended before `{awaited}` came")]
    NoMark {
        /// The mark that was waited for.
        awaited: &'static str,
    },
    /// ^C.
    #[error("the drill was stopped")]
    Interrupted,
}
