//! A broker is stopped in order: it hands its leaders over before it ends.

use super::{Fault, INSTANT, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;

/// The fault.
pub(super) struct BrokerStop;

#[async_trait]
impl Fault for BrokerStop {
    fn name(&self) -> &'static str {
        "broker-stop"
    }

    fn about(&self) -> &'static str {
        "a broker is stopped in order (SIGTERM)"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(INSTANT)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        strike(&format!("stop {}", node.node), &[Sign::Unregistered(node.node.clone())]);
        scene.stop(node).await?;
        Ok(node.node.clone())
    }
}
