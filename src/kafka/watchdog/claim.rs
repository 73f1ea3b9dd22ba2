//! A broker that is about to be restarted, as watchdogs are told of it.
//!
//! The invariant: nobody is stopped for being cut off on the word of a broker that a roll stops. Who claims a broker writes
//! what that broker's own watchdog would write to ask for it, and from then on it vouches for nobody. It may have vouched
//! before that; so a claim is refused while anybody is asked for. ZooKeeper has all of this in one order: a watchdog that
//! didn't see the claim when it saw a question saw that question before the claim was there, and so whoever claims sees it.
//!
//! A claim is worth nothing once its session may be over, which whoever holds it and stands still for a while doesn't see:
//! what is done on its word is begun before [`Claim::until`], or not at all.

use super::look::LookError;
use super::vouch::{ROOT, ask_of, asked};
use super::{ANSWER, PERIOD};
use crate::clock::Until;
use crate::zookeeper::{OWN_TIMEOUT, Session, SessionError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

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
        let until = Until::within(OWN_TIMEOUT);
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
                let until = Until::within(OWN_TIMEOUT);
                if !matches!(timeout(ANSWER, session.read(&path)).await, Ok(Ok(Some(_)))) {
                    return;
                }
                held.store(until.millis(), Ordering::Relaxed);
            }
        }
    }
    let _ = session.close().await;
}
