//! A broker stands still while the others are restarted: the roll has to wait for it.

use super::roll::roll_beside_frozen;
use super::{Fault, Lasts, Objective, Strike, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;
use std::time::Duration;

/// How long it stands still: longer than a ZooKeeper session. At first it is registered and says nothing, then it is not
/// registered, then it comes back.
const FROZEN: Duration = Duration::from_secs(20);

/// The fault.
pub(super) struct FrozenDuringRoll;

#[async_trait]
impl Fault for FrozenDuringRoll {
    fn name(&self) -> &'static str {
        "frozen-during-roll"
    }

    fn about(&self) -> &'static str {
        "a broker's process stands still for 20 s (SIGSTOP, SIGCONT) as a roll of the others begins"
    }

    fn objective(&self, scene: &Scene) -> Objective {
        // What the broker that stands still costs alone; the roll has to add nothing to it.
        Objective::within(session_end(scene)).keeping_min_isr()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let frozen = scene.plain_broker(0).await?;
        let others = scene.brokers().iter().filter(|facts| facts.node != frozen.node);
        roll_beside_frozen(self.name(), scene, (frozen, FROZEN), others, strike).await?;
        Ok(frozen.node.clone())
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }
}
