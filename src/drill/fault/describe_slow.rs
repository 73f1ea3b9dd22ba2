//! The controller stands still for a moment as a roll begins: who asks how the cluster is has no answer, or a late one.

use super::roll::roll_beside_frozen;
use super::{AFTER_SESSION, Fault, Lasts, Objective, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;
use std::time::Duration;

/// How long it stands still: shorter than two thirds of a session of 12 s, so that it stays the controller. A broker says
/// something each third of one.
const FROZEN: Duration = Duration::from_secs(5);

/// The fault.
pub(super) struct DescribeSlow;

#[async_trait]
impl Fault for DescribeSlow {
    fn name(&self) -> &'static str {
        "describe-slow"
    }

    fn about(&self) -> &'static str {
        "the controller's process stands still for 5 s (SIGSTOP, SIGCONT) as a roll of all brokers begins"
    }

    fn objective(&self, _: &Scene) -> Objective {
        // The partitions that it has a replica of wait for as long as it stands still, and as long as clients need after
        // an election; the roll has to add nothing to it.
        Objective::within(FROZEN + AFTER_SESSION).keeping_min_isr()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let frozen = scene.controller().await?;
        roll_beside_frozen(self.name(), scene, (frozen, FROZEN), scene.brokers(), strike).await?;
        Ok(frozen.node.clone())
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }
}
