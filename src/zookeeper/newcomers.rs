//! Whether a server may trust its empty disk. A server that trusts it votes as one that has all that was ever
//! acknowledged, so it may only where there is nothing that it could lack: where each other server says of itself that its
//! disk is as new. That none of them serves, or that one could not be asked, says nothing.
//!
//! They ask each other in front of their first start, each at the address where ZooKeeper will serve clients, and begin
//! once a majority of them knows: those that are left then find an ensemble that serves, and have all from it.

use super::four_letter::{NOT_SERVING, parse_srvr, query};
use crate::causes::with_causes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What a server says that has nothing and waits for the word of the others.
const NEW: &str = "octad: new";

/// What one says that has the word of all of them.
const BEGINS: &str = "octad: begins";

/// How long one of the others may take for an answer, and a stranger for a question.
const ANSWER: Duration = Duration::from_secs(2);

/// How often they are asked.
const PAUSE: Duration = Duration::from_millis(250);

/// What became of a server on an empty disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// All are new, and it begins with them.
    Begins,
    /// Others serve, and have all that it lacks.
    Joins,
}

/// Why a server on an empty disk isn't started yet.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// It isn't known of all others that they are new.
    #[error("{} is not known to be as new: {}", .others.keys().cloned().collect::<Vec<_>>().join(", "), first(.others))]
    Waits {
        /// Those others, each with what it said or why it could not be asked.
        others: BTreeMap<String, String>,
    },
    /// It has the word of all, and too few of them are there to begin with.
    #[error("too few of the others are there to begin with")]
    Alone,
    /// The others can't ask it.
    #[error("it can't be asked at {address}")]
    Listen {
        /// Where it is to serve clients.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// That it may trust its disk can't be noted on it.
    #[error("its disk can't be written")]
    Note(#[source] io::Error),
}

fn first(others: &BTreeMap<String, String>) -> &str {
    others.values().next().map(String::as_str).unwrap_or_default()
}

/// What another server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Says {
    /// Its disk is new.
    New,
    /// It has the word of all.
    Begins,
    /// It runs, and is in no quorum.
    Waits,
    /// It is of an ensemble that serves.
    Serves,
    /// It could not be asked, or made sense of.
    Unknown(String),
}

/// Whether nobody can have anything: each of the others said that it is new.
fn all_new(others: &[String], new: &BTreeSet<String>) -> bool {
    others.iter().all(|other| new.contains(other))
}

/// Waits until it is known whether the server at `own` may trust its empty disk, for at most `limit`. `begins`: it has had
/// the word of all before. `trust` notes that it has, durably; what it noted must be found again after any end.
///
/// # Errors
/// Where that isn't known in time. Nothing is changed then, so that it can be asked for again.
pub async fn admit(
    own: &str,
    others: &[String],
    begins: bool,
    trust: impl FnOnce() -> io::Result<()>,
    limit: Duration,
) -> Result<Admitted, NotAdmitted> {
    let listen = |source| NotAdmitted::Listen { address: own.to_owned(), source };
    let listener = TcpListener::bind(own).await.map_err(listen)?;
    let known = Arc::new(AtomicBool::new(begins));
    let mut answers = JoinSet::new();
    answers.spawn(answer(listener, known.clone()));
    let admitted = settle(others, &known, trust, limit).await;
    // ZooKeeper listens there next.
    answers.shutdown().await;
    admitted
}

/// Asks the others until it is known, and answers them by `known`.
async fn settle(
    others: &[String],
    known: &AtomicBool,
    trust: impl FnOnce() -> io::Result<()>,
    limit: Duration,
) -> Result<Admitted, NotAdmitted> {
    let servers = others.len() + 1;
    let needed = servers / 2 + 1;
    let deadline = Instant::now() + limit;
    let mut new: BTreeSet<String> = BTreeSet::new();
    let mut trust = Some(trust);
    loop {
        let said = ask(others).await;
        let begins = known.load(Ordering::Relaxed);
        if !begins && said.values().any(|says| *says == Says::Serves) {
            return Ok(Admitted::Joins);
        }
        let is_new = |says: &Says| matches!(says, Says::New | Says::Begins);
        new.extend(said.iter().filter(|(_, says)| is_new(says)).map(|(other, _)| other.clone()));
        if !begins
            && all_new(others, &new)
            && let Some(trust) = trust.take()
        {
            trust().map_err(NotAdmitted::Note)?;
            known.store(true, Ordering::Relaxed);
        }
        let begins = known.load(Ordering::Relaxed);
        // One that runs by now has gone ahead.
        let knows = |says: &&Says| matches!(says, Says::Begins | Says::Waits | Says::Serves);
        if begins && 1 + said.values().filter(knows).count() >= needed {
            return Ok(Admitted::Begins);
        }
        if Instant::now() >= deadline {
            return Err(if begins {
                NotAdmitted::Alone
            } else {
                let open = said.into_iter().filter(|(other, _)| !new.contains(other));
                NotAdmitted::Waits { others: open.map(|(other, says)| (other, told(says))).collect() }
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says of this server what is known, to whoever asks, for as long as it is waited for.
async fn answer(listener: TcpListener, known: Arc<AtomicBool>) {
    let mut asked = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let says = if known.load(Ordering::Relaxed) { BEGINS } else { NEW };
        asked.spawn(timeout(ANSWER, tell(stream, says)));
        while asked.try_join_next().is_some() {}
    }
}

async fn tell(mut stream: TcpStream, says: &'static str) -> io::Result<()> {
    // What was asked is read, so that the answer isn't lost with it.
    stream.read_exact(&mut [0; 4]).await?;
    stream.write_all(says.as_bytes()).await?;
    stream.shutdown().await
}

async fn ask(others: &[String]) -> BTreeMap<String, Says> {
    let all = others.iter().map(|other| async move {
        let says = match query(other, "srvr", ANSWER).await {
            Err(error) => Says::Unknown(with_causes(&error)),
            Ok(text) if text.trim() == NEW => Says::New,
            Ok(text) if text.trim() == BEGINS => Says::Begins,
            Ok(text) if text.starts_with(NOT_SERVING) => Says::Waits,
            Ok(text) => match parse_srvr(&text) {
                Ok(_) => Says::Serves,
                Err(_) => Says::Unknown("what answers there is no ZooKeeper server".into()),
            },
        };
        (other.clone(), says)
    });
    futures_util::future::join_all(all).await.into_iter().collect()
}

fn told(says: Says) -> String {
    match says {
        Says::Unknown(why) => why,
        Says::Waits => "it runs, and is in no quorum".into(),
        Says::New | Says::Begins | Says::Serves => "it has just said otherwise".into(),
    }
}

#[cfg(test)]
mod tests;
