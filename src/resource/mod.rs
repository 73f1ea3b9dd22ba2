//! The kinds of resources that a stack is made of, and what the engine asks of a kind. A kind is one file here: it
//! decides what a change means (pure) and carries it out (async); the engine orders, journals and reports.

mod decision;
mod facts;
mod host;
mod key;
mod kind;
mod leave;
mod node;
mod output;
mod place;
mod properties;
mod retention;
mod topic;

pub use decision::{
    Adopted, Decision, Drift, GroupSubject, Loss, Observed, ProcessSeen, PropertyChange, Recorded, Refusal,
    Subject, compare,
};
pub use facts::{FACTS_VERSION, HostFacts, Jvm, Machine, NodeFacts, Software};
pub use host::{HostInputs, HostKind, Isolation};
pub use key::{Key, NotAKey};
pub use kind::{Files, Fitted, Kind, KindError, Work};
pub use node::NodeKind;
pub(crate) use node::counted_on_hint;
pub use output::{Format, NotYetKnown, Output, Reference, references, resolve};
pub use properties::{properties, property};
pub(crate) use retention::lasts;
pub use retention::{Disks, Lasts};
pub use topic::{TopicInputs, TopicKind};
