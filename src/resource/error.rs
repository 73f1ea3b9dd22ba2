//! Why a kind could not act.

use crate::host::HostError;
use crate::kafka::KafkaError;
use crate::model::Key;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a kind could not act.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// A host failed or could not be reached.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Kafka refused or could not be reached.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Inputs in the state or the plan are not of this kind.
    #[error("the inputs of {key} are not those of its kind")]
    Inputs {
        /// The resource.
        key: Key,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A value was needed before it could be known.
    #[error("{key} needs a value that no step before it has made known")]
    NotYetKnown {
        /// The resource.
        key: Key,
    },
    /// A node that was down when the plan was made serves by now, with what it had before.
    #[error("{key} came back by itself with its old configuration, and is not stopped outside a roll")]
    CameBack {
        /// The resource.
        key: Key,
    },
    /// A host that is changed as a whole took its change back before anybody confirmed it.
    #[error("{key} has gone back to what it ran before by itself")]
    WentBack {
        /// The host.
        key: Key,
    },
    /// A member without data can't be given an empty disk any more.
    #[error("{key} is not refilled")]
    NotRefilled {
        /// The resource.
        key: Key,
        /// Why not.
        source: Box<crate::role::NotSafe>,
    },
    /// What was found before the deed is another resource of the same name.
    #[error(
        "{key} is another one by now, which this stack did not make (its id is {found}, and {known} is known)"
    )]
    Another {
        /// The resource.
        key: Key,
        /// The id that it has.
        found: String,
        /// The id that the state has.
        known: String,
    },
    /// One that was to be made exists by now, otherwise than it was to be.
    #[error("{key} was made by another hand meanwhile, and otherwise than declared")]
    MadeMeanwhile {
        /// The resource.
        key: Key,
    },
    /// What was found before the deed would lose by it, and nobody consented to that.
    #[error("{key} would lose by it what the plan didn't tell: {what}")]
    WouldLose {
        /// The resource.
        key: Key,
        /// What.
        what: String,
    },
    /// A topic is to need more replicas in sync than it has.
    #[error(
        "{key} would take no records: {in_sync} replicas of its partition {partition} are in sync, and it is to need {needed}"
    )]
    WouldShut {
        /// The resource.
        key: Key,
        /// The first partition that has too few.
        partition: i32,
        /// How many it has.
        in_sync: usize,
        /// How many it would need.
        needed: usize,
    },
    /// A member that was never made here is not given an empty disk.
    #[error("{key} does not begin with an empty disk")]
    NotBegun {
        /// The resource.
        key: Key,
        /// Why not.
        source: Box<crate::role::NotSafe>,
    },
    /// What the world told could not be written down, so that the next try would not know it.
    #[error("what is known of {key} so far could not be noted")]
    NotNoted {
        /// The resource.
        key: Key,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A host that was to go has nodes that no step has removed.
    #[error("{key} still holds {nodes}, and their data would go with it")]
    HoldsNodes {
        /// The resource.
        key: Key,
        /// The nodes.
        nodes: String,
    },
    /// A member that was to leave a group that goes on is kept.
    #[error("{key} is not removed{then}")]
    NotRemoved {
        /// The resource.
        key: Key,
        /// What became of it, where that isn't plain.
        then: String,
        /// Why not.
        source: Box<crate::role::NotSafe>,
    },
    /// This Octad has no such role.
    #[error("{key} has the role `{role}`, which this program does not know")]
    UnknownRole {
        /// The resource.
        key: Key,
        /// The role's name.
        role: String,
    },
    /// This Octad has no such host backend.
    #[error("{key} names the host backend `{backend}`, which this program does not know (it knows {known})")]
    UnknownBackend {
        /// The resource.
        key: Key,
        /// The backend's name.
        backend: String,
        /// Those that it knows.
        known: String,
    },
}

impl KindError {
    /// Reads inputs in the form of a kind.
    pub(super) fn read<T: DeserializeOwned>(key: &Key, inputs: &Value) -> Result<T, Self> {
        T::deserialize(inputs).map_err(|source| Self::Inputs { key: key.clone(), source })
    }
}
