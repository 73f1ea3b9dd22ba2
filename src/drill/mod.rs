//! Drills: something goes wrong on purpose, and a probe measures what that costs the cluster's clients.
//!
//! A [`Fault`] is one file in `fault`. What others must notice of it are its [`Sign`]s, which the `witness` looks for: a
//! fault of which they don't is inconclusive. While it lasts, the `probe` writes to every partition of a topic of its own and
//! reads it as a consumer group; `watch` looks at the cluster over the wire, `chronicle` hears of changes from ZooKeeper.
//! Once all is whole again, the log is read back from its first offset to its last, by two clients that have no code in
//! common, and `accounting` lays it beside what the producer was told. `verdict` holds the figures against the
//! objectives, `report` has those of one call, `page` draws them.
//!
//! The pure parts (`accounting`, `pauses`, `phases`, `placement`, `sign`, `verdict`, `page`, `record`) do no I/O. `probe` is the only part of
//! Octad that uses librdkafka and Kafka's Java clients.

mod accounting;
mod chronicle;
mod error;
mod fault;
mod page;
mod pauses;
mod phases;
mod placement;
mod probe;
mod record;
mod report;
mod run;
mod scene;
mod sign;
mod stock;
mod trial;
mod verdict;
mod watch;
mod witness;

pub use accounting::{Account, Found, Outcome};
pub use chronicle::{Chronicle, Gone, Led};
pub use error::DrillError;
pub use fault::{EXTERNAL, Fault, Lasts, Objective, Since, Strike, all as all_faults, named as fault_named};
pub use page::page;
pub use pauses::{Pause, Spread};
pub use phases::Phases;
pub use probe::{JavaClients, Library};
pub use record::Mark;
pub use report::{Machine, REPORT_VERSION, Report, Skipped};
pub use run::{Terms, clear_leftovers, run};
pub use scene::{Scene, Unsynced};
pub use sign::{Evidence, Sign};
pub use stock::{as_shipped, unguarded};
pub use trial::{AsShipped, Confirmation, Consumers, Timeline, Trial};
pub use verdict::{Finding, Medians, Stock, Verdict};
pub use watch::{Replication, Sample};

/// What the probe's topics are called, before a number.
const TOPIC: &str = "octad-drill-";

#[cfg(test)]
pub(crate) use report::tests::report;
#[cfg(test)]
pub(crate) use verdict::tests::trial;
