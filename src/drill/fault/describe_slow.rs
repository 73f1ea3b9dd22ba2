//! The controller stands still for a moment as a roll begins: who asks how the cluster is has no answer, or a late one.

use super::roll::{Roll, restarted};
use super::{AFTER_SESSION, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
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
        let roll = Roll::planned(self.name(), scene, scene.brokers()).await?;
        strike(&format!("freeze {}", frozen.node), &[Sign::Frozen(frozen.node.clone())]);
        scene.signal(frozen, Signal::Stop).await?;
        strike("roll begins", &restarted(scene.brokers()));
        let thaw = async {
            scene.pause(FROZEN).await?;
            strike(&format!("{} goes on", frozen.node), &[]);
            scene.signal(frozen, Signal::Cont).await
        };
        let (rolled, thawed) = tokio::join!(roll.apply(scene), thaw);
        rolled.and(thawed)?;
        strike("roll is over", &[]);
        Ok(frozen.node.clone())
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }
}
