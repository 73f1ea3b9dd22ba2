//! The disk of a broker is full.

use super::{Fault, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::Ability;
use async_trait::async_trait;
use std::time::{Duration, Instant};

/// Within this time a broker needs a new block of its disk: a block takes some 40 of the probe's records.
const NOTICED: Duration = Duration::from_secs(30);

/// Between looks at whether it has noticed.
const LOOK: Duration = Duration::from_millis(50);

/// The fault.
pub(super) struct DiskFull;

#[async_trait]
impl Fault for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn about(&self) -> &'static str {
        "the disk of a broker's data is full"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::FillDisk)
    }

    fn objective(&self, _: &Scene) -> Duration {
        // It is found out by the next write, the broker ends itself, and only then it is fenced.
        Duration::from_millis(800)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        let before = scene.run_state(node).await?;
        strike(&format!("fill the disk of {}", node.node));
        scene.fill_disk(node).await?;
        let deadline = Instant::now() + NOTICED;
        while scene.run_state(node).await? == before {
            if Instant::now() >= deadline {
                let reason = format!("{} went on with a full disk for {} s", node.node, NOTICED.as_secs());
                return Err(DrillError::NotFinished { fault: self.name(), reason });
            }
            scene.pause(LOOK).await?;
        }
        strike(&format!("{} has ended because of it", node.node));
        Ok(node.node.clone())
    }
}
