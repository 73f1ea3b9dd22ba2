//! The controller's host is cut off from the other brokers. It reaches ZooKeeper, so that it stays the controller, and
//! tells nobody who leads: all elections stop until the watchdog stops it.

use super::cut_off_peers::{cut_from_peers, no_peers};
use super::{Fault, Objective, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::Ability;
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct ControllerCutOffPeers;

#[async_trait]
impl Fault for ControllerCutOffPeers {
    fn name(&self) -> &'static str {
        "controller-cut-off-peers"
    }

    fn about(&self) -> &'static str {
        "the controller's host is cut off from the other brokers only"
    }

    fn needs(&self) -> Option<Ability> {
        Some(Ability::Cut)
    }

    fn objective(&self, _: &Scene) -> Objective {
        // `replica.lag.time.max.ms`: after that it takes its followers out of the ISR, and nobody but it may lead.
        Objective::within(Duration::from_secs(22))
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        no_peers(scene)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        cut_from_peers(scene, scene.controller().await?, strike).await
    }
}
