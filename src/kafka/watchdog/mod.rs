//! The watchdog: stops a broker that is cut off from the other brokers while it still reaches ZooKeeper. Kafka has no
//! bound for that: the broker keeps its session, so nobody may lead in its place, and after `replica.lag.time.max.ms`
//! it takes its followers out of the ISR, which nobody can undo without it.
//!
//! A watchdog that finds its broker cut off asks the others in ZooKeeper. Each of them that has just heard its own broker
//! vouches for it. A controller that can't be spared is left where it is, and has another broker become the controller: as
//! long as it is cut off it can elect nobody. What to do is decided by the pure functions of [`rounds`] and [`rule`];
//! [`look`] reads ZooKeeper, [`vouch`] asks and answers there. [`claim`](mod@claim) has a broker that is about to be
//! restarted vouch for nobody.

mod claim;
mod look;
mod rounds;
mod rule;
mod vouch;

pub use claim::{Claim, NotClaimed, claim};
pub use look::LookError;
pub(super) use look::{assigned_to, controller, look, partitions, registered, registered_ids};
pub use rounds::{Round, Streak, is_apart};
pub use rule::{Look, NotSpared, Partition, Voucher};

use crate::clock::since_boot;
use crate::zookeeper::{Session, SessionError};
use futures_util::future::join_all;
use look::Registered;
use rounds::LastReached;
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

/// A broker to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The ensemble's servers, `host:port` each.
    pub zookeeper: Vec<String>,
    /// The `broker.id`.
    pub broker: i32,
    /// The broker's own `min.insync.replicas`, for topics without one.
    pub min_insync: usize,
    /// Its `replica.lag.time.max.ms`: how long a follower that has not fetched stays in sync.
    pub replica_lag: Duration,
}

/// What ZooKeeper says at the beginning of a round.
#[derive(Debug)]
struct Seen {
    brokers: BTreeMap<i32, Registered>,
    /// The other brokers whose watchdogs ask for them to be stopped, and the transactions that asked.
    asked: BTreeMap<i32, i64>,
    /// This one is asked for: by a roll that is about to stop it, since its own watchdog has no time for this meanwhile.
    claimed: bool,
}

impl Watched {
    /// Waits while ZooKeeper answers and the broker would be apart, at most for `limit`. `tell` hears why.
    pub async fn hold(&self, limit: Duration, tell: impl Fn(fmt::Arguments<'_>)) {
        let (begun, mut session) = (Instant::now(), None);
        let mut told = false;
        while let Some((_, round)) = self.round(&mut session).await
            && round.is_apart()
            && begun.elapsed() < limit
        {
            if !told {
                let (reached, others) = (round.reached.len(), round.others.len());
                tell(format_args!("not started yet: {reached} of {others} other brokers answer"));
            }
            told = true;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Returns once the broker must be stopped, and why: at once then, since what was found out is true of that moment.
    /// Vouches for the broker meanwhile, where others ask. `tell` hears why it is left alone.
    pub async fn cut_off(&self, tell: impl Fn(fmt::Arguments<'_>)) -> String {
        let (mut streak, mut last_reached, mut session) = (Streak::default(), LastReached::default(), None);
        let mut rounds = tokio::time::interval(PERIOD);
        // Rounds that were missed for want of time are not made up for.
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            rounds.tick().await;
            let begun = since_boot();
            let seen = self.round(&mut session).await;
            let cut_off = streak.note(seen.as_ref().map(|(_, round)| round));
            let Some((seen, round)) = seen else { continue };
            last_reached.note(&round, begun);
            if !seen.asked.is_empty() && !seen.claimed && !round.is_apart() {
                self.answer(&mut session, &seen, &round).await;
            }
            if !cut_off {
                continue;
            }
            let (reached, others) = (round.reached.len(), round.others.len());
            match self.ask(&round, &last_reached).await {
                Ok(()) => {
                    return format!(
                        "cut off: {reached} of {others} other brokers answer, ZooKeeper does, and all who have a \
                         partition in sync with this broker have been heard; stopped it so that they lead"
                    );
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
    async fn round(&self, session: &mut Option<Session>) -> Option<(Seen, Round)> {
        let begun = Instant::now();
        let Ok(Ok(seen)) = timeout(ANSWER, self.seen(session)).await else {
            *session = None;
            return None;
        };
        let peers = seen.brokers.iter().filter(|(id, _)| **id != self.broker);
        let reached = join_all(peers.clone().map(|(_, broker)| is_there(broker.address.as_deref()))).await;
        // What this machine itself can't do says nothing of others.
        let reached: Vec<bool> = reached.into_iter().collect::<Option<_>>()?;
        let reached = peers.clone().zip(reached).filter(|(_, reached)| *reached).map(|((id, _), _)| *id);
        let (others, reached): (BTreeSet<_>, _) =
            (peers.clone().map(|(id, _)| *id).collect(), reached.collect());
        Some((seen, Round { others, reached, took: begun.elapsed() }))
    }

    async fn seen(&self, session: &mut Option<Session>) -> Result<Seen, SessionError> {
        if session.is_none() {
            *session = Some(Session::open_any(&self.zookeeper).await?);
        }
        let session = session.as_mut().expect("it was opened just above");
        let brokers = look::registered(session).await?;
        let mut asked = vouch::asked(session).await?;
        let claimed = asked.remove(&self.broker).is_some();
        Ok(Seen { brokers, asked, claimed })
    }
}

/// Whether a host answers; `None` where it could not be asked, as without a port or a name for it. One that refuses the
/// connection does answer: there is a way to it, and the broker is not there.
async fn is_there(address: Option<&str>) -> Option<bool> {
    match timeout(CONNECT, TcpStream::connect(address?)).await {
        Ok(Ok(_)) => Some(true),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Some(true),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
                Some(false)
            }
            _ => None,
        },
        Err(_) => Some(false),
    }
}
