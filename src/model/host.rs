//! What a host is declared to be.

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
    /// What only its backend reads.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    pub options: Options,
}

/// What a backend wants to know of a host beside what all have, by its own names.
pub type Options = serde_json::Map<String, serde_json::Value>;

impl HostInputs {
    /// The kind of resources that have such inputs.
    pub const KIND: &'static str = "host";
}
