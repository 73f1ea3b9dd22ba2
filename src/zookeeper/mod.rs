//! The ZooKeeper ensemble as seen over the wire: who leads, who follows, who is in sync.
//!
//! [`Zookeeper`] is the contract, [`FourLetter`] the real implementation, [`EnsembleView`] what it sees: pure
//! data. A [`Session`] reads and watches znodes and ends sessions. [`admit`] has servers on empty disks find out whether all
//! of them are new. Knows nothing of Kafka, stacks or processes.

mod four_letter;
mod newcomers;
mod session;
mod view;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use four_letter::{FourLetter, QueryError, Timeout};
pub use newcomers::{Admitted, NotAdmitted, admit};
pub(crate) use session::OWN_TIMEOUT;
pub use session::{Change, Session, SessionError, SessionId, Znode};
pub use view::{EnsembleView, Healthy, Latency, MemberView, Mode, Serving, Unhealthy};

/// What the engine asks of a ZooKeeper ensemble.
#[async_trait]
pub trait Zookeeper: Send + Sync {
    /// What each of these members (server id → client address, `host:port`) says of itself now. All are asked
    /// at once. Never fails: a member that does not answer is part of the answer.
    async fn describe(&self, members: &BTreeMap<i32, String>) -> EnsembleView;
}
