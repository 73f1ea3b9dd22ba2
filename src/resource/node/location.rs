//! Under which name a node lies on its host. That is the name that it was recorded with, until a rename is done: a
//! rename may be left out, or be cut off anywhere, so that who looks for a node asks here.

use crate::clock::Until;
use crate::host::{Host, HostError, NodeObservation};
use crate::model::{Deployment, Key};
use crate::resource::{KindError, Surroundings, host};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A node on a host that another has taken the place of.
pub(super) struct Left {
    pub(super) host: Arc<dyn Host>,
    pub(super) name: String,
    pub(super) found: NodeObservation,
}

/// Where a node still lies that isn't on its host yet, since that has just taken the place of another; `None` where it is
/// on its own host, or nowhere. What lies there is all that there is of it: it is removed there before it is started at its
/// own host for the first time, so that no old copy is ever started for the new one. So the others are asked only where it
/// isn't on its own, and what becomes of them then is nobody's concern.
pub(super) async fn left(
    surroundings: &dyn Surroundings,
    host: &Key,
    key: &Key,
) -> Result<Option<Left>, KindError> {
    let outgoing = host::outgoing(surroundings, host)?;
    if outgoing.is_empty()
        || look(surroundings.host(host)?.as_ref(), surroundings, key).await?.is_some_and(|found| found.data)
    {
        return Ok(None);
    }
    for old in outgoing.into_iter().rev() {
        let name = name(old.as_ref(), surroundings, key).await?;
        if let Some(found) = old.node(&name).await?.filter(|found| found.data) {
            return Ok(Some(Left { host: old, name, found }));
        }
    }
    Ok(None)
}

/// The host on which a node lies.
pub(super) async fn host_with(
    surroundings: &dyn Surroundings,
    host: &Key,
    key: &Key,
) -> Result<Arc<dyn Host>, KindError> {
    match left(surroundings, host, key).await? {
        Some(left) => Ok(left.host),
        None => surroundings.host(host),
    }
}

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
    let facts = surroundings.input(key, Deployment::FACTS);
    match facts.and_then(|facts| facts.get("node").cloned()).or_else(|| surroundings.input(key, "node")) {
        Some(Value::String(name)) => name,
        _ => key.name.clone(),
    }
}
