//! The connection of a session: how it begins, and how messages go over it.

use super::record::{CHANGE_XID, PING_XID, change, put_framed, request};
use super::{Change, OWN_TIMEOUT, Session, SessionError, SessionId};
use bytes::{Buf, BufMut};
use std::collections::VecDeque;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes; a broker's registration is under a kilobyte.
const ANSWER_LIMIT: usize = 1 << 20;

impl Session {
    pub(super) async fn connect(
        server: &str,
        id: SessionId,
        password: [u8; 16],
        zxid: i64,
    ) -> Result<Option<Self>, SessionError> {
        // The kernel tries for minutes where a host has vanished, and who asks several servers waits for the last.
        let connection = tokio::time::timeout(OWN_TIMEOUT, TcpStream::connect(server)).await;
        let stream = connection
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|source| SessionError::Connection { server: server.to_owned(), source })?;
        let mut session = Self { changes: VecDeque::new(), server: server.to_owned(), stream, zxid };
        let mut request = Vec::new();
        request.put_i32(0);
        request.put_i64(zxid);
        request.put_i32(OWN_TIMEOUT.as_millis() as i32);
        request.put_i64(id.0);
        request.put_i32(16);
        request.put_slice(&password);
        request.put_u8(0);
        session.send(&request).await?;
        let answer = session.receive().await?;
        let mut answer = answer.as_slice();
        let _version = answer.try_get_i32().map_err(|_| session.unintelligible())?;
        let timeout = answer.try_get_i32().map_err(|_| session.unintelligible())?;
        // A session that is over has no time left.
        Ok((timeout > 0).then_some(session))
    }

    pub(super) async fn ask(
        &mut self,
        name: &'static str,
        number: i32,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>, SessionError> {
        self.send(&request(number, body)).await?;
        self.answer(name).await
    }

    /// The answer to the oldest request that has none yet.
    pub(super) async fn answer(&mut self, name: &'static str) -> Result<Vec<u8>, SessionError> {
        loop {
            let answer = self.receive().await?;
            match self.take(&answer)? {
                None => {}
                Some((0, rest)) => return Ok(rest.to_vec()),
                Some((code, _)) => {
                    return Err(SessionError::Refused { server: self.server.clone(), request: name, code });
                }
            }
        }
    }

    /// The code and the rest of the answer to a request; `None` where the message was none, but told of a change or
    /// that the server is there.
    pub(super) fn take<'a>(&mut self, message: &'a [u8]) -> Result<Option<(i32, &'a [u8])>, SessionError> {
        let mut rest = message;
        let header = (rest.try_get_i32(), rest.try_get_i64(), rest.try_get_i32());
        let (Ok(xid), Ok(zxid), Ok(code)) = header else { return Err(self.unintelligible()) };
        match xid {
            PING_XID => Ok(None),
            CHANGE_XID => {
                let (gone, path) = change(rest).ok_or_else(|| self.unintelligible())?;
                self.changes.push_back(Change { at: Instant::now(), path, gone });
                Ok(None)
            }
            _ => {
                self.zxid = self.zxid.max(zxid);
                Ok(Some((code, rest)))
            }
        }
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), SessionError> {
        let mut framed = Vec::with_capacity(message.len() + 4);
        put_framed(&mut framed, message);
        self.send_framed(&framed).await
    }

    pub(super) async fn send_framed(&mut self, messages: &[u8]) -> Result<(), SessionError> {
        let sent = self.stream.write_all(messages).await;
        sent.map_err(|source| SessionError::Connection { server: self.server.clone(), source })
    }

    /// The next message. A server that says nothing for as long as a session lasts is given up.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, SessionError> {
        match tokio::time::timeout(OWN_TIMEOUT, self.receive_unbounded()).await {
            Ok(message) => message,
            Err(_) => Err(self.silent()),
        }
    }

    async fn receive_unbounded(&mut self) -> Result<Vec<u8>, SessionError> {
        let broken = |source| SessionError::Connection { server: self.server.clone(), source };
        let length = self.stream.read_i32().await.map_err(broken)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= ANSWER_LIMIT);
        let mut message = vec![0; length.ok_or_else(|| self.unintelligible())?];
        let read = self.stream.read_exact(&mut message).await;
        read.map_err(|source| SessionError::Connection { server: self.server.clone(), source })?;
        Ok(message)
    }

    pub(super) fn silent(&self) -> SessionError {
        let source = std::io::ErrorKind::TimedOut.into();
        SessionError::Connection { server: self.server.clone(), source }
    }

    pub(super) fn unintelligible(&self) -> SessionError {
        SessionError::Unintelligible { server: self.server.clone() }
    }
}
