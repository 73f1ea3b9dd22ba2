//! Two brokers die, the second before the first is back.

use super::{BOUND, Fault, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
use async_trait::async_trait;
use std::time::Duration;

/// Between the two: the first one's leaders have moved, and it isn't back yet.
const APART: Duration = Duration::from_secs(2);

/// The fault.
pub(super) struct TwoBrokers;

#[async_trait]
impl Fault for TwoBrokers {
    fn name(&self) -> &'static str {
        "two-brokers"
    }

    fn about(&self) -> &'static str {
        "a broker's process is killed, and 2 s later another's"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(BOUND)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let (first, second) = (scene.plain_broker(0).await?, scene.plain_broker(1).await?);
        strike(&format!("kill {}", first.node), &[Sign::Unregistered(first.node.clone())]);
        scene.signal(first, Signal::Kill).await?;
        tokio::time::sleep(APART).await;
        strike(&format!("kill {}", second.node), &[Sign::Unregistered(second.node.clone())]);
        scene.signal(second, Signal::Kill).await?;
        Ok(format!("{}, {}", first.node, second.node))
    }

    fn caveat(&self, _: &Scene) -> Option<&'static str> {
        Some(
            "a partition with replicas on both takes no records until one of them is back, \
             since min.insync.replicas must have each record",
        )
    }
}
