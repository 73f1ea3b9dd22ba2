//! How watchdogs ask each other, in ZooKeeper: `/octad-watchdog/asked-3` is broker 3's watchdog asking whether broker 3
//! may be stopped, `/octad-watchdog/vouched-5` what broker 5's watchdog answered last. Each goes with its watchdog's
//! session.

use super::look::{self, LookError};
use super::rounds::{LastReached, Round};
use super::rule::{ACT_WITHIN, Look, NotSpared, Voucher};
use super::{CONNECT, Seen, Watched};
use crate::clock::since_boot;
use crate::kafka::connection::Connection;
use crate::zookeeper::{Session, SessionError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// Where watchdogs write.
pub(super) const ROOT: &str = "/octad-watchdog";

/// How long others may take to answer: up to a second until they look, 0.9 s to see whom they reach, and as much until
/// they have heard their brokers where those are busy.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2_400);

/// How often it is looked whether all have answered.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why a broker that is cut off is left alone for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeftAlone {
    #[error(transparent)]
    NotSpared(NotSpared),
    #[error("{0}; had another broker chosen as controller in its place")]
    HandedOver(NotSpared),
    #[error(transparent)]
    Look(#[from] LookError),
    #[error("who else lives and what they have in sync could not be found out within {} s", ACT_WITHIN.as_secs())]
    TimedOut,
    #[error("it was asked for a moment ago")]
    AskedAlready,
}

impl From<SessionError> for LeftAlone {
    fn from(error: SessionError) -> Self {
        Self::Look(error.into())
    }
}

pub(super) fn ask_of(broker: i32) -> String {
    format!("{ROOT}/asked-{broker}")
}

fn voucher_of(broker: i32) -> String {
    format!("{ROOT}/vouched-{broker}")
}

/// The brokers that are asked for, and the transactions that asked.
pub(super) async fn asked(session: &mut Session) -> Result<BTreeMap<i32, i64>, SessionError> {
    let names = session.children(ROOT).await?;
    let ids: Vec<i32> = names.iter().filter_map(|name| name.strip_prefix("asked-")?.parse().ok()).collect();
    let paths: Vec<String> = ids.iter().map(|id| ask_of(*id)).collect();
    let found = session.read_all(&paths).await?;
    Ok(ids.into_iter().zip(found).filter_map(|(id, znode)| Some((id, znode?.created))).collect())
}

impl Watched {
    /// Vouches for the broker to all who ask, where it answers and is registered.
    pub(super) async fn answer(&self, session: &mut Option<Session>, seen: &Seen, round: &Round) {
        let Some(broker) = seen.brokers.get(&self.broker) else { return };
        let Some(address) = &broker.address else { return };
        if Connection::open(address, CONNECT, CONNECT).await.is_err() {
            return;
        }
        let registered = broker.created;
        let voucher = |asked: &i64| Voucher { asked: *asked, registered, reaches: round.reached.clone() };
        let vouchers: Vec<Voucher> = seen.asked.values().map(voucher).collect();
        let Some(open) = session else { return };
        // A watchdog that isn't heard is one that says nothing: who asked will ask again.
        if !matches!(timeout(CONNECT, write(open, self.broker, &vouchers)).await, Ok(Ok(()))) {
            *session = None;
        }
    }

    /// Asks all others whether the broker may be stopped, and looks. Returns where it may, and then only for now.
    pub(super) async fn ask(&self, round: &Round, last_reached: &LastReached) -> Result<(), LeftAlone> {
        let until = since_boot() + ACT_WITHIN;
        let kept = last_reached.kept(until, self.replica_lag);
        let look = async {
            let mut session = Session::open_any(&self.zookeeper).await?;
            let judged = self.judge(&mut session, round, kept).await;
            // What is asked goes with the session, at the latest when that ends by itself.
            if judged.is_err() {
                let _ = session.close().await;
            }
            judged
        };
        timeout(ACT_WITHIN, look).await.map_err(|_| LeftAlone::TimedOut)??;
        // The time limit above doesn't count what this machine was suspended for.
        if since_boot() < until { Ok(()) } else { Err(LeftAlone::TimedOut) }
    }

    async fn judge(
        &self,
        session: &mut Session,
        round: &Round,
        kept: BTreeSet<i32>,
    ) -> Result<(), LeftAlone> {
        session.create_lasting(ROOT).await?;
        let path = ask_of(self.broker);
        if !session.create(&path, &[]).await? {
            return Err(LeftAlone::AskedAlready);
        }
        let asked = session.read(&path).await?.ok_or(LeftAlone::TimedOut)?.created;
        let begun = since_boot();
        let mut vouchers = BTreeMap::new();
        while since_boot() < begun + ANSWERED_WITHIN
            && !round.others.iter().all(|id| vouchers.contains_key(id))
        {
            tokio::time::sleep(LOOK_AGAIN).await;
            vouchers = read(session, asked, &round.others).await?;
        }
        // From here on it is read what this server knows, and it knows all that was written before this.
        session.sync().await?;
        let vouchers = read(session, asked, &round.others).await?;
        let registered = look::registered(session).await?;
        let registered: BTreeMap<i32, i64> =
            registered.iter().map(|(id, broker)| (*id, broker.created)).collect();
        let controller = look::controller(session).await?;
        let partitions =
            look::partitions(session, self.broker, registered.keys().copied(), self.min_insync).await?;
        let (broker, reaches) = (self.broker, round.reached.clone());
        let look = Look { broker, reaches, kept, asked, registered, controller, vouchers, partitions };
        if let Err(why) = look.may_disrupt() {
            // It stays, and so would all elections wait for it.
            // Whoever has been chosen meanwhile stays.
            let hands_over = look.hands_over()
                && look::controller(session).await? == Some(self.broker)
                && session.delete("/controller").await?;
            return Err(if hands_over { LeftAlone::HandedOver(why) } else { LeftAlone::NotSpared(why) });
        }
        // Where this machine stood still for so long that its session is over, all of this was long ago.
        let still = session.read(&path).await?.is_some_and(|znode| znode.created == asked);
        if still { Ok(()) } else { Err(LeftAlone::TimedOut) }
    }
}

async fn write(session: &mut Session, broker: i32, vouchers: &[Voucher]) -> Result<(), SessionError> {
    let (path, data) = (voucher_of(broker), serde_json::to_vec(vouchers).expect("a voucher is JSON"));
    if !session.write(&path, &data).await? {
        session.create(&path, &data).await?;
    }
    Ok(())
}

/// What these brokers' watchdogs have answered to the transaction that asked.
async fn read(
    session: &mut Session,
    asked: i64,
    brokers: &BTreeSet<i32>,
) -> Result<BTreeMap<i32, Voucher>, SessionError> {
    let paths: Vec<String> = brokers.iter().map(|id| voucher_of(*id)).collect();
    let found = session.read_all(&paths).await?;
    let vouched = brokers.iter().zip(found).filter_map(|(id, znode)| {
        let vouchers: Vec<Voucher> = serde_json::from_slice(&znode?.data).ok()?;
        Some((*id, vouchers.into_iter().find(|voucher| voucher.asked == asked)?))
    });
    Ok(vouched.collect())
}
