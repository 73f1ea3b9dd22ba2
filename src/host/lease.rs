//! Leases: which Octad may change a host, where several can reach it. A host keeps a record of it; whoever has one of the same
//! lease on most hosts of a stack holds the stack.
//!
//! Each lease has a fencing token, which is higher than all that its holder has seen. A host lets nobody act whose token is
//! lower than one that it has seen, nor by a lease that has passed. No clock of one machine is compared with that of another.

use crate::clock::Until;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// How long a host keeps a lease that isn't renewed. A link that is gone is noticed within 15 s, and a look at eight hosts
/// takes some seconds on a busy machine; whoever takes over from a holder that is gone waits for so long.
pub const LEASE: Duration = Duration::from_secs(60);
/// A holder takes its lease for passed so much sooner than hosts do: it counts from before it asked for it, and clocks may go
/// at different speeds.
pub const MARGIN: Duration = Duration::from_secs(5);

/// The lease by which this process changes hosts.
#[derive(Debug)]
pub struct Lease {
    /// What tells this lease from all others.
    pub id: String,
    /// Its fencing token.
    pub token: u64,
    /// Who has it, for people and for whoever finds it on a host.
    pub holder: String,
    until: Mutex<Until>,
}

impl Lease {
    /// What was asked for by this request, and given by most hosts.
    pub fn new(request: &LeaseRequest, until: Until) -> Self {
        let LeaseRequest { id, token, holder, .. } = request.clone();
        Self { id, token, holder, until: Mutex::new(until) }
    }

    /// Until when nobody else can have it.
    pub fn until(&self) -> Until {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was renewed on most hosts. One that has passed stays so: somebody else may have had it meanwhile.
    pub fn renew(&self, until: Until) {
        let mut has = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if !has.has_passed() {
            *has = until;
        }
    }
}

/// What a host is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The lease.
    pub id: String,
    /// Its fencing token; 0 only looks.
    pub token: u64,
    /// For how long; zero gives it back.
    pub lease: Duration,
    /// A lease whose holder is known to be gone: it counts as passed.
    pub over: Option<String>,
    /// Who asks, for people and for whoever finds it there.
    pub holder: String,
}

/// What a host has on record then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The last lease; empty where there was none.
    pub id: String,
    /// Its fencing token.
    pub token: u64,
    /// For how long it still holds; zero where it has passed or was given back.
    pub left: Duration,
    /// Who has it, or had it and never gave it back; empty where nobody did.
    pub holder: String,
    /// Something that was asked for by that lease is under way, and nobody else gets one until that is done.
    pub is_busy: bool,
}

impl LeaseRecord {
    /// What a host has on record after such a request. The rule for all hosts; pure.
    #[must_use]
    pub fn after(self, request: &LeaseRequest) -> Self {
        let LeaseRequest { id, token, lease, over, holder } = request;
        let is_free = self.left.is_zero() || over.as_ref() == Some(&self.id);
        // Also one that has passed, where nobody has come since and it wasn't given back.
        let is_own = self.id == *id && self.token == *token && !self.holder.is_empty();
        if *token > 0 && (is_own || (*token > self.token && is_free && !self.is_busy)) {
            let holder = if lease.is_zero() { String::new() } else { holder.clone() };
            return Self { id: id.clone(), token: *token, left: *lease, holder, ..self };
        }
        self
    }

    /// What a host has on record once it has begun what was asked for by a lease that holds for so long; `None` where it
    /// refuses that. The rule for all hosts; pure.
    pub fn acting(self, id: &str, token: u64, left: Duration, holder: &str) -> Option<Self> {
        let is_own = self.token == token && self.id == id;
        // It was not reached when the lease was taken.
        let is_new = self.token < token;
        match (left.is_zero() || self.is_busy, is_own, is_new) {
            (true, ..) | (_, false, false) => None,
            (_, true, _) => Some(self),
            _ => Some(Self { id: id.to_owned(), token, left, holder: holder.to_owned(), ..self }),
        }
    }

    /// Whether somebody else has it.
    pub fn is_held_from(&self, id: &str, over: Option<&str>) -> bool {
        !self.left.is_zero() && self.id != id && over != Some(&self.id)
    }
}
