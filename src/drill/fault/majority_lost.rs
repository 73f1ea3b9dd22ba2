//! More than half of the brokers' hosts are lost at once, and come back.

use super::host_lost::how_lost;
use super::{BOUND, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::placement::{majority, spread};
use crate::drill::scene::{Scene, Unsynced, names};
use async_trait::async_trait;
use std::time::Duration;

/// The fault.
pub(super) struct MajorityLost;

#[async_trait]
impl Fault for MajorityLost {
    fn name(&self) -> &'static str {
        "majority-lost"
    }

    fn about(&self) -> &'static str {
        "the hosts of more than half of the brokers are lost at once, links first, and are back after 20 s"
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        let (brokers, replicas) = (scene.brokers().len(), scene.replicas());
        // Who loses power with all replicas of a partition loses its newest records: nothing is fsynced.
        spread(&scene.zoned(), majority(brokers), replicas, 0).is_none().then(|| {
            format!(
                "of {brokers} brokers {} would be left, too few for each partition's {replicas} replicas to have one \
                 there",
                brokers - majority(brokers)
            )
        })
    }

    fn objective(&self, _: &Scene) -> Objective {
        // A partition with fewer than `min.insync.replicas` left can't take records until hosts are back, however well
        // all goes; from then on it is the user's bound, for JVMs that start side by side and replicas that catch up.
        Objective::within(BOUND).since_undone()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let brokers = scene.brokers();
        let (most, first) = (majority(brokers.len()), scene.place(brokers.len()));
        let ids = spread(&scene.zoned(), most, scene.replicas(), first).unwrap_or_default();
        let lost: Vec<_> = brokers.iter().filter(|facts| ids.contains(&facts.id)).collect();
        let signs: Vec<_> = lost.iter().flat_map(|facts| Sign::host_lost(&facts.node)).collect();
        strike(&format!("lose the hosts of {}", names(&lost)), &signs);
        scene.lose_hosts(&lost, Unsynced::Lost).await?;
        Ok(names(&lost))
    }

    fn lasts(&self) -> Lasts {
        // Longer than a ZooKeeper session: what the others do about it is done by then.
        Lasts::For(Duration::from_secs(20))
    }

    fn caveat(&self, scene: &Scene) -> Option<&'static str> {
        Some(how_lost(scene))
    }
}
