//! A broker that is about to be restarted, as watchdogs are told of it.
//!
//! The invariant: nobody is stopped for being cut off on the word of a broker that a roll stops. Who claims a broker writes
//! what that broker's own watchdog would write to ask for it, and from then on it vouches for nobody. It may have vouched
//! before that; so a claim is refused while anybody is asked for. ZooKeeper has all of this in one order: a watchdog that
//! didn't see the claim when it saw a question saw that question before the claim was there, and so whoever claims sees it.
//!
//! A claim is worth nothing once its session may be over, which whoever holds it and stands still for a while doesn't see:
//! what is done on its word is begun before [`Claim::until`], or not at all. Nor does a server see it that is cut off from
//! its leader: it answers what it knew for as long as `syncLimit`, longer than the session lasts. Only the leader ends
//! sessions, and only who writes is answered by its word.

use super::PERIOD;
use super::look::LookError;
use super::vouch::{ROOT, ask_of, asked};
use crate::clock::Until;
use crate::zookeeper::{OWN_TIMEOUT, Session, SessionError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For how long a claim holds for certain after a word that the leader has answered. It hears of the sessions of other
/// servers every half tick, and a session of [`OWN_TIMEOUT`] is at least two ticks.
const CERTAIN: Duration = Duration::from_secs(OWN_TIMEOUT.as_secs() * 3 / 4);

/// Why a broker can't be claimed now.
#[derive(Debug, thiserror::Error)]
pub enum NotClaimed {
    /// Brokers are asked for, which then are cut off from most others; or somebody else has claimed this one.
    #[error("brokers {brokers:?} are asked for")]
    Asked {
        /// Which.
        brokers: BTreeSet<i32>,
    },
    /// ZooKeeper could not be asked.
    #[error(transparent)]
    Unknown(#[from] LookError),
}

/// Holds for as long as it is kept; whoever made it may vanish, and it ends 4 s later.
#[derive(Debug)]
pub struct Claim {
    kept: JoinHandle<()>,
    /// In milliseconds, as [`Until`] has them.
    until: Arc<AtomicU64>,
    release: oneshot::Sender<()>,
}

impl Claim {
    /// What holds until it is released or dropped, and drops `held` then: a claim in a simulated world.
    pub(crate) fn simulated(held: impl Send + 'static) -> Self {
        let (release, released) = oneshot::channel::<()>();
        let kept = tokio::spawn(async move {
            let _ = released.await;
            drop(held);
        });
        Self { kept, until: Arc::new(AtomicU64::new(u64::MAX)), release }
    }

    /// Whether it still holds, as far as is known: what a session holds goes with it.
    pub fn is_held(&self) -> bool {
        !self.kept.is_finished()
    }

    /// Until when it holds for certain, whatever becomes of this process: its session lasts so long after each word.
    pub fn until(&self) -> Until {
        Until::from_millis(self.until.load(Ordering::Relaxed))
    }

    /// Ends it, and returns once it has ended or could not be.
    pub async fn release(self) {
        drop(self.release);
        let _ = self.kept.await;
    }
}

/// Claims a broker, within `limit`.
///
/// # Errors
/// Where another one is asked for, or ZooKeeper can't be asked.
pub async fn claim(zookeeper: &[String], broker: i32, limit: Duration) -> Result<Claim, NotClaimed> {
    let begin = async {
        let mut session = Session::open_any(zookeeper).await.map_err(LookError::from)?;
        let until = Until::within(CERTAIN);
        let refused = match others_asked(&mut session, broker).await {
            Ok(brokers) if brokers.is_empty() => return Ok((session, until)),
            Ok(brokers) => NotClaimed::Asked { brokers },
            Err(error) => LookError::from(error).into(),
        };
        let _ = session.close().await;
        Err(refused)
    };
    let (session, until) =
        timeout(limit, begin).await.map_err(|_| LookError::TimedOut { after: limit })??;
    let (release, released) = oneshot::channel();
    let until = Arc::new(AtomicU64::new(until.millis()));
    let kept = tokio::spawn(keep(session, ask_of(broker), until.clone(), released));
    Ok(Claim { kept, until, release })
}

/// Writes that a broker is asked for, and tells who else is; itself, where it was already.
async fn others_asked(session: &mut Session, broker: i32) -> Result<BTreeSet<i32>, SessionError> {
    session.create_lasting(ROOT).await?;
    if !session.create(&ask_of(broker), &[]).await? {
        return Ok([broker].into());
    }
    Ok(asked(session).await?.into_keys().filter(|id| *id != broker).collect())
}

async fn keep(mut session: Session, path: String, held: Arc<AtomicU64>, mut released: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut released => break,
            () = tokio::time::sleep(PERIOD) => {
                let until = Until::within(CERTAIN);
                // A slow word is no lost claim: how long the last one counts for is known.
                if !matches!(timeout(CERTAIN, session.write(&path, &[])).await, Ok(Ok(true))) {
                    return;
                }
                held.store(until.millis(), Ordering::Relaxed);
            }
        }
    }
    let _ = session.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Buf as _, BufMut as _};
    use std::sync::atomic::AtomicBool;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// `create`, `setData` and `closeSession` go to the leader.
    const FOR_THE_LEADER: [i32; 3] = [1, 5, -11];

    /// A server of an ensemble, for one connection: what it is asked to read it answers by itself. Once it is cut off it has
    /// no answer of the leader's.
    async fn follow(mut stream: TcpStream, cut_off: Arc<AtomicBool>) -> std::io::Result<()> {
        for greeted in std::iter::once(false).chain(std::iter::repeat(true)) {
            let mut request = vec![0; stream.read_i32().await? as usize];
            stream.read_exact(&mut request).await?;
            let mut request = request.as_slice();
            let (xid, kind) = (request.get_i32(), request.get_i32());
            if greeted && FOR_THE_LEADER.contains(&kind) && cut_off.load(Ordering::Relaxed) {
                continue;
            }
            let mut answer = Vec::new();
            if greeted {
                answer.put_i32(xid);
                answer.put_bytes(0, 8 + 4);
                // No children, no data, a stat: whatever was asked for.
                answer.put_bytes(0, 4 + 4 * 8 + 3 * 4 + 8 + 2 * 4 + 8);
            } else {
                // Version, timeout, session.
                answer.put_i32(0);
                answer.put_i32(4_000);
                answer.put_i64(1);
            }
            stream.write_i32(answer.len() as i32).await?;
            stream.write_all(&answer).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_claim_is_not_kept_by_the_word_of_a_server_that_is_cut_off_from_its_leader() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = [listener.local_addr().unwrap().to_string()];
        let cut_off = Arc::new(AtomicBool::new(false));
        let follower = cut_off.clone();
        tokio::spawn(async move { follow(listener.accept().await.unwrap().0, follower).await });
        let claim = claim(&servers, 3, Duration::from_secs(3)).await.unwrap();
        let first = claim.until();
        while claim.until() == first {
            assert!(claim.is_held(), "the detector");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        cut_off.store(true, Ordering::Relaxed);
        // One word may have been under way.
        let (last, over) = (Until::within(OWN_TIMEOUT), Until::within(3 * OWN_TIMEOUT));
        while claim.is_held() {
            assert!(claim.until() < last, "it is said to hold when the leader has ended its session");
            assert!(!over.has_passed(), "it is kept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
