//! How it is found out whether a service serves. Data.

use serde::{Deserialize, Serialize};

/// How a member is asked whether it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HealthCheck {
    /// It takes connections.
    Tcp {
        /// The port, by its purpose among the node's.
        port: String,
    },
    /// It answers a GET over HTTP.
    Http {
        /// The port, by its purpose among the node's.
        port: String,
        /// What is asked for, such as `/health`.
        path: String,
        /// The status that it has to answer with.
        status: u16,
    },
}

impl HealthCheck {
    /// Asks a port for connections.
    pub fn tcp(port: &str) -> Self {
        Self::Tcp { port: port.to_owned() }
    }

    /// Asks for a path over HTTP, to be answered with 200.
    pub fn http(port: &str, path: &str) -> Self {
        Self::Http { port: port.to_owned(), path: path.to_owned(), status: 200 }
    }

    /// The purpose of the port that is asked.
    pub fn port(&self) -> &str {
        match self {
            Self::Tcp { port } | Self::Http { port, .. } => port,
        }
    }
}
