//! A broker's host ends with all that runs on it: nobody is left there to fence with.

use super::{Fault, Strike, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::Ability;
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct HostLost;

#[async_trait]
impl Fault for HostLost {
    fn name(&self) -> &'static str {
        "host-lost"
    }

    fn about(&self) -> &'static str {
        "a broker's host ends at once, with its supervisor"
    }

    fn objective(&self, scene: &Scene) -> Duration {
        session_end(scene)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        strike(&format!("lose the host of {}", node.node));
        scene.lose_host(node).await?;
        Ok(node.node.clone())
    }

    fn caveat(&self, scene: &Scene) -> Option<&'static str> {
        Some(match scene.lacks(Ability::Cut) {
            None => "the host is cut off before anything on it dies, so that nothing says goodbye",
            Some(_) => {
                "processes lost: on this machine the kernel still says goodbye for a process that is killed (FIN, \
                 RST), which a host that loses power does not"
            }
        })
    }
}
