//! A broker's host is heard and hears nobody.

use super::{AFTER_SESSION, Fault, Objective, Sign, Strike, session};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::{Ability, Cut};
use async_trait::async_trait;

/// The fault.
pub(super) struct CutOffOneWay;

#[async_trait]
impl Fault for CutOffOneWay {
    fn name(&self) -> &'static str {
        "cut-off-one-way"
    }

    fn about(&self) -> &'static str {
        "a broker's host can send and not receive"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::Cut)
    }

    fn objective(&self, scene: &Scene) -> Objective {
        // It goes on telling ZooKeeper that it lives until it gives up for want of an answer, at two thirds of a session.
        Objective::within(session(scene) * 5 / 3 + AFTER_SESSION)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        strike(&format!("make {} deaf", node.node), &Sign::host_lost(&node.node));
        scene.cut(node, &Cut::deaf()).await?;
        Ok(node.node.clone())
    }

    fn caveat(&self, _: &Scene) -> Option<&'static str> {
        Some(
            "a broker that is deaf can still have its followers taken out of the ISR. Others lead only where its session \
             ends before that: zookeeper.session.timeout.ms × 5/3 must be less than replica.lag.time.max.ms",
        )
    }
}
