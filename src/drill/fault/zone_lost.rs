//! All hosts of a zone are lost at once, and come back.

use super::host_lost::how_lost;
use super::{BOUND, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::{Scene, Unsynced, names};
use crate::model::NodeFacts;
use crate::role::{Broker, Zookeeper};
use async_trait::async_trait;
use std::time::Duration;

/// Into how many zones the drill divides brokers and ZooKeeper servers where none are declared, one after the other: three
/// are what an ensemble of three can lose one of.
const ZONES: usize = 3;

/// The fault.
pub(super) struct ZoneLost;

#[async_trait]
impl Fault for ZoneLost {
    fn name(&self) -> &'static str {
        "zone-lost"
    }

    fn about(&self) -> &'static str {
        "all hosts of a zone, or of every third broker and ZooKeeper server where no zones are declared, are lost at once, \
         links first, and are back after 30 s"
    }

    fn refusal(&self, scene: &Scene) -> Option<String> {
        let (brokers, servers) = (scene.brokers().len(), scene.servers().len());
        if !scene.zones().is_empty() {
            return spared(scene).is_empty().then(|| {
                "without any one of the declared zones there is no broker, no majority of the ZooKeeper servers, or no \
                 replica of some partition left"
                    .to_owned()
            });
        }
        (brokers < ZONES || servers < ZONES).then(|| {
            format!(
                "three zones take 3 brokers and 3 ZooKeeper servers at least, and there are {brokers} and {servers}"
            )
        })
    }

    fn objective(&self, _: &Scene) -> Objective {
        // A partition with too few replicas outside of the zone can't take records until hosts are back.
        Objective::within(BOUND).since_undone()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let declared = spared(scene);
        let (zone, lost) = match declared.get(scene.place(declared.len())) {
            Some((zone, nodes)) => (format!("zone {zone}: "), nodes.clone()),
            None => {
                let zone = scene.place(ZONES);
                let brokers = scene.brokers().iter().skip(zone).step_by(ZONES);
                let servers = scene.servers().iter().skip(zone).step_by(ZONES);
                (String::new(), brokers.chain(servers).collect())
            }
        };
        let signs: Vec<_> = lost
            .iter()
            .flat_map(|facts| match facts.role.as_str() {
                Broker::NAME => Sign::host_lost(&facts.node).into_iter().collect(),
                _ => vec![Sign::Closed(facts.node.clone())],
            })
            .collect();
        strike(&format!("lose the hosts of {zone}{}", names(&lost)), &signs);
        scene.lose_hosts(&lost, Unsynced::Lost).await?;
        Ok(format!("{zone}{}", names(&lost)))
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

/// The declared zones that the others can be had without: they have brokers, a majority of the ensemble, and a replica of
/// each of the probe's partitions.
fn spared(scene: &Scene) -> Vec<(&str, Vec<&NodeFacts>)> {
    let members = |nodes: &[&NodeFacts], role: &str| nodes.iter().filter(|facts| facts.role == role).count();
    let (brokers, servers) = (scene.brokers().len(), scene.servers().len());
    let spared = |nodes: &[&NodeFacts]| {
        let lost = members(nodes, Broker::NAME);
        lost < brokers && members(nodes, Zookeeper::NAME) * 2 < servers && (lost == 0 || scene.replicas() > 1)
    };
    scene.zones().into_iter().filter(|(_, nodes)| spared(nodes)).collect()
}
