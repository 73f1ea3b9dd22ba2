//! What a ZooKeeper ensemble looks like at one moment, and whether it is whole: pure data, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One observation of an ensemble. Members are asked one by one, so it is not a single instant's truth:
/// during an election two may claim to lead, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnsembleView {
    /// What each member that was asked said, by server id.
    pub members: BTreeMap<i32, MemberView>,
}

/// What one member said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberView {
    /// It serves clients.
    Serving(Serving),
    /// It runs but is in no quorum: looking for a leader, or catching up with one.
    NotServing,
    /// It gave no answer, or none that makes sense.
    Unreachable {
        /// Why, with the whole chain of causes.
        why: String,
    },
}

/// A member that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Its part in the ensemble.
    pub mode: Mode,
    /// The last transaction it has: the epoch in the upper 32 bits, a counter in the lower.
    pub zxid: u64,
    /// Its version, such as `3.9.5`.
    pub version: String,
    /// Open client connections, the one that asked included.
    pub connections: u64,
    /// Requests received and not yet answered.
    pub outstanding: u64,
    /// How long requests took since it started.
    pub latency: Latency,
    /// Only of a leader: how many followers have caught up with it.
    pub synced_followers: Option<u32>,
}

/// A member's part in the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Orders all writes.
    Leader,
    /// Votes, and serves from its own copy.
    Follower,
    /// Serves from its own copy without a vote.
    Observer,
    /// The only member: there is no ensemble.
    Standalone,
    /// Cut off from the quorum, serving reads only.
    ReadOnly,
}

/// How long requests took. ZooKeeper reports milliseconds, the mean with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The shortest, in milliseconds.
    pub min_ms: u64,
    /// The mean, in microseconds.
    pub mean_us: u64,
    /// The longest, in milliseconds.
    pub max_ms: u64,
}

/// A whole ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healthy {
    /// All expected members serve, this one leads, and all followers are in sync with it.
    Ensemble {
        /// The leader's server id.
        leader: i32,
    },
    /// The one expected member serves alone.
    Standalone {
        /// Its server id.
        member: i32,
    },
}

/// Why an ensemble is not whole; the first reason found, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unhealthy {
    /// No member is expected: nothing to be healthy.
    #[error("no ZooKeeper member is expected")]
    NobodyExpected,
    /// A member was expected and not asked.
    #[error("ZooKeeper member {member} was not asked")]
    NotAsked {
        /// Its server id.
        member: i32,
    },
    /// A member gave no answer.
    #[error("ZooKeeper member {member} does not answer: {why}")]
    Unreachable {
        /// Its server id.
        member: i32,
        /// Why.
        why: String,
    },
    /// A member is in no quorum.
    #[error("ZooKeeper member {member} runs but is in no quorum")]
    NotServing {
        /// Its server id.
        member: i32,
    },
    /// A member plays a part it should not: standalone among several (its configuration lacks the others),
    /// part of an ensemble when expected alone, or read-only.
    #[error("ZooKeeper member {member} is {mode:?} in an ensemble of {expected}")]
    Misplaced {
        /// Its server id.
        member: i32,
        /// What it says it is.
        mode: Mode,
        /// How many members are expected.
        expected: usize,
    },
    /// All serve, none leads: an election was under way.
    #[error("no ZooKeeper member leads")]
    NoLeader,
    /// Several claim to lead: an election was under way, or there are two ensembles.
    #[error("several ZooKeeper members claim to lead: {members:?}")]
    SeveralLeaders {
        /// Their server ids.
        members: Vec<i32>,
    },
    /// Followers are behind, or the leader does not say.
    #[error("ZooKeeper leader {leader} has {} of {followers} followers in sync", synced.map_or("an unknown number".into(), |n| n.to_string()))]
    Unsynced {
        /// The leader's server id.
        leader: i32,
        /// How many are in sync; `None` when `mntr` did not say.
        synced: Option<u32>,
        /// How many follow.
        followers: u32,
    },
}

impl EnsembleView {
    /// Whether the ensemble of exactly these members is whole; observers among them must serve, and have no
    /// further part. Members that were asked but aren't expected are ignored.
    pub fn health(&self, expected: &BTreeSet<i32>) -> Result<Healthy, Unhealthy> {
        let (mut leaders, mut followers) = (vec![], 0);
        for &member in expected {
            let serving = match self.members.get(&member) {
                None => return Err(Unhealthy::NotAsked { member }),
                Some(MemberView::Unreachable { why }) => {
                    return Err(Unhealthy::Unreachable { member, why: why.clone() });
                }
                Some(MemberView::NotServing) => return Err(Unhealthy::NotServing { member }),
                Some(MemberView::Serving(serving)) => serving,
            };
            match (serving.mode, expected.len()) {
                (Mode::Standalone, 1) => return Ok(Healthy::Standalone { member }),
                (Mode::Leader, 2..) => leaders.push((member, serving.synced_followers)),
                (Mode::Follower, 2..) => followers += 1,
                (Mode::Observer, 2..) => {}
                (mode, expected) => return Err(Unhealthy::Misplaced { member, mode, expected }),
            }
        }
        match leaders[..] {
            [] if expected.is_empty() => Err(Unhealthy::NobodyExpected),
            [] => Err(Unhealthy::NoLeader),
            [(leader, synced)] if synced == Some(followers) => Ok(Healthy::Ensemble { leader }),
            [(leader, synced)] => Err(Unhealthy::Unsynced { leader, synced, followers }),
            _ => Err(Unhealthy::SeveralLeaders { members: leaders.iter().map(|(id, _)| *id).collect() }),
        }
    }

    /// The members that serve, observers too, with what they say.
    pub fn serving(&self) -> impl Iterator<Item = (i32, &Serving)> {
        self.members.iter().filter_map(|(id, member)| match member {
            MemberView::Serving(serving) => Some((*id, serving)),
            MemberView::NotServing | MemberView::Unreachable { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(mode: Mode, synced_followers: Option<u32>) -> MemberView {
        MemberView::Serving(Serving {
            mode,
            zxid: 1 << 32,
            version: "3.9.5".into(),
            connections: 1,
            outstanding: 0,
            latency: Latency::default(),
            synced_followers,
        })
    }

    fn health(members: Vec<MemberView>) -> Result<Healthy, Unhealthy> {
        let view = EnsembleView { members: (1..).zip(members).collect() };
        let expected = view.members.keys().copied().collect();
        view.health(&expected)
    }

    #[test]
    fn one_leader_and_synced_followers_are_whole() {
        let members = vec![
            serving(Mode::Follower, None),
            serving(Mode::Leader, Some(2)),
            serving(Mode::Follower, None),
        ];
        assert_eq!(health(members), Ok(Healthy::Ensemble { leader: 2 }));
    }

    #[test]
    fn a_single_standalone_is_whole() {
        assert_eq!(health(vec![serving(Mode::Standalone, None)]), Ok(Healthy::Standalone { member: 1 }));
    }

    #[test]
    fn observers_do_not_count_as_followers() {
        let members = vec![
            serving(Mode::Leader, Some(1)),
            serving(Mode::Follower, None),
            serving(Mode::Observer, None),
        ];
        assert_eq!(health(members), Ok(Healthy::Ensemble { leader: 1 }));
    }

    #[test]
    fn each_lack_has_its_reason() {
        let leader = || serving(Mode::Leader, Some(1));
        let follower = || serving(Mode::Follower, None);
        let gone = MemberView::Unreachable { why: "refused".into() };
        assert_eq!(health(vec![]), Err(Unhealthy::NobodyExpected));
        assert_eq!(
            health(vec![leader(), gone]),
            Err(Unhealthy::Unreachable { member: 2, why: "refused".into() })
        );
        assert_eq!(health(vec![leader(), MemberView::NotServing]), Err(Unhealthy::NotServing { member: 2 }));
        assert_eq!(health(vec![follower(), follower()]), Err(Unhealthy::NoLeader));
        assert_eq!(health(vec![leader(), leader()]), Err(Unhealthy::SeveralLeaders { members: vec![1, 2] }));
        assert_eq!(
            health(vec![leader(), follower(), follower()]),
            Err(Unhealthy::Unsynced { leader: 1, synced: Some(1), followers: 2 })
        );
        assert_eq!(
            health(vec![leader(), serving(Mode::Standalone, None)]),
            Err(Unhealthy::Misplaced { member: 2, mode: Mode::Standalone, expected: 2 })
        );
        assert_eq!(
            health(vec![leader()]),
            Err(Unhealthy::Misplaced { member: 1, mode: Mode::Leader, expected: 1 })
        );
    }

    #[test]
    fn a_member_that_was_not_asked_is_not_whole() {
        let view = EnsembleView::default();
        assert_eq!(view.health(&BTreeSet::from([7])), Err(Unhealthy::NotAsked { member: 7 }));
    }

    #[test]
    fn a_leader_that_does_not_tell_its_followers_is_not_trusted() {
        let error = health(vec![serving(Mode::Leader, None), serving(Mode::Follower, None)]).unwrap_err();
        assert_eq!(error.to_string(), "ZooKeeper leader 1 has an unknown number of 1 followers in sync");
    }
}
