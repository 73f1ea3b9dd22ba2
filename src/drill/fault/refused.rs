//! Faults that are known and can't be had on these hosts yet. They are listed, with the reason, so that nobody takes a
//! passed drill for more than it is.

use super::{BOUND, Fault, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;
use std::time::Duration;

struct Refused {
    name: &'static str,
    about: &'static str,
    reason: &'static str,
}

const NO_NETNS: &str =
    "local hosts share one network: only hosts with a network namespace each can be cut off";
const NO_DISK: &str = "local hosts share one file system: only a host with a disk of its own can fill it";

/// All of them.
pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let fault = |name, about, reason| -> Box<dyn Fault> { Box::new(Refused { name, about, reason }) };
    vec![
        fault("cut-off", "a broker's host is cut off from all others", NO_NETNS),
        fault("cut-off-zookeeper", "a broker's host is cut off from ZooKeeper only", NO_NETNS),
        fault("cut-off-peers", "a broker's host is cut off from the other brokers only", NO_NETNS),
        fault("cut-off-one-way", "a broker's host can send and not receive", NO_NETNS),
        fault("disk-full", "the disk of a broker is full", NO_DISK),
    ]
}

#[async_trait]
impl Fault for Refused {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn refusal(&self) -> Option<&'static str> {
        Some(self.reason)
    }

    fn objective(&self, _: &Scene) -> Duration {
        BOUND
    }

    async fn inject(&self, _: &Scene, _: &Strike<'_>) -> Result<String, DrillError> {
        Err(DrillError::Refused { fault: self.name, reason: self.reason.to_owned() })
    }
}
