//! The controller is stopped in order.

use super::{Fault, INSTANT, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;

/// The fault.
pub(super) struct ControllerStop;

#[async_trait]
impl Fault for ControllerStop {
    fn name(&self) -> &'static str {
        "controller-stop"
    }

    fn about(&self) -> &'static str {
        "the controller is stopped in order (SIGTERM)"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(INSTANT)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.controller().await?;
        strike(&format!("stop {}", node.node), &[Sign::Unregistered(node.node.clone())]);
        scene.stop(node).await?;
        Ok(node.node.clone())
    }
}
