//! Faults that are one deed at one node, each a line of a table.

use super::{AFTER_SESSION, Fault, INSTANT, Lasts, Objective, Sign, Strike, addresses, session, session_end};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::host::{Ability, Cut};
use crate::model::NodeFacts;
use crate::supervisor::Signal;
use async_trait::async_trait;
use std::time::Duration;

/// One of these faults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Single {
    name: &'static str,
    about: &'static str,
    target: Target,
    deed: Deed,
    limit: Limit,
}

/// To whom it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A broker that isn't the controller.
    Broker,
    Controller,
    ZookeeperFollower,
    ZookeeperLeader,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// It is told to end.
    Stop,
    /// Its process dies.
    Kill,
    /// Its process stands still for longer than a ZooKeeper session: the others go on without it, and it comes back as a
    /// leader of the past.
    Freeze,
    /// Its host is cut off from everybody, and goes on believing that it leads.
    CutOff,
    /// Its host is cut off from ZooKeeper, and everybody else still reaches it, for longer than a ZooKeeper session: others
    /// lead, and clients are told by one that doesn't know of it.
    CutOffZookeeper,
    /// Its host is heard and hears nobody.
    Deafen,
}

/// What it may cost.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// It says goodbye, or is fenced.
    Instant,
    /// Two elections, one after the other: of the controller, then of leaders.
    TwoElections,
    /// Only the end of its ZooKeeper session tells that it is gone.
    Session,
    /// It goes on telling ZooKeeper that it lives until it gives up for want of an answer, at two thirds of a session.
    LateSession,
}

pub(super) const BROKER_STOP: Single = Single {
    name: "broker-stop",
    about: "a broker is stopped in order (SIGTERM)",
    target: Target::Broker,
    deed: Deed::Stop,
    limit: Limit::Instant,
};

pub(super) const CONTROLLER_STOP: Single = Single {
    name: "controller-stop",
    about: "the controller is stopped in order (SIGTERM)",
    target: Target::Controller,
    deed: Deed::Stop,
    limit: Limit::Instant,
};

pub(super) const BROKER_CRASH: Single = Single {
    name: "broker-crash",
    about: "a broker's process is killed (SIGKILL)",
    target: Target::Broker,
    deed: Deed::Kill,
    limit: Limit::Instant,
};

pub(super) const CONTROLLER_CRASH: Single = Single {
    name: "controller-crash",
    about: "the controller's process is killed (SIGKILL)",
    target: Target::Controller,
    deed: Deed::Kill,
    limit: Limit::TwoElections,
};

pub(super) const ZOOKEEPER_FOLLOWER_CRASH: Single = Single {
    name: "zookeeper-follower-crash",
    about: "a ZooKeeper follower's process is killed (SIGKILL)",
    target: Target::ZookeeperFollower,
    deed: Deed::Kill,
    limit: Limit::Instant,
};

pub(super) const ZOOKEEPER_LEADER_CRASH: Single = Single {
    name: "zookeeper-leader-crash",
    about: "the ZooKeeper leader's process is killed (SIGKILL)",
    target: Target::ZookeeperLeader,
    deed: Deed::Kill,
    limit: Limit::Instant,
};

pub(super) const BROKER_FREEZE: Single = Single {
    name: "broker-freeze",
    about: "a broker's process stands still for 20 s (SIGSTOP, SIGCONT)",
    target: Target::Broker,
    deed: Deed::Freeze,
    limit: Limit::Session,
};

pub(super) const CUT_OFF: Single = Single {
    name: "cut-off",
    about: "a broker's host is cut off from all others and from clients",
    target: Target::Broker,
    deed: Deed::CutOff,
    limit: Limit::Session,
};

pub(super) const CUT_OFF_ZOOKEEPER: Single = Single {
    name: "cut-off-zookeeper",
    about: "a broker's host is cut off from ZooKeeper only, for 30 s",
    target: Target::Broker,
    deed: Deed::CutOffZookeeper,
    limit: Limit::Session,
};

pub(super) const CUT_OFF_ONE_WAY: Single = Single {
    name: "cut-off-one-way",
    about: "a broker's host can send and not receive",
    target: Target::Broker,
    deed: Deed::Deafen,
    limit: Limit::LateSession,
};

impl Target {
    async fn find(self, scene: &Scene) -> Result<&NodeFacts, DrillError> {
        match self {
            Self::Broker => scene.plain_broker(0).await,
            Self::Controller => scene.controller().await,
            Self::ZookeeperFollower => scene.zookeeper_follower(0).await,
            Self::ZookeeperLeader => scene.zookeeper_leader().await,
        }
    }

    /// What the others notice once its process is gone.
    fn gone(self, node: &str) -> Sign {
        match self {
            Self::Broker | Self::Controller => Sign::Unregistered(node.to_owned()),
            Self::ZookeeperFollower | Self::ZookeeperLeader => Sign::Closed(node.to_owned()),
        }
    }
}

#[async_trait]
impl Fault for Single {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn needs(&self) -> Option<Ability> {
        matches!(self.deed, Deed::CutOff | Deed::CutOffZookeeper | Deed::Deafen).then_some(Ability::Cut)
    }

    fn objective(&self, scene: &Scene) -> Objective {
        Objective::within(match self.limit {
            Limit::Instant => INSTANT,
            Limit::TwoElections => Duration::from_millis(800),
            Limit::Session => session_end(scene),
            Limit::LateSession => session(scene) * 5 / 3 + AFTER_SESSION,
        })
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let facts = self.target.find(scene).await?;
        let node = facts.node.clone();
        let gone = self.target.gone(&node);
        match self.deed {
            Deed::Stop => {
                strike(&format!("stop {node}"), &[gone]);
                scene.stop(facts).await?;
            }
            Deed::Kill => {
                strike(&format!("kill {node}"), &[gone]);
                scene.signal(facts, Signal::Kill).await?;
            }
            Deed::Freeze => {
                strike(&format!("freeze {node}"), &[Sign::Frozen(node.clone()), gone]);
                scene.signal(facts, Signal::Stop).await?;
            }
            Deed::CutOff => {
                strike(&format!("cut {node} off"), &Sign::host_lost(&node));
                scene.cut(facts, &Cut::off()).await?;
            }
            Deed::CutOffZookeeper => {
                strike(&format!("cut {node} off from ZooKeeper"), &[gone]);
                scene.cut(facts, &Cut::off_from(addresses(scene.servers()))).await?;
            }
            Deed::Deafen => {
                strike(&format!("make {node} deaf"), &Sign::host_lost(&node));
                scene.cut(facts, &Cut::deaf()).await?;
            }
        }
        Ok(node)
    }

    fn lasts(&self) -> Lasts {
        match self.deed {
            Deed::Freeze => Lasts::For(Duration::from_secs(20)),
            Deed::CutOffZookeeper => Lasts::For(Duration::from_secs(30)),
            Deed::Stop | Deed::Kill | Deed::CutOff | Deed::Deafen => Lasts::UntilServed,
        }
    }

    fn caveat(&self, _: &Scene) -> Option<&'static str> {
        (self.deed == Deed::Deafen).then_some(
            "a broker that is deaf can still have its followers taken out of the ISR. Others lead only where its session \
             ends before that: zookeeper.session.timeout.ms × 5/3 must be less than replica.lag.time.max.ms",
        )
    }
}
