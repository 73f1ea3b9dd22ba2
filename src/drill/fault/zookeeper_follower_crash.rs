//! A ZooKeeper follower's process dies.

use super::{Fault, INSTANT, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
use async_trait::async_trait;

/// The fault.
pub(super) struct ZookeeperFollowerCrash;

#[async_trait]
impl Fault for ZookeeperFollowerCrash {
    fn name(&self) -> &'static str {
        "zookeeper-follower-crash"
    }

    fn about(&self) -> &'static str {
        "a ZooKeeper follower's process is killed (SIGKILL)"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(INSTANT)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.zookeeper_follower(0).await?;
        strike(&format!("kill {}", node.node), &[Sign::Closed(node.node.clone())]);
        scene.signal(node, Signal::Kill).await?;
        Ok(node.node.clone())
    }
}
