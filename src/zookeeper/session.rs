//! A session with one ZooKeeper server: what of the binary protocol the crash fence, the watchdog and drills need.
//! (Client libraries bring a runtime of their own and end a session when they see fit; the supervisor's host has neither
//! room nor time.)

mod connection;
mod record;

use bytes::BufMut;
use futures_util::future::select_ok;
use record::{
    ADD_WATCH, ALL_PERMISSIONS, ANY_VERSION, CLOSE, CREATE, DELETE, EPHEMERAL, GET_CHILDREN, GET_DATA,
    LASTING, NO_NODE, NODE_EXISTS, PERSISTENT_RECURSIVE, PING, PING_XID, SET_DATA, SYNC, put_bytes,
    put_framed, put_text, put_unwatched, request, texts, znode,
};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long a session of our own lives on if we vanish.
pub(crate) const OWN_TIMEOUT: Duration = Duration::from_secs(4);

/// So many requests are sent before their answers are read: few enough for what both sides keep for a connection.
const AT_ONCE: usize = 256;

/// What the server draws passwords from besides the session's id: `superSecret` in ZooKeeper's `SessionTracker`.
const SERVER_SECRET: i64 = 0xB341_5C00;

/// A session id, as ZooKeeper's tools print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId(pub i64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl SessionId {
    /// The password with which a client attaches to this session. Every server derives it from the id.
    fn password(self) -> [u8; 16] {
        // java.util.Random, as its documentation specifies it.
        const MULTIPLIER: u64 = 0x5_DEEC_E66D;
        const MASK: u64 = (1 << 48) - 1;
        let mut seed = ((self.0 ^ SERVER_SECRET) as u64 ^ MULTIPLIER) & MASK;
        let mut password = [0; 16];
        for four in password.chunks_mut(4) {
            seed = seed.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
            four.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
        }
        password
    }
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection failed or broke.
    #[error("connection to {server} failed")]
    Connection {
        /// The server.
        server: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server answered with an error.
    #[error("{server} answered error {code} to {request}")]
    Refused {
        /// The server.
        server: String,
        /// The request.
        request: &'static str,
        /// ZooKeeper's error code.
        code: i32,
    },
    /// The answer is not one of ZooKeeper's.
    #[error("{server} sent what no ZooKeeper sends")]
    Unintelligible {
        /// The server.
        server: String,
    },
}

/// A znode. Transactions are numbered in one order for the whole ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Znode {
    /// The transaction that made it.
    pub created: i64,
    /// The transaction that wrote its data.
    pub written: i64,
    /// The session that it goes with; 0 where it goes with none.
    pub owner: SessionId,
    /// The data.
    pub data: Vec<u8>,
}

/// A change of something that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it was told.
    pub at: Instant,
    /// Of which znode.
    pub path: String,
    /// It was removed.
    pub gone: bool,
}

/// A connection within a session.
#[derive(Debug)]
pub struct Session {
    /// What was told while something else was awaited.
    changes: VecDeque<Change>,
    server: String,
    stream: TcpStream,
    /// The newest transaction that this client has seen.
    zxid: i64,
}

impl Session {
    /// Opens a session of our own.
    ///
    /// # Errors
    /// Where the server can't be reached or is in no quorum: such a server hangs up.
    pub async fn open(server: &str) -> Result<Self, SessionError> {
        let session = Self::connect(server, SessionId(0), [0; 16], 0).await?;
        session.ok_or_else(|| SessionError::Unintelligible { server: server.to_owned() })
    }

    /// Opens a session of our own with the first of these servers that answers: one of them may be what failed.
    ///
    /// # Errors
    /// What the last of them failed with, where all did.
    ///
    /// # Panics
    /// Where there is no server at all.
    pub async fn open_any(servers: &[String]) -> Result<Self, SessionError> {
        let opened = select_ok(servers.iter().map(|server| Box::pin(Self::open(server))));
        Ok(opened.await?.0)
    }

    /// Attaches to somebody's session, which thereby loses its own connection. `None` where it is over.
    ///
    /// # Errors
    /// Where the server can't be reached or is in no quorum.
    pub async fn attach(&self, id: SessionId) -> Result<Option<Self>, SessionError> {
        Self::connect(&self.server, id, id.password(), self.zxid).await
    }

    /// Has this server catch up with the leader: what is read after this is no older than now.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn sync(&mut self) -> Result<(), SessionError> {
        self.ask("sync", SYNC, |request| put_text(request, "/")).await.map(drop)
    }

    /// Makes a znode that goes with this session. Returns whether there was none before.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn create(&mut self, path: &str, data: &[u8]) -> Result<bool, SessionError> {
        self.make(path, data, EPHEMERAL).await
    }

    /// Makes a znode that stays. Returns whether there was none before.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn create_lasting(&mut self, path: &str) -> Result<bool, SessionError> {
        self.make(path, &[], LASTING).await
    }

    async fn make(&mut self, path: &str, data: &[u8], flags: i32) -> Result<bool, SessionError> {
        let made = self
            .ask("create", CREATE, |request| {
                put_text(request, path);
                put_bytes(request, data);
                request.put_i32(1);
                request.put_i32(ALL_PERMISSIONS);
                put_text(request, "world");
                put_text(request, "anyone");
                request.put_i32(flags);
            })
            .await;
        match made {
            Ok(_) => Ok(true),
            Err(SessionError::Refused { code: NODE_EXISTS, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a znode's data, whoever wrote it before. Returns whether there is such a znode.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn write(&mut self, path: &str, data: &[u8]) -> Result<bool, SessionError> {
        let written = self
            .ask("setData", SET_DATA, |request| {
                put_text(request, path);
                put_bytes(request, data);
                request.put_i32(ANY_VERSION);
            })
            .await;
        match written {
            Ok(_) => Ok(true),
            Err(SessionError::Refused { code: NO_NODE, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a znode, whoever made it. Returns whether there was one.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn delete(&mut self, path: &str) -> Result<bool, SessionError> {
        let deleted = self
            .ask("delete", DELETE, |request| {
                put_text(request, path);
                request.put_i32(ANY_VERSION);
            })
            .await;
        match deleted {
            Ok(_) => Ok(true),
            Err(SessionError::Refused { code: NO_NODE, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a znode as this server knows it; `None` where there is none.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn read(&mut self, path: &str) -> Result<Option<Znode>, SessionError> {
        let found = self.ask("getData", GET_DATA, |request| put_unwatched(request, path)).await;
        self.read_answer(found)
    }

    /// Reads many znodes, in their order, without waiting for one before asking for the next: a round trip costs each of
    /// a few hundred partitions what it would cost one.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise. Answers may still be under way then: the session is of
    /// no more use.
    pub async fn read_all(&mut self, paths: &[String]) -> Result<Vec<Option<Znode>>, SessionError> {
        let mut found = Vec::with_capacity(paths.len());
        for paths in paths.chunks(AT_ONCE) {
            let mut requests = Vec::new();
            for path in paths {
                put_framed(&mut requests, &request(GET_DATA, |request| put_unwatched(request, path)));
            }
            self.send_framed(&requests).await?;
            for _ in paths {
                let answer = self.answer("getData").await;
                found.push(self.read_answer(answer)?);
            }
        }
        Ok(found)
    }

    fn read_answer(&self, found: Result<Vec<u8>, SessionError>) -> Result<Option<Znode>, SessionError> {
        match found {
            Ok(answer) => znode(&answer).map(Some).ok_or_else(|| self.unintelligible()),
            Err(SessionError::Refused { code: NO_NODE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a znode's data as JSON; `None` where there is no such znode, or it holds something else.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn read_json<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, SessionError> {
        let znode = self.read(path).await?;
        Ok(znode.and_then(|znode| serde_json::from_slice(&znode.data).ok()))
    }

    /// The names of what is right below a znode, as this server knows it; none where there is no such znode.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise.
    pub async fn children(&mut self, path: &str) -> Result<Vec<String>, SessionError> {
        let found = self.ask("getChildren", GET_CHILDREN, |request| put_unwatched(request, path)).await;
        match found {
            Ok(answer) => texts(&answer).ok_or_else(|| self.unintelligible()),
            Err(SessionError::Refused { code: NO_NODE, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Has every change of a znode and of all below it told by [`changed`](Self::changed) from now on.
    ///
    /// # Errors
    /// Where the connection breaks or the server answers otherwise, as those before ZooKeeper 3.6 do.
    pub async fn watch(&mut self, path: &str) -> Result<(), SessionError> {
        let body = |request: &mut Vec<u8>| {
            put_text(request, path);
            request.put_i32(PERSISTENT_RECURSIVE);
        };
        self.ask("addWatch", ADD_WATCH, body).await.map(drop)
    }

    /// The next change of what is watched. Keeps the session alive meanwhile.
    ///
    /// # Errors
    /// Where the connection breaks, or the server says nothing for as long as a session lasts.
    pub async fn changed(&mut self) -> Result<Change, SessionError> {
        let mut heard = Instant::now();
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Ok(change);
            }
            // Only the wait can be broken off here: half a message read would be half a message lost.
            match tokio::time::timeout(OWN_TIMEOUT / 4, self.stream.readable()).await {
                Ok(_) => {
                    let answer = self.receive().await?;
                    self.take(&answer)?;
                    heard = Instant::now();
                }
                Err(_) if heard.elapsed() >= OWN_TIMEOUT => return Err(self.silent()),
                Err(_) => {
                    let mut ping = Vec::new();
                    ping.put_i32(PING_XID);
                    ping.put_i32(PING);
                    self.send(&ping).await?;
                }
            }
        }
    }

    /// Ends the session: the servers remove all its ephemeral znodes in one transaction. Returns once that is done.
    ///
    /// # Errors
    /// Where the connection breaks before the answer: it is not known then whether the session is over.
    pub async fn close(mut self) -> Result<(), SessionError> {
        self.ask("closeSession", CLOSE, |_| {}).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    #[test]
    fn passwords_are_those_of_the_servers() {
        // What java.util.Random gives for the seed that a server makes of the id.
        let of = |id| hex(SessionId(id).password());
        assert_eq!(of(SERVER_SECRET), "60b420bb3851d9d47acb933dbe70399b");
        assert_eq!(of(0x1000_A0B0_C0D0_E0F1), "974d6810a24cc37d66ad5a1387948800");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_vanished_keeps_nobody_from_asking_the_others_again() {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        // One connection fills the queue of a listener that takes none: the kernel drops what comes after.
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        listen(&listener, 0).unwrap();
        let vanished: std::net::SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
        let _queued = std::net::TcpStream::connect(vanished).unwrap();
        let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let begun = tokio::time::Instant::now();
        let opened = Session::open_any(&[vanished.to_string(), refusing.to_string()]).await;
        assert!(matches!(opened, Err(SessionError::Connection { .. })));
        assert_eq!(begun.elapsed().as_secs(), OWN_TIMEOUT.as_secs());
    }
}
