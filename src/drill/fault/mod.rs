//! Faults: one file each, or a line of the table in `single`. A fault says what it does to the stack and how long it lasts; that it is undone, whatever
//! happens meanwhile, is the drill's and the scene's business.

mod cluster_killed;
mod controller_cut_off_peers;
mod controller_not_spared;
mod cut_off_peers;
mod describe_slow;
mod disk_full;
mod external;
mod frozen_during_roll;
mod host_lost;
mod majority_lost;
mod quorum_lost;
mod roll;
mod roll_killed;
mod single;
mod two_brokers;
mod zone_lost;

pub use external::NAME as EXTERNAL;

use super::error::DrillError;
use super::scene::{Scene, addresses};
use super::sign::Sign;
use crate::host::Ability;
use async_trait::async_trait;
use std::time::Duration;

/// Something that goes wrong.
#[async_trait]
pub trait Fault: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What happens, for people.
    fn about(&self) -> &'static str;

    /// What it wants of the hosts beyond running nodes.
    fn needs(&self) -> Option<Ability> {
        None
    }

    /// Why it can't be had on this stack, with what is missing; `None` where it can.
    fn refusal(&self, scene: &Scene) -> Option<String> {
        self.needs().and_then(|ability| scene.lacks(ability))
    }

    /// What is allowed, unless the user says otherwise. Figures are for a machine that has little else to do.
    fn objective(&self, scene: &Scene) -> Objective;

    /// Does it, and says to whom. Returns as soon as it is done; what must happen before, such as finding out who
    /// leads, is done first, and `strike` is called at the very moment, with what others must notice of it: a fault of
    /// which they don't is inconclusive.
    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError>;

    /// How long it lasts before it is undone.
    fn lasts(&self) -> Lasts {
        Lasts::UntilServed
    }

    /// What a reader of the result should know.
    fn caveat(&self, scene: &Scene) -> Option<&'static str> {
        let _ = scene;
        None
    }

    /// Waits for what else ends it; the scene is restored after that.
    async fn heal(&self, scene: &Scene) -> Result<(), DrillError> {
        let _ = scene;
        Ok(())
    }
}

/// Called at the very moment at which something goes wrong, with a few words for the timeline, and with each sign that
/// somebody else must see of it before it is undone.
pub type Strike<'a> = dyn Fn(&str, &[Sign]) + Send + Sync + 'a;

/// What a fault may cost, beside what no fault may: a lost record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// The longest time in which a partition may take no record.
    pub interruption: Duration,
    /// From when on that counts.
    pub since: Since,
    /// Whether no partition may be seen under its `min.insync.replicas`: what Octad itself does mustn't take it there.
    pub keeps_min_isr: bool,
}

/// From when on an interruption counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// The fault.
    Fault,
    /// The fault's end: what it takes away can't be done without while it lasts.
    Undone,
}

impl Objective {
    /// So long at most since the fault.
    pub fn within(interruption: Duration) -> Self {
        Self { interruption, since: Since::Fault, keeps_min_isr: false }
    }

    /// The same, counted since the fault is undone.
    #[must_use]
    pub fn since_undone(self) -> Self {
        Self { since: Since::Undone, ..self }
    }

    /// The same, with no partition under its `min.insync.replicas`.
    #[must_use]
    pub fn keeping_min_isr(self) -> Self {
        Self { keeps_min_isr: true, ..self }
    }
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Until every partition takes records again, so that what clients saw is the fault's doing and not its end's.
    UntilServed,
    /// So long.
    For(Duration),
    /// It is over once [`Fault::inject`] and [`Fault::heal`] have returned.
    Itself,
}

/// The objective where the user's own, 60 s, is all that can be asked for.
const BOUND: Duration = Duration::from_secs(60);

/// The objective of faults in which a process dies and says goodbye, or is fenced.
const INSTANT: Duration = Duration::from_millis(300);

/// What is added to the ZooKeeper session's length where only its end tells that a broker is gone: for the election and
/// the clients' way to the new leader.
const AFTER_SESSION: Duration = Duration::from_secs(2);

/// The longest a broker can be silent until others lead: its ZooKeeper session, and [`AFTER_SESSION`].
fn session_end(scene: &Scene) -> Duration {
    session(scene) + AFTER_SESSION
}

/// The brokers' ZooKeeper session.
fn session(scene: &Scene) -> Duration {
    let session = scene.broker_setting("zookeeper.session.timeout.ms").and_then(|text| text.parse().ok());
    // Kafka's own default.
    Duration::from_millis(session.unwrap_or(18_000))
}

/// All faults, mildest first.
pub fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(single::BROKER_STOP),
        Box::new(single::CONTROLLER_STOP),
        Box::new(single::BROKER_CRASH),
        Box::new(single::CONTROLLER_CRASH),
        Box::new(single::ZOOKEEPER_FOLLOWER_CRASH),
        Box::new(single::ZOOKEEPER_LEADER_CRASH),
        Box::new(single::BROKER_FREEZE),
        Box::new(host_lost::HostLost),
        Box::new(two_brokers::TwoBrokers),
        Box::new(zone_lost::ZoneLost),
        Box::new(majority_lost::MajorityLost),
        Box::new(quorum_lost::QuorumLost),
        Box::new(cluster_killed::ClusterKilled),
        Box::new(roll::BrokerRoll),
        Box::new(roll_killed::RollKilled),
        Box::new(describe_slow::DescribeSlow),
        Box::new(frozen_during_roll::FrozenDuringRoll),
        Box::new(disk_full::DiskFull),
        Box::new(single::CUT_OFF),
        Box::new(single::CUT_OFF_ZOOKEEPER),
        Box::new(single::CUT_OFF_ONE_WAY),
        Box::new(cut_off_peers::CutOffPeers),
        Box::new(controller_cut_off_peers::ControllerCutOffPeers),
        Box::new(controller_not_spared::ControllerNotSpared::default()),
    ]
}

/// The fault of this name, where it is one of [`all`], or `external`.
///
/// # Errors
/// [`DrillError::UnknownFault`].
pub fn named(name: &str) -> Result<Box<dyn Fault>, DrillError> {
    if name == external::NAME {
        return Ok(Box::new(external::External::default()));
    }
    let found = all().into_iter().find(|fault| fault.name() == name);
    found.ok_or_else(|| DrillError::UnknownFault {
        name: name.to_owned(),
        known: all().iter().map(|fault| fault.name()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.iter().all(|name| named(name).is_ok_and(|fault| fault.name() == *name)));
        assert!(matches!(named("nonsense"), Err(DrillError::UnknownFault { .. })));
    }
}
