//! What can go wrong on local hosts alone, and what helps.

use crate::artifact::{ArtifactError, InstalledError, JavaError};
use crate::host::Hinted;
use crate::supervisor::SupervisorError;

/// Why a local host did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum LocalError {
    /// A port that a node needs is taken on its address.
    #[error("{node} needs {address}, which another process listens on")]
    PortTaken {
        /// The node.
        node: String,
        /// Address and port.
        address: String,
    },
    /// The address can't be used on this machine.
    #[error("{node} needs the address {address}, which this machine can't listen on")]
    AddressUnusable {
        /// The node.
        node: String,
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// This machine lacks what hosts of this kind are made with.
    #[error("{host} can't be made here: {needs} needs {missing}")]
    Lacking {
        /// The host.
        host: String,
        /// What was asked for, as it stands in the stack file.
        needs: &'static str,
        /// What is missing.
        missing: String,
        /// How to get it.
        hint: String,
    },
    /// The addresses of hosts in namespaces are in use on this machine.
    #[error("{host} can't have an address of {subnet}: the interface {interface} of this machine has one")]
    SubnetTaken {
        /// The host.
        host: String,
        /// The subnet.
        subnet: String,
        /// Who has it.
        interface: String,
    },
    /// A program of this machine did not do its part.
    #[error("`{command}` failed: {said}")]
    Tool {
        /// As it was called.
        command: String,
        /// What it said.
        said: String,
    },
    /// The local supervisor failed.
    #[error("the supervisor of {host} failed")]
    Supervisor {
        /// The host.
        host: String,
        /// How.
        source: SupervisorError,
    },
}

impl Hinted for LocalError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::PortTaken { address, .. } => Some(format!(
                "`ss -ltnp 'sport = :{}'` tells who listens there. If that is another stack of yours, have \
                 it stop where it was made, which keeps its data; or give this stack other addresses \
                 with `subnet = \"127.x.y.0/24\"` under [hosts]",
                address.rsplit(':').next().unwrap_or_default()
            )),
            Self::AddressUnusable { .. } => {
                Some("give this stack addresses within 127.0.0.0/8 with `subnet` under [hosts]".into())
            }
            Self::Lacking { hint, .. } => Some(hint.clone()),
            Self::SubnetTaken { .. } => {
                Some("give this stack another private network with `subnet` under [hosts]".into())
            }
            Self::Supervisor { source, .. } => supervisor(source),
            Self::Tool { .. } => None,
        }
    }
}

fn supervisor(error: &SupervisorError) -> Option<String> {
    match error {
        SupervisorError::Unresponsive { pid: Some(pid), .. } => Some(format!(
            "`ps -o stat= -p {pid}` tells whether it was halted (T), and `kill -CONT {pid}` has it go on; \
             `kill -KILL {pid}` ends it with all that runs on its host. The same command then goes on from here"
        )),
        SupervisorError::NotEnded { pid, .. } => Some(format!(
            "`cat /proc/{pid}/stack` tells what it waits for; the same command goes on from here once it is gone"
        )),
        _ => None,
    }
}

impl Hinted for ArtifactError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Hinted for JavaError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Hinted for InstalledError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}
