//! Every process of the cluster dies at once.

use super::{BOUND, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::{Scene, Unsynced};
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct ClusterKilled;

#[async_trait]
impl Fault for ClusterKilled {
    fn name(&self) -> &'static str {
        "cluster-killed"
    }

    fn about(&self) -> &'static str {
        "all hosts end at once and are back after 2 s"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(BOUND)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let all: Vec<_> = scene.brokers().iter().chain(scene.servers()).collect();
        let closed: Vec<_> = all.iter().map(|facts| Sign::Closed(facts.node.clone())).collect();
        strike("kill all", &closed);
        scene.lose_hosts(&all, Unsynced::Kept).await?;
        Ok("all".into())
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(Duration::from_secs(2))
    }

    fn caveat(&self, _: &Scene) -> Option<&'static str> {
        Some(
            "not power loss: what the processes had written survives in the kernel. acks=all means that the replicas \
             have a record in memory, not on disk (no fsync): if all hosts of a partition lose power within seconds, \
             its newest acknowledged records may be lost",
        )
    }
}
