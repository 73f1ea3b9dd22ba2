//! The disk of a broker is full.

use super::{Fault, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::Ability;
use async_trait::async_trait;
use std::time::Duration;

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
        strike(&format!("fill the disk of {}", node.node));
        scene.fill_disk(node).await?;
        Ok(node.node.clone())
    }
}
