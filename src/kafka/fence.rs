//! The crash fence: ends the ZooKeeper session of a broker whose process is certainly dead, so that the controller
//! elects new leaders at once instead of when the session expires, and the broker can register again.
//!
//! A session's end removes exactly its own znodes (`/brokers/ids/N`, and `/controller` where the broker was that) in
//! one transaction, and no other session's: a registration that the restarted broker has made meanwhile is of another
//! session. Deleting the znodes one by one could hit that one.

use crate::zookeeper::{Session, SessionError, SessionId};
use serde::Deserialize;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which broker, as it registers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The ensemble's servers, `host:port` each.
    pub zookeeper: Vec<String>,
    /// The `broker.id`.
    pub broker: i32,
    /// Its `advertised.listeners`, such as `PLAINTEXT://10.0.0.7:9092`. A registration with others is somebody else's.
    pub endpoints: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fenced {
    /// The dead broker's session is over.
    Ended(SessionId),
    /// The broker is not registered: it said goodbye, or its session was over already.
    NotRegistered,
    /// The session was over before it could be taken.
    OverAlready(SessionId),
    /// The broker has registered since it died: it runs again, and that session is left alone.
    RegisteredSince,
    /// The registration under this id is another broker's, and is left alone.
    Foreign {
        /// Its endpoints.
        endpoints: Vec<String>,
    },
}

/// Why the session may still be there.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// No server answered in time.
    #[error("ZooKeeper did not answer within {after:?}")]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// No server could be asked.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The registration is not of Kafka's form.
    #[error("{path} holds what no broker writes")]
    NotARegistration {
        /// The znode.
        path: String,
    },
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(session) => write!(f, "ended the dead broker's session {session}"),
            Self::NotRegistered => f.write_str("nothing to end: the broker is not registered"),
            Self::OverAlready(session) => write!(f, "the dead broker's session {session} was over already"),
            Self::RegisteredSince => f.write_str("left alone: the broker has registered since it died"),
            Self::Foreign { endpoints } => {
                write!(f, "left alone: the broker registered under this id is at {}", endpoints.join(", "))
            }
        }
    }
}

/// What a broker writes into its znode; there is more.
#[derive(Deserialize)]
struct Written {
    endpoints: Vec<String>,
    /// When it registered, by its own host's clock, in milliseconds; text, as Kafka has it.
    timestamp: String,
}

/// Ends the session of a broker that died at `died`, within `limit`. Idempotent.
///
/// The caller must know that the process is dead: a broker that lives would lose its leaderships and be told of it
/// only afterwards.
///
/// # Errors
/// Where ZooKeeper can't be asked. The session then expires by itself.
pub async fn fence(
    registration: &Registration,
    died: SystemTime,
    limit: Duration,
) -> Result<Fenced, FenceError> {
    let timed_out = |_| FenceError::TimedOut { after: limit };
    tokio::time::timeout(limit, unlimited(registration, died)).await.map_err(timed_out)?
}

async fn unlimited(registration: &Registration, died: SystemTime) -> Result<Fenced, FenceError> {
    let mut session = Session::open_any(&registration.zookeeper).await?;
    let fenced = end(&mut session, registration, died).await;
    // A session that isn't ended lives a few seconds more and holds nothing.
    let _ = session.close().await;
    fenced
}

async fn end(
    session: &mut Session,
    registration: &Registration,
    died: SystemTime,
) -> Result<Fenced, FenceError> {
    session.sync().await?;
    let path = format!("/brokers/ids/{}", registration.broker);
    let Some(znode) = session.read(&path).await? else { return Ok(Fenced::NotRegistered) };
    let written: Written = serde_json::from_slice(&znode.data)
        .map_err(|_| FenceError::NotARegistration { path: path.clone() })?;
    let at: u128 = written.timestamp.parse().map_err(|_| FenceError::NotARegistration { path })?;
    if let Some(left_alone) = not_ours(written.endpoints, at, registration, died) {
        return Ok(left_alone);
    }
    match session.attach(znode.owner).await? {
        None => Ok(Fenced::OverAlready(znode.owner)),
        Some(theirs) => {
            theirs.close().await?;
            Ok(Fenced::Ended(znode.owner))
        }
    }
}

/// Why a registration made at `at` (milliseconds of the same clock as `died`) must not be ended; `None` where it may.
fn not_ours(
    mut endpoints: Vec<String>,
    at: u128,
    registration: &Registration,
    died: SystemTime,
) -> Option<Fenced> {
    let mut ours = registration.endpoints.clone();
    ours.sort();
    endpoints.sort();
    if endpoints != ours {
        return Some(Fenced::Foreign { endpoints });
    }
    let died = died.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    (at > died).then_some(Fenced::RegisteredSince)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_brokers_own_registration_is_ended() {
        let ours = Registration {
            zookeeper: vec![],
            broker: 3,
            endpoints: vec!["PLAINTEXT://h:9092".into(), "INTERNAL://h:9093".into()],
        };
        let died = UNIX_EPOCH + Duration::from_millis(1000);
        let judged = |endpoints: &[&str], at| {
            not_ours(endpoints.iter().map(ToString::to_string).collect(), at, &ours, died)
        };
        assert_eq!(judged(&["INTERNAL://h:9093", "PLAINTEXT://h:9092"], 1000), None);
        assert_eq!(judged(&["INTERNAL://h:9093", "PLAINTEXT://h:9092"], 1001), Some(Fenced::RegisteredSince));
        assert!(matches!(judged(&["PLAINTEXT://h:9092"], 10), Some(Fenced::Foreign { .. })));
        assert!(matches!(judged(&["PLAINTEXT://other:9092"], 10), Some(Fenced::Foreign { .. })));
    }
}
