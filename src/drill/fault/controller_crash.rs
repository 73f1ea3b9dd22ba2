//! The controller's process dies: nobody elects until there is a new one.

use super::{Fault, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct ControllerCrash;

#[async_trait]
impl Fault for ControllerCrash {
    fn name(&self) -> &'static str {
        "controller-crash"
    }

    fn about(&self) -> &'static str {
        "the controller's process is killed (SIGKILL)"
    }

    fn objective(&self, _: &Scene) -> Objective {
        // Two elections, one after the other: of the controller, then of leaders.
        Objective::within(Duration::from_millis(800))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.controller().await?;
        strike(&format!("kill {}", node.node), &[Sign::Unregistered(node.node.clone())]);
        scene.signal(node, Signal::Kill).await?;
        Ok(node.node.clone())
    }
}
