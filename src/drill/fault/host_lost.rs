//! A broker's host ends with all that runs on it: nobody is left there to fence with.

use super::{Fault, Objective, Sign, Strike, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::{Scene, Unsynced};
use crate::host::Ability;
use async_trait::async_trait;

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

    fn objective(&self, scene: &Scene) -> Objective {
        Objective::within(session_end(scene))
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let node = scene.plain_broker(0).await?;
        strike(&format!("lose the host of {}", node.node), &Sign::host_lost(&node.node));
        scene.lose_hosts(&[node], Unsynced::Lost).await?;
        Ok(node.node.clone())
    }

    fn caveat(&self, scene: &Scene) -> Option<&'static str> {
        Some(how_lost(scene))
    }
}

/// How far a host that is lost here is one that loses power.
pub(super) fn how_lost(scene: &Scene) -> &'static str {
    match (scene.lacks(Ability::Cut), scene.lacks(Ability::ShutDisksDown)) {
        (None, None) => {
            "the host is cut off before anything on it dies, so that nothing says goodbye, and comes back without what of \
             the probe's records was not on its disk yet"
        }
        (None, Some(_)) => {
            "the host is cut off before anything on it dies, so that nothing says goodbye. What its processes had written \
             survives in the kernel, as it doesn't where power is lost; disks of their own (`disk-mib`) show that too"
        }
        (Some(_), None) => {
            "the kernel still says goodbye for a process that is killed (FIN, RST), which a host that loses power does \
             not. What of the probe's records was not on the host's disk yet is gone"
        }
        (Some(_), Some(_)) => {
            "processes lost: on this machine the kernel still says goodbye for a process that is killed (FIN, \
             RST), which a host that loses power does not"
        }
    }
}
