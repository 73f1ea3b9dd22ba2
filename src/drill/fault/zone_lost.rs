//! All hosts of a zone are lost at once, and come back.

use super::host_lost::how_lost;
use super::{BOUND, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::{Scene, Unsynced, names};
use async_trait::async_trait;
use std::time::Duration;

/// Into how many zones the drill divides brokers and ZooKeeper servers, one after the other. Hosts can't be declared to
/// be in zones yet, each is one of its own; three are what an ensemble of three can lose one of.
const ZONES: usize = 3;

/// The fault.
pub(super) struct ZoneLost;

#[async_trait]
impl Fault for ZoneLost {
    fn name(&self) -> &'static str {
        "zone-lost"
    }

    fn about(&self) -> &'static str {
        "the hosts of every third broker and ZooKeeper server are lost at once, links first, and are back after 30 s"
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        let (brokers, servers) = (scene.brokers().len(), scene.servers().len());
        (brokers < ZONES || servers < ZONES).then(|| {
            format!(
                "three zones take 3 brokers and 3 ZooKeeper servers at least, and there are {brokers} and {servers}"
            )
        })
    }

    fn objective(&self, _: &Scene) -> Objective {
        // No topic is spread over such zones: a partition with two of three replicas in the lost one can't take records
        // until hosts are back.
        Objective::within(BOUND).since_undone()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let zone = scene.place(ZONES);
        let brokers = scene.brokers().iter().skip(zone).step_by(ZONES);
        let servers = scene.servers().iter().skip(zone).step_by(ZONES);
        let signs = brokers.clone().flat_map(|facts| Sign::host_lost(&facts.node));
        let closed = servers.clone().map(|facts| Sign::Closed(facts.node.clone()));
        let signs: Vec<_> = signs.chain(closed).collect();
        let lost: Vec<_> = brokers.chain(servers).collect();
        strike(&format!("lose the hosts of {}", names(&lost)), &signs);
        scene.lose_hosts(&lost, Unsynced::Lost).await?;
        Ok(names(&lost))
    }

    fn lasts(&self) -> Lasts {
        // Longer than a ZooKeeper session: what the others do about it is done by then.
        // Where ZooKeeper's leader was among them, the next one counts each session anew: 12 s more than it takes to be
        // chosen, and nobody would see the registrations end before that.
        Lasts::For(Duration::from_secs(30))
    }

    fn caveat(&self, scene: &Scene) -> Option<&'static str> {
        Some(how_lost(scene))
    }
}
