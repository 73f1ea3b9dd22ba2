//! The words that all others share: names, facts, values that are not known yet, what differs, what is refused. Data
//! without behaviour: it knows no other module.

mod change;
mod check;
mod counted;
mod deployment;
mod facts;
mod host;
mod key;
mod member;
mod output;
mod process;
mod properties;
mod refusal;

pub use change::{PropertyChange, compare};
pub use check::HealthCheck;
pub use counted::counted;
pub use deployment::{DEPLOYMENT_VERSION, Deployment, File, Form, Layout, Process};
pub use facts::{FACTS_VERSION, HostFacts, Jvm, Machine, NodeFacts, Software, Source};
pub use host::{HostInputs, Options};
pub use key::{Key, NotAKey};
pub use member::Member;
pub use output::{Format, NotYetKnown, Output, Reference, references, resolve};
pub use process::ProcessSeen;
use properties::escaped;
pub use properties::{properties, property};
pub use refusal::Refusal;
