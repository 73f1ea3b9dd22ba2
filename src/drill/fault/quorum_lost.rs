//! More ZooKeeper servers are down than the ensemble can miss.

use super::{BOUND, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct QuorumLost;

#[async_trait]
impl Fault for QuorumLost {
    fn name(&self) -> &'static str {
        "quorum-lost"
    }

    fn about(&self) -> &'static str {
        "a majority of the ZooKeeper servers is killed and back after 10 s"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(BOUND)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let servers = scene.servers();
        let majority = servers.len() / 2 + 1;
        let mut downed = vec![scene.zookeeper_leader().await?];
        for number in 1..majority {
            downed.push(scene.zookeeper_follower(number).await?);
        }
        let names = downed.iter().map(|facts| facts.node.as_str()).collect::<Vec<_>>().join(", ");
        let closed: Vec<_> = downed.iter().map(|facts| Sign::Closed(facts.node.clone())).collect();
        strike(&format!("kill {names}"), &closed);
        for facts in downed {
            scene.keep_down(facts).await?;
        }
        Ok(names)
    }

    fn lasts(&self) -> Lasts {
        // Shorter than a session, and long enough to show that records flow on while nothing changes.
        Lasts::For(Duration::from_secs(10))
    }

    fn caveat(&self, _: &Scene) -> Option<&'static str> {
        Some(
            "records flow on meanwhile, yet nobody could elect a leader: a broker that dies then stays a leader",
        )
    }
}
