//! A broker's host is cut off from the other brokers. It reaches ZooKeeper, so that nobody else may lead in its place:
//! Kafka has no bound for that, the watchdog has.

use super::{Fault, Objective, Sign, Strike, addresses};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::{Ability, Cut};
use crate::model::NodeFacts;
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

    fn objective(&self, _: &Scene) -> Objective {
        // What the watchdog is to keep to.
        Objective::within(Duration::from_secs(20))
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        no_peers(scene)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        cut_from_peers(scene, node, strike).await
    }
}

/// Cuts a broker's host off from all other brokers' and from nobody else.
pub(super) async fn cut_from_peers(
    scene: &Scene,
    node: &NodeFacts,
    strike: &Strike<'_>,
) -> Result<String, DrillError> {
    let peers = || scene.brokers().iter().filter(|facts| facts.node != node.node);
    let apart = |peer: &NodeFacts| Sign::Apart { from: peer.node.clone(), to: node.node.clone() };
    let signs: Vec<_> = peers().map(apart).collect();
    strike(&format!("cut {} off from the other brokers", node.node), &signs);
    scene.cut(node, &Cut::off_from(addresses(peers()))).await?;
    Ok(node.node.clone())
}

/// Why a broker of this stack can't be cut off from its peers; `None` where one can.
pub(super) fn no_peers(scene: &Scene) -> Option<String> {
    let alone = (scene.brokers().len() < 2).then(|| "the stack has only one broker".to_owned());
    alone.or_else(|| scene.lacks(Ability::Cut))
}
