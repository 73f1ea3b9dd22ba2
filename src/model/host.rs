//! What a host is declared to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Inputs of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostInputs {
    /// The backend's name, such as `local`.
    pub backend: String,
    /// The address at which others reach it, for backends that don't assign one themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The failure domain; where none is declared, the host is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What keeps hosts of one machine apart.
    #[serde(default, skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
    /// Size in MiB of the disk that each node has for its data; where none is declared, it shares the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u32>,
}

impl HostInputs {
    /// The kind of resources that have such inputs.
    pub const KIND: &'static str = "host";
}

/// What keeps hosts of one machine apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Nothing: they share the machine's network.
    #[default]
    None,
    /// Each is a network namespace, with a cable to a switch of the stack: it can be cut off.
    Netns,
}

impl Isolation {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}
