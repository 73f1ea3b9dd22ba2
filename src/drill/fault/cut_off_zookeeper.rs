//! A broker's host is cut off from ZooKeeper, and everybody else still reaches it.

use super::{Fault, Lasts, Objective, Sign, Strike, addresses, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::{Ability, Cut};
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct CutOffZookeeper;

#[async_trait]
impl Fault for CutOffZookeeper {
    fn name(&self) -> &'static str {
        "cut-off-zookeeper"
    }

    fn about(&self) -> &'static str {
        "a broker's host is cut off from ZooKeeper only, for 30 s"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::Cut)
    }

    fn objective(&self, scene: &Scene) -> Objective {
        Objective::within(session_end(scene))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        let cut = Cut::off_from(addresses(scene.servers()));
        strike(&format!("cut {} off from ZooKeeper", node.node), &[Sign::Unregistered(node.node.clone())]);
        scene.cut(node, &cut).await?;
        Ok(node.node.clone())
    }

    fn lasts(&self) -> Lasts {
        // Longer than a ZooKeeper session: others lead, and clients are told by one that doesn't know of it.
        Lasts::For(Duration::from_secs(30))
    }
}
