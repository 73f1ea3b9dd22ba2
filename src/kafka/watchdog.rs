//! The watchdog: stops a broker that is cut off from the other brokers while it still reaches ZooKeeper. Kafka has no
//! bound for that: the broker keeps its session, so nobody may lead in its place, and after `replica.lag.time.max.ms`
//! it takes its followers out of the ISR, which nobody can undo without it.
//!
//! What to do is decided by pure functions ([`Streak`], [`is_apart`], [`spared`]); the rest looks and acts.

use crate::zookeeper::{Session, SessionError};
use futures_util::future::join_all;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// From one round to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// How long another broker's host may take to answer. The kernel does, however busy the broker is; and the first round
/// in which a packet was merely lost is over before it is sent again, after 1 s.
const CONNECT: Duration = Duration::from_millis(900);

/// How long ZooKeeper may take to answer all that a round asks.
const ANSWER: Duration = Duration::from_secs(1);

/// A round that took longer tells of a machine that has no time for the watchdog, and of nothing else.
const ON_TIME: Duration = Duration::from_millis(1_300);

/// After so many rounds in a row a broker is taken for cut off. With this, it is stopped within 6 s of the cut: before
/// the ISR can shrink (22 s, [`replica.lag.time.max.ms`](crate::role::Broker::default_settings)), with some to spare for
/// reading it. Fewer would take a switch that restarts for a cut.
const ROUNDS: u32 = 4;

/// How long the look at the partitions may take; 2,000 of them take less than a second.
const LOOK: Duration = Duration::from_secs(3);

/// The znode whose owner is about to stop. It goes some seconds after its owner has, and with it the right to look
/// whether another broker can be spared as well.
const TURN: &str = "/octad-watchdog";

/// A broker to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The ensemble's servers, `host:port` each.
    pub zookeeper: Vec<String>,
    /// The `broker.id`.
    pub broker: i32,
    /// The broker's own `min.insync.replicas`, for topics without one.
    pub min_insync: usize,
}

/// What one round saw, where ZooKeeper answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// How many other brokers are registered.
    pub others: usize,
    /// How many of their hosts answered.
    pub reached: usize,
    /// How long it took.
    pub took: Duration,
}

/// Whether a broker is on the smaller side: it reaches so few of the others that more than half of all brokers, itself
/// among them, are beyond its reach. Of two sides at most one is.
pub fn is_apart(others: usize, reached: usize) -> bool {
    2 * (reached + 1) < others + 1
}

/// The rounds so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streak(u32);

impl Streak {
    /// Takes note of a round; `None` where ZooKeeper did not answer: then the broker's session will end as well, which
    /// Kafka knows how to deal with. Returns whether the broker has been apart for long enough.
    pub fn note(&mut self, round: Option<Round>) -> bool {
        let apart = round.is_some_and(|round| round.took <= ON_TIME && is_apart(round.others, round.reached));
        self.0 = if apart { self.0 + 1 } else { 0 };
        self.0 >= ROUNDS
    }
}

/// A partition that the broker leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its replicas in sync.
    pub isr: Vec<i32>,
    /// How many must have a record.
    pub min_insync: usize,
}

/// A partition that can't do without the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}-{} would have {left} of {} replicas in sync", led.topic, led.partition, led.min_insync)]
pub struct NotSpared {
    /// The partition.
    pub led: Led,
    /// The replicas in sync that are left without the broker, and registered.
    pub left: usize,
}

/// Whether all partitions that `broker` leads keep `min.insync.replicas` without it.
///
/// # Errors
/// The first that doesn't.
pub fn spared(broker: i32, registered: &BTreeSet<i32>, led: &[Led]) -> Result<(), NotSpared> {
    for led in led {
        let left = led.isr.iter().filter(|id| **id != broker && registered.contains(id)).count();
        if left < led.min_insync {
            return Err(NotSpared { led: led.clone(), left });
        }
    }
    Ok(())
}

/// Why a broker that is cut off is left alone for now.
#[derive(Debug, thiserror::Error)]
enum LeftAlone {
    #[error(transparent)]
    NotSpared(#[from] NotSpared),
    #[error("another broker is being stopped")]
    NotItsTurn,
    #[error("the partitions could not be looked at within {} s", LOOK.as_secs())]
    TimedOut,
    #[error("ZooKeeper could not be asked")]
    Session(#[from] SessionError),
}

/// What a broker writes into its znode; there is more.
#[derive(Deserialize)]
struct Registered {
    endpoints: Vec<String>,
}

/// What the controller writes of a topic; there is more.
#[derive(Deserialize)]
struct Assigned {
    partitions: BTreeMap<i32, Vec<i32>>,
}

/// What the controller and the leader write of a partition; there is more.
#[derive(Deserialize)]
struct State {
    leader: i32,
    isr: Vec<i32>,
}

/// What is set for a topic, or for all brokers.
#[derive(Deserialize)]
struct Configured {
    config: BTreeMap<String, String>,
}

impl Watched {
    /// Waits while ZooKeeper answers and the broker would be apart, at most for `limit`. `tell` hears why.
    pub async fn hold(&self, limit: Duration, tell: impl Fn(fmt::Arguments<'_>)) {
        let (begun, mut session) = (Instant::now(), None);
        let mut told = false;
        while let Some(Round { others, reached, .. }) = self.round(&mut session).await
            && is_apart(others, reached)
            && begun.elapsed() < limit
        {
            if !told {
                tell(format_args!("not started yet: {reached} of {others} other brokers answer"));
            }
            told = true;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Returns once the broker must be stopped; by then no other watchdog stops one.
    pub async fn cut_off(&self, tell: impl Fn(fmt::Arguments<'_>)) {
        let (mut streak, mut session) = (Streak::default(), None);
        let mut rounds = tokio::time::interval(PERIOD);
        // Rounds that were missed for want of time are not made up for.
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            rounds.tick().await;
            let round = self.round(&mut session).await;
            if !streak.note(round) {
                continue;
            }
            let Round { others, reached, .. } =
                round.expect("a streak ends with a round in which ZooKeeper answered");
            match self.take_turn().await {
                Ok(()) => {
                    return tell(format_args!(
                        "cut off: {reached} of {others} other brokers answer, ZooKeeper does, and each partition led \
                         here has enough replicas in sync elsewhere; stopping this broker so that they lead"
                    ));
                }
                Err(why) => {
                    let why = crate::causes::with_causes(&why);
                    if why != told {
                        tell(format_args!(
                            "cut off: {reached} of {others} other brokers answer; not stopped: {why}"
                        ));
                    }
                    told = why;
                }
            }
        }
    }

    /// One round, in a session that goes on as long as it holds.
    async fn round(&self, session: &mut Option<Session>) -> Option<Round> {
        let begun = Instant::now();
        let peers = timeout(ANSWER, self.peers(session)).await;
        let Ok(Ok(peers)) = peers else {
            *session = None;
            return None;
        };
        let reached = join_all(peers.iter().map(|peer| is_there(peer))).await;
        let reached = reached.into_iter().filter(|reached| *reached).count();
        Some(Round { others: peers.len(), reached, took: begun.elapsed() })
    }

    /// The addresses of the other brokers that are registered.
    async fn peers(&self, session: &mut Option<Session>) -> Result<Vec<String>, SessionError> {
        if session.is_none() {
            *session = Some(Session::open_any(&self.zookeeper).await?);
        }
        let session = session.as_mut().expect("it was opened just above");
        let mut peers = Vec::new();
        for id in ids(session).await?.into_iter().filter(|id| *id != self.broker) {
            let written: Option<Registered> = session.read_json(&format!("/brokers/ids/{id}")).await?;
            let endpoint = written.and_then(|written| written.endpoints.into_iter().next());
            peers.extend(endpoint.and_then(|endpoint| Some(endpoint.split_once("://")?.1.to_owned())));
        }
        Ok(peers)
    }

    /// Makes sure that the broker can be spared, and that no other is stopped at the same time on the same grounds.
    async fn take_turn(&self) -> Result<(), LeftAlone> {
        let look = async {
            let mut session = Session::open_any(&self.zookeeper).await?;
            let judged = self.judge(&mut session).await;
            if judged.is_err() {
                // Somebody else's turn. Where the right to it outlives this process, it ends by itself.
                let _ = session.close().await;
            }
            judged
        };
        timeout(LOOK, look).await.map_err(|_| LeftAlone::TimedOut)?
    }

    async fn judge(&self, session: &mut Session) -> Result<(), LeftAlone> {
        if !session.create(TURN, self.broker.to_string().as_bytes()).await? {
            return Err(LeftAlone::NotItsTurn);
        }
        session.sync().await?;
        let registered = ids(session).await?.into_iter().collect();
        Ok(spared(self.broker, &registered, &self.led(session).await?)?)
    }

    /// The partitions that the broker leads.
    async fn led(&self, session: &mut Session) -> Result<Vec<Led>, SessionError> {
        let by_default = min_insync(session, "/config/brokers/<default>").await?.unwrap_or(self.min_insync);
        let mut led = Vec::new();
        for topic in session.children("/brokers/topics").await? {
            let assigned: Option<Assigned> = session.read_json(&format!("/brokers/topics/{topic}")).await?;
            let partitions = assigned.map(|assigned| assigned.partitions).unwrap_or_default();
            let here = partitions.iter().filter(|(_, replicas)| replicas.contains(&self.broker));
            let mut own = None;
            for partition in here.map(|(partition, _)| *partition) {
                let path = format!("/brokers/topics/{topic}/partitions/{partition}/state");
                let Some(State { leader, isr }) = session.read_json(&path).await? else { continue };
                if leader != self.broker {
                    continue;
                }
                if own.is_none() {
                    own = Some(min_insync(session, &format!("/config/topics/{topic}")).await?);
                }
                let min_insync = own.flatten().unwrap_or(by_default);
                led.push(Led { topic: topic.clone(), partition, isr, min_insync });
            }
        }
        Ok(led)
    }
}

async fn ids(session: &mut Session) -> Result<Vec<i32>, SessionError> {
    let names = session.children("/brokers/ids").await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

async fn min_insync(session: &mut Session, path: &str) -> Result<Option<usize>, SessionError> {
    let configured: Option<Configured> = session.read_json(path).await?;
    Ok(configured.and_then(|configured| configured.config.get("min.insync.replicas")?.parse().ok()))
}

/// Whether a host answers. One that refuses the connection does: there is a way to it, and the broker is not there.
async fn is_there(address: &str) -> bool {
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FAR: Round = Round { others: 4, reached: 1, took: Duration::from_millis(910) };

    #[test]
    fn a_broker_is_cut_off_after_four_rounds_in_a_row_on_the_smaller_side() {
        let mut streak = Streak::default();
        let mut note = |round| streak.note(round);
        assert!((1..ROUNDS).all(|_| !note(Some(FAR))) && note(Some(FAR)), "the detector");
        for broken_by in [
            None,
            Some(Round { reached: 2, ..FAR }),
            Some(Round { took: ON_TIME + Duration::from_millis(1), ..FAR }),
        ] {
            assert!(!note(broken_by) && !note(Some(FAR)), "{broken_by:?}");
        }
    }

    #[test]
    fn a_partition_needs_its_leader_where_too_few_others_are_in_sync_and_registered() {
        let led = |isr: &[i32]| Led { topic: "t".into(), partition: 0, isr: isr.to_vec(), min_insync: 2 };
        let registered = [1, 2, 3].into();
        assert_eq!(spared(1, &registered, &[led(&[1, 2, 3])]), Ok(()));
        assert_eq!(spared(1, &registered, &[]), Ok(()));
        for isr in [&[1, 2][..], &[1], &[1, 2, 4]] {
            let refused = spared(1, &registered, &[led(&[1, 2, 3]), led(isr)]);
            assert_eq!(refused.map_err(|refused| refused.led.isr), Err(isr.to_vec()));
        }
    }

    fn rounds() -> impl Strategy<Value = Vec<Option<Round>>> {
        let round = (0_usize..8, 0_usize..8, 0_u64..3_000).prop_map(|(others, reached, took)| Round {
            others,
            reached: reached.min(others),
            took: Duration::from_millis(took),
        });
        proptest::collection::vec(proptest::option::weighted(0.9, round), 0..40)
    }

    proptest! {
        #[test]
        fn only_rounds_in_time_and_in_a_row_say_that_a_broker_is_cut_off(rounds in rounds()) {
            let mut streak = Streak::default();
            for (place, round) in rounds.iter().enumerate() {
                let cut_off = streak.note(*round);
                let last = rounds[..=place].iter().rev().take(ROUNDS as usize);
                let all = last.flatten().filter(|round| {
                    round.took <= ON_TIME && round.reached + 1 < round.others - round.reached
                });
                prop_assert_eq!(cut_off, all.count() == ROUNDS as usize);
            }
        }

        #[test]
        fn of_brokers_split_into_sides_no_side_of_half_or_more_is_apart(one in 1_usize..20, other in 1_usize..20) {
            let apart = |own: usize| is_apart(one + other - 1, own - 1);
            prop_assert_eq!(apart(one), one < other);
            prop_assert!(!(apart(one) && apart(other)));
        }
    }
}
