//! The disk of a broker is full.

use super::{Fault, Objective, Sign, Strike};
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

    fn objective(&self, _: &Scene) -> Objective {
        // It is found out by the next write, the broker ends itself, and only then it is fenced.
        Objective::within(Duration::from_millis(800))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        let before = scene.run_state(node).await?;
        let signs = [
            Sign::Said { node: node.node.clone(), words: "No space left on device" },
            Sign::Unregistered(node.node.clone()),
        ];
        strike(&format!("fill the disk of {}", node.node), &signs);
        scene.fill_disk(node).await?;
        let deadline = Instant::now() + NOTICED;
        while scene.run_state(node).await? == before {
            if Instant::now() >= deadline {
                // It went on with a full disk: nobody saw what was to be seen.
                return Ok(node.node.clone());
            }
            scene.pause(LOOK).await?;
        }
        strike(&format!("{} has ended because of it", node.node), &[]);
        Ok(node.node.clone())
    }
}
