//! Idle connections, kept so that a gate which asks several times a second need not connect each time.
//!
//! A connection leaves the pool while it is used and comes back only after a complete answer, so one that
//! failed, or whose caller gave up halfway, is never used again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::api::Api;
use super::connection::Connection;
use super::error::ConnectionError;

/// At most one idle connection for each address.
#[derive(Debug)]
pub(crate) struct Pool {
    connect: Duration,
    idle: Mutex<BTreeMap<String, Connection>>,
}

impl Pool {
    /// An empty pool whose connections must be made within `connect`.
    pub(crate) fn new(connect: Duration) -> Self {
        Self { connect, idle: Mutex::default() }
    }

    /// One request to one broker; `limit` is the time for its answer, and again for the agreement on
    /// versions where a connection must first be made.
    pub(crate) async fn call<R: Api>(
        &self,
        address: &str,
        limit: Duration,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ConnectionError> {
        let mut connection = match self.take(address) {
            Some(idle) => idle,
            None => Connection::open(address, self.connect, limit).await?,
        };
        let response = connection.call(limit, build).await?;
        self.lock().insert(address.to_owned(), connection);
        Ok(response)
    }

    fn take(&self, address: &str) -> Option<Connection> {
        self.lock().remove(address).filter(Connection::is_open)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Connection>> {
        // Nothing in the critical sections can leave the map half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
