//! The real [`Zookeeper`]: ZooKeeper's four-letter commands over TCP.
//!
//! `srvr` tells a member's part and load, `mntr` a leader's synced followers. Both must be in the servers'
//! `4lw.commands.whitelist` (by default only `srvr` is). One connection for each command, as the protocol
//! has it: the server answers and hangs up.

use crate::causes::with_causes;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Zookeeper;
use super::view::{EnsembleView, Latency, MemberView, Mode, Serving};

/// The largest answer that is read, in bytes. `mntr` is some 10 KB with all metrics.
const ANSWER_LIMIT: u64 = 1 << 20;

/// What a member says to every command while it is in no quorum.
pub(super) const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// How long a member may take for one command, its TCP connection included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl Default for Timeout {
    /// 3 s, as Kafka's brokers get for an answer: more than a garbage collection on a loaded machine.
    fn default() -> Self {
        Self(Duration::from_secs(3))
    }
}

/// Why a member could not be asked. Says nothing of which: whoever holds the address adds it.
#[derive(Debug, Error)]
pub enum QueryError {
    /// Nobody listens at this address, or there is no such host.
    #[error("cannot connect to {address}")]
    Connect {
        /// The member's address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No complete answer in time: frozen, overloaded, or its host is gone.
    #[error("{address} did not answer {command} within {after:?}")]
    TimedOut {
        /// The member's address.
        address: String,
        /// The command.
        command: &'static str,
        /// The time it was given.
        after: Duration,
    },
    /// The connection broke.
    #[error("connection to {address} broke during {command}")]
    Broken {
        /// The member's address.
        address: String,
        /// The command.
        command: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The server is configured not to answer this command.
    #[error("{address} does not allow {command}: add it to 4lw.commands.whitelist")]
    NotAllowed {
        /// The member's address.
        address: String,
        /// The command.
        command: &'static str,
    },
    /// The answer lacks a line that every ZooKeeper server gives.
    #[error("{address} answered {command} without a valid {field} line: not a ZooKeeper server?")]
    Unintelligible {
        /// The member's address.
        address: String,
        /// The command.
        command: &'static str,
        /// What is missing.
        field: &'static str,
    },
}

/// Asks ensembles with four-letter commands. Keeps nothing between questions.
#[derive(Debug, Clone, Copy, Default)]
pub struct FourLetter {
    timeout: Timeout,
}

impl FourLetter {
    /// A client that gives each member this long for each command.
    pub fn new(timeout: Timeout) -> Self {
        Self { timeout }
    }
}

#[async_trait]
impl Zookeeper for FourLetter {
    async fn describe(&self, members: &BTreeMap<i32, String>) -> EnsembleView {
        let mut asked = JoinSet::new();
        for (id, address) in members.clone() {
            let limit = self.timeout.0;
            asked.spawn(async move { (id, describe_member(&address, limit).await) });
        }
        let mut view = EnsembleView::default();
        while let Some(done) = asked.join_next().await {
            match done {
                Ok((id, member)) => drop(view.members.insert(id, member)),
                // Nobody aborts these tasks while they are awaited here; what is left is a panic.
                Err(died) => std::panic::resume_unwind(died.into_panic()),
            }
        }
        view
    }
}

async fn describe_member(address: &str, limit: Duration) -> MemberView {
    match ask_member(address, limit).await {
        Ok(member) => member,
        Err(error) => MemberView::Unreachable { why: with_causes(&error) },
    }
}

async fn ask_member(address: &str, limit: Duration) -> Result<MemberView, QueryError> {
    let (srvr, mntr) = tokio::join!(query(address, "srvr", limit), query(address, "mntr", limit));
    let (srvr, mntr) = (srvr?, mntr?);
    if srvr.starts_with(NOT_SERVING) {
        return Ok(MemberView::NotServing);
    }
    let unintelligible =
        |field| QueryError::Unintelligible { address: address.to_owned(), command: "srvr", field };
    let mut serving = parse_srvr(&srvr).map_err(unintelligible)?;
    serving.synced_followers = synced_followers(&mntr);
    Ok(MemberView::Serving(serving))
}

/// A member's answer to a command.
pub(super) async fn query(
    address: &str,
    command: &'static str,
    limit: Duration,
) -> Result<String, QueryError> {
    let answer = timeout(limit, exchange(address, command)).await.unwrap_or_else(|_| {
        Err(QueryError::TimedOut { address: address.to_owned(), command, after: limit })
    })?;
    if answer.contains("not in the whitelist") {
        return Err(QueryError::NotAllowed { address: address.to_owned(), command });
    }
    Ok(answer)
}

async fn exchange(address: &str, command: &'static str) -> Result<String, QueryError> {
    let broken = |source| QueryError::Broken { address: address.to_owned(), command, source };
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|source| QueryError::Connect { address: address.to_owned(), source })?;
    stream.write_all(command.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await.map_err(broken)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Reads an answer to `srvr`; the error is the line it lacks.
pub(super) fn parse_srvr(answer: &str) -> Result<Serving, &'static str> {
    let value = |name: &'static str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).ok_or(name)
    };
    let number = |name| value(name)?.parse().map_err(|_| name);
    Ok(Serving {
        mode: parse_mode(value("Mode")?).ok_or("Mode")?,
        zxid: parse_zxid(value("Zxid")?).ok_or("Zxid")?,
        version: parse_version(value("Zookeeper version")?),
        connections: number("Connections")?,
        outstanding: number("Outstanding")?,
        latency: parse_latency(value("Latency min/avg/max")?).ok_or("Latency min/avg/max")?,
        synced_followers: None,
    })
}

fn parse_mode(mode: &str) -> Option<Mode> {
    Some(match mode {
        "leader" => Mode::Leader,
        "follower" => Mode::Follower,
        "observer" => Mode::Observer,
        "standalone" => Mode::Standalone,
        "read-only" => Mode::ReadOnly,
        _ => return None,
    })
}

fn parse_zxid(zxid: &str) -> Option<u64> {
    u64::from_str_radix(zxid.strip_prefix("0x")?, 16).ok()
}

/// `3.9.5-4bc8fa65…, built on 2026-…` → `3.9.5`.
fn parse_version(version: &str) -> String {
    version.split(['-', ',']).next().unwrap_or(version).to_owned()
}

/// `0/1.25/14` → minimum, mean with a fraction, maximum.
fn parse_latency(latency: &str) -> Option<Latency> {
    let mut parts = latency.split('/');
    let min_ms = parts.next()?.parse().ok()?;
    let mean: f64 = parts.next()?.parse().ok()?;
    let max_ms = parts.next()?.parse().ok()?;
    Some(Latency { min_ms, mean_us: (mean * 1000.0).round() as u64, max_ms })
}

/// Only a leader has this line.
fn synced_followers(mntr: &str) -> Option<u32> {
    mntr.lines().find_map(|line| line.strip_prefix("zk_synced_followers")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRVR: &str = "Zookeeper version: 3.9.5-4bc8fa6542, built on 2026-01-20 11:06 UTC\n\
        Latency min/avg/max: 0/0.5625/14\n\
        Received: 17\nSent: 16\nConnections: 3\nOutstanding: 1\nZxid: 0x200000007\nMode: leader\n\
        Node count: 5\nProposal sizes last/min/max: 48/48/48\n";

    #[test]
    fn srvr_is_read() {
        let expected = Serving {
            mode: Mode::Leader,
            zxid: 0x2_0000_0007,
            version: "3.9.5".into(),
            connections: 3,
            outstanding: 1,
            latency: Latency { min_ms: 0, mean_us: 563, max_ms: 14 },
            synced_followers: None,
        };
        assert_eq!(parse_srvr(SRVR), Ok(expected));
    }

    #[test]
    fn a_missing_or_strange_line_is_named() {
        assert_eq!(parse_srvr("HTTP/1.1 400 Bad Request\r\n"), Err("Mode"));
        assert_eq!(parse_srvr(&SRVR.replace("Zxid: 0x", "Zxid: ")), Err("Zxid"));
        assert_eq!(parse_srvr(&SRVR.replace("Outstanding: 1", "")), Err("Outstanding"));
    }

    #[test]
    fn only_a_leader_tells_synced_followers() {
        assert_eq!(synced_followers("zk_server_state\tleader\nzk_synced_followers\t2\n"), Some(2));
        assert_eq!(synced_followers("zk_server_state\tfollower\n"), None);
    }
}
