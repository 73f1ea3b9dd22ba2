//! The kinds of resources that a stack is made of, and what the engine asks of a kind. A kind is one file here,
//! with a folder of its name where it is long: it decides what a change means (pure) and carries it out (async); the engine
//! orders, journals and reports.

mod decision;
mod error;
mod host;
mod kind;
mod node;
mod retention;
mod surroundings;
mod topic;

pub use decision::{Adopted, Decision, Drift, GroupSubject, Instance, Loss, Observed, Recorded, Subject};
pub use error::KindError;
pub use host::HostKind;
pub(crate) use host::ID;
pub use kind::{After, Deed, Files, Fitted, Kind, Malformed, Measured, Part, Siblings, Work};
pub use node::NodeKind;
pub(crate) use node::counted_on_hint;
pub(crate) use retention::lasts;
pub use retention::{Disks, Lasts};
pub use surroundings::{Surroundings, health, kafka, view};
pub(crate) use topic::weakened;
pub use topic::{TopicInputs, TopicKind};
