//! A broker's host is cut off from the other brokers. It reaches ZooKeeper, so that nobody else may lead in its place:
//! Kafka has no bound for that, the watchdog has.

use super::{Fault, Strike, addresses};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::{Ability, Cut};
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct CutOffPeers;

#[async_trait]
impl Fault for CutOffPeers {
    fn name(&self) -> &'static str {
        "cut-off-peers"
    }

    fn about(&self) -> &'static str {
        "a broker's host is cut off from the other brokers only"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::Cut)
    }

    fn objective(&self, _: &Scene) -> Duration {
        // What the watchdog is to keep to.
        Duration::from_secs(20)
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        let alone = (scene.brokers().len() < 2).then(|| "the stack has only one broker".to_owned());
        alone.or_else(|| scene.lacks(Ability::Cut))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        let peers = scene.brokers().iter().filter(|facts| facts.node != node.node);
        let cut = Cut::off_from(addresses(peers));
        strike(&format!("cut {} off from the other brokers", node.node));
        scene.cut(node, &cut).await?;
        Ok(node.node.clone())
    }
}
