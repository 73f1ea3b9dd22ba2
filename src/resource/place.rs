//! Under which name a node lies on its host. That is the name that it was recorded with, until a rename is done: a
//! rename may be left out, or be cut off anywhere, so that who looks for a node asks here.

use super::Surroundings;
use crate::clock::Until;
use crate::host::{Host, HostError, NodeObservation};
use crate::model::Key;
use serde_json::Value;
use std::time::Duration;

/// The name of a node on its host.
pub(super) async fn name(
    host: &dyn Host,
    surroundings: &dyn Surroundings,
    key: &Key,
) -> Result<String, HostError> {
    let recorded = recorded(surroundings, key);
    let renamed = recorded != key.name && host.node(&recorded).await?.is_none();
    Ok(if renamed { key.name.clone() } else { recorded })
}

/// How a node stands, wherever it lies.
pub(super) async fn look(
    host: &dyn Host,
    surroundings: &dyn Surroundings,
    key: &Key,
) -> Result<Option<NodeObservation>, HostError> {
    host.node(&name(host, surroundings, key).await?).await
}

/// Has a node lie under its own name, stopped where it didn't. A rename that was cut off is gone on with.
pub(super) async fn rename(
    host: &dyn Host,
    surroundings: &dyn Surroundings,
    key: &Key,
    stop_timeout: Duration,
    until: Option<Until>,
) -> Result<(), HostError> {
    let recorded = recorded(surroundings, key);
    if recorded == key.name {
        return Ok(());
    }
    host.stop(&recorded, stop_timeout, until).await?;
    host.rename(&recorded, &key.name).await
}

fn recorded(surroundings: &dyn Surroundings, key: &Key) -> String {
    match surroundings.input(key, "node") {
        Some(Value::String(name)) => name,
        _ => key.name.clone(),
    }
}
