//! Which packets of a host vanish. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What a host no longer sends or receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Packets to these vanish.
    pub to: Peers,
    /// Packets from these vanish.
    pub from: Peers,
}

/// Some of those that a host speaks with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Everybody: other hosts and clients.
    All,
    /// These addresses; where there is none, nobody.
    Only(BTreeSet<Ipv4Addr>),
}

impl Cut {
    /// Nobody hears of the host, and it hears of nobody.
    pub fn off() -> Self {
        Self { to: Peers::All, from: Peers::All }
    }

    /// Cut off from these, both ways.
    pub fn off_from(peers: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let peers: BTreeSet<_> = peers.into_iter().collect();
        Self { to: Peers::Only(peers.clone()), from: Peers::Only(peers) }
    }

    /// The host sends and receives nothing.
    pub fn deaf() -> Self {
        Self { to: Peers::Only(BTreeSet::new()), from: Peers::All }
    }
}
