//! A broker's host is cut off from everybody, and goes on believing that it leads.

use super::{Fault, Objective, Sign, Strike, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::{Ability, Cut};
use async_trait::async_trait;

/// The fault.
pub(super) struct CutOff;

#[async_trait]
impl Fault for CutOff {
    fn name(&self) -> &'static str {
        "cut-off"
    }

    fn about(&self) -> &'static str {
        "a broker's host is cut off from all others and from clients"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::Cut)
    }

    fn objective(&self, scene: &Scene) -> Objective {
        Objective::within(session_end(scene))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        strike(&format!("cut {} off", node.node), &Sign::host_lost(&node.node));
        scene.cut(node, &Cut::off()).await?;
        Ok(node.node.clone())
    }
}
