//! Every process of the cluster dies at once.

use super::{BOUND, Fault, Lasts, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
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

    fn objective(&self, _: &Scene) -> Duration {
        BOUND
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        strike("kill all");
        let all = scene.brokers().iter().chain(scene.servers());
        let lost = futures_util::future::join_all(all.map(|facts| scene.lose_host(facts))).await;
        lost.into_iter().collect::<Result<Vec<()>, _>>()?;
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
