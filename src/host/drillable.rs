//! What drills do to hosts. A backend that can do it says so by [`Host::drillable`].

use super::{Cut, Host, HostError};
use crate::supervisor::Signal;
use async_trait::async_trait;
use std::net::SocketAddr;

/// A host that faults can be made on. What is wanted of its nodes doesn't change by them.
#[async_trait]
pub trait Drillable: Send + Sync {
    /// Why this host can't be had this of, for people, by what it is and what this machine has; `None` where it can.
    fn lacks(&self, ability: Ability) -> Option<String>;

    /// Sends a signal to a node's process.
    async fn signal(&self, node: &str, signal: Signal) -> Result<(), HostError>;

    /// Ends the host at once with all that runs on it; [`Host::boot`] brings it back.
    async fn lose(&self) -> Result<(), HostError>;

    /// Has packets vanish on their way, of new connections and of those that there are, without a word to either side:
    /// no end, no reset, no "unreachable". Replaces an earlier cut.
    ///
    /// # Errors
    /// [`HostError::Unable`] where it lacks [`Ability::Cut`].
    async fn cut(&self, cut: &Cut) -> Result<(), HostError>;

    /// Whether packets get from this host to an address: a connection is taken there, or refused. One that has no answer
    /// within two seconds gets nowhere.
    async fn reaches(&self, address: SocketAddr) -> Result<bool, HostError>;

    /// Fills the disk of a node's data to the last byte.
    ///
    /// # Errors
    /// [`HostError::Unable`] where it lacks [`Ability::FillDisk`].
    async fn fill_disk(&self, node: &str) -> Result<(), HostError>;

    /// Has a host that was just lost ([`Drillable::lose`]) have lost power: what wasn't on the disks of its nodes yet is
    /// gone once [`Host::boot`] has brought them back. Spared is what was written to all but directories at their tops
    /// whose names begin with `expendable`.
    async fn shut_disks_down(&self, expendable: &str) -> Result<(), HostError>;

    /// Undoes every [`Drillable::cut`], [`Drillable::fill_disk`] and [`Drillable::shut_disks_down`], by whichever process
    /// they were made. [`Host::boot`] does so too.
    async fn mend(&self) -> Result<(), HostError>;

    /// What [`Drillable::mend`] would undo, to stand behind "is"; `None` where there is nothing.
    async fn disturbance(&self) -> Result<Option<&'static str>, HostError>;
}

impl dyn Host + '_ {
    /// The host, for a drill.
    ///
    /// # Errors
    /// [`HostError::Unable`] where the backend has nothing for drills.
    pub fn drill(&self) -> Result<&dyn Drillable, HostError> {
        self.drillable().ok_or_else(|| HostError::Unable { subject: "the host".into(), what: "be drilled" })
    }

    /// Why a drill can't have this of the host, for people; `None` where it can.
    pub fn lacks(&self, ability: Ability) -> Option<String> {
        match self.drillable() {
            Some(host) => host.lacks(ability),
            None => Some(format!("the backend of its hosts can't {ability}")),
        }
    }
}

/// What a drill may want of a host beyond running nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// [`Drillable::cut`].
    Cut,
    /// [`Drillable::fill_disk`].
    FillDisk,
    /// [`Drillable::shut_disks_down`].
    ShutDisksDown,
}

impl Ability {
    /// What hosts must be for it, for people.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Cut => "hosts with `isolation = \"netns\"`",
            Self::FillDisk | Self::ShutDisksDown => "hosts with disks of their own (`disk-mib`)",
        }
    }
}

impl std::fmt::Display for Ability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cut => "cut them off",
            Self::FillDisk => "fill their disks",
            Self::ShutDisksDown => "lose what isn't on a disk yet",
        })
    }
}
