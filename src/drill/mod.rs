//! Drills: something goes wrong on purpose, and a probe measures what that costs the cluster's clients.
//!
//! A [`Fault`] is one file in `fault`. While it lasts, the `probe` writes to every partition of a topic of its own and
//! reads it as a consumer group; `watch` looks at the cluster over the wire. Once all is whole again, the log is read
//! back from its first offset to its last, and `accounting` lays it beside what the producer was told. `verdict` holds
//! the figures against the objectives, `page` draws them.
//!
//! The pure parts (`accounting`, `pauses`, `verdict`, `page`, `record`) do no I/O. `probe` is the only part of Octad
//! that uses librdkafka.

mod accounting;
mod error;
mod fault;
mod page;
mod pauses;
mod probe;
mod record;
mod run;
mod scene;
mod stock;
mod trial;
mod verdict;
mod watch;

pub use accounting::{Account, Found, Outcome};
pub use error::DrillError;
pub use fault::{Fault, Lasts, Strike, all as all_faults, named as fault_named};
pub use page::page;
pub use pauses::{Pause, Spread};
pub use record::Mark;
pub use run::{Terms, clear_leftovers, run};
pub use scene::Scene;
pub use stock::as_shipped;
pub use trial::{Consumers, Timeline, Trial};
pub use verdict::{Machine, REPORT_VERSION, Report, Skipped, Stock, Verdict};
pub use watch::{Replication, Sample};

#[cfg(test)]
pub(crate) use verdict::tests::{report, trial};
