//! The ZooKeeper leader's process dies: the others elect another.

use super::{Fault, INSTANT, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
use async_trait::async_trait;

/// The fault.
pub(super) struct ZookeeperLeaderCrash;

#[async_trait]
impl Fault for ZookeeperLeaderCrash {
    fn name(&self) -> &'static str {
        "zookeeper-leader-crash"
    }

    fn about(&self) -> &'static str {
        "the ZooKeeper leader's process is killed (SIGKILL)"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(INSTANT)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.zookeeper_leader().await?;
        strike(&format!("kill {}", node.node), &[Sign::Closed(node.node.clone())]);
        scene.signal(node, Signal::Kill).await?;
        Ok(node.node.clone())
    }
}
