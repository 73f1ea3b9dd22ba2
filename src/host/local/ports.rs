//! Finds ports and addresses in use before anything starts.

use super::error::LocalError;
use crate::model::NodeFacts;
use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};

/// Tries to listen wherever the node will.
pub(super) fn check_free(facts: &NodeFacts) -> Result<(), LocalError> {
    let Ok(address) = facts.host.address.known() else { return Ok(()) };
    let Ok(ip) = address.parse::<IpAddr>() else { return Ok(()) };
    for port in facts.ports.values() {
        match TcpListener::bind((ip, *port)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(LocalError::PortTaken {
                    node: facts.node.clone(),
                    address: format!("{address}:{port}"),
                });
            }
            Err(source) => {
                return Err(LocalError::AddressUnusable {
                    node: facts.node.clone(),
                    address: format!("{address}:{port}"),
                    source,
                });
            }
        }
    }
    Ok(())
}
