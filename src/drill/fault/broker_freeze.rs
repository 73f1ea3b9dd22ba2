//! A broker's process stands still and then goes on, believing that nothing happened.

use super::{Fault, Lasts, Objective, Sign, Strike, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::supervisor::Signal;
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct BrokerFreeze;

#[async_trait]
impl Fault for BrokerFreeze {
    fn name(&self) -> &'static str {
        "broker-freeze"
    }

    fn about(&self) -> &'static str {
        "a broker's process stands still for 20 s (SIGSTOP, SIGCONT)"
    }

    fn objective(&self, scene: &Scene) -> Objective {
        Objective::within(session_end(scene))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        strike(
            &format!("freeze {}", node.node),
            &[Sign::Frozen(node.node.clone()), Sign::Unregistered(node.node.clone())],
        );
        scene.signal(node, Signal::Stop).await?;
        Ok(node.node.clone())
    }

    fn lasts(&self) -> Lasts {
        // Longer than a ZooKeeper session: the others go on without it, and it comes back as a leader of the past.
        Lasts::For(Duration::from_secs(20))
    }
}
