//! A broker stands still while the others are restarted: the roll has to wait for it.

use super::roll::{Roll, restarted};
use super::{Fault, Lasts, Objective, Sign, Strike, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
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
        let others = || scene.brokers().iter().filter(|facts| facts.node != frozen.node);
        // Planned while all was well. Between two turns nobody could tell whose fault it is that two are away: the roll's,
        // or a broker's that stood still just after the next one was told to stop.
        let roll = Roll::planned(self.name(), scene, others()).await?;
        let signs = [Sign::Frozen(frozen.node.clone()), Sign::Unregistered(frozen.node.clone())];
        strike(&format!("freeze {}", frozen.node), &signs);
        scene.signal(frozen, Signal::Stop).await?;
        strike("roll begins", &restarted(others()));
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
