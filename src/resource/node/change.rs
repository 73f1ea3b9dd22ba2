//! A node that is there is started or changed, by itself or together with others on its host.

use super::install::patience;
use super::{NodeKind, facts, location};
use crate::clock::Until;
use crate::host::{HostChange, HostError, NodeObservation, RunState, Stop};
use crate::model::{Deployment, Key};
use crate::resource::{Kind, KindError, Part, Surroundings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Starts a node that doesn't run with what it has.
pub(super) async fn start(
    kind: &NodeKind,
    surroundings: &dyn Surroundings,
    key: &Key,
    inputs: &Value,
) -> Result<Value, KindError> {
    let at = facts(key, inputs)?.host.key();
    match location::left(surroundings, &at, key).await? {
        // Where it lies, with what it has there.
        Some(left) => left.host.start(&left.name).await?,
        None if starts_as_it_lies(surroundings, key, &at).await? => {
            surroundings.host(&at)?.start(&key.name).await?;
        }
        None => return kind.update_at_rest(surroundings, key, inputs, inputs).await,
    }
    Ok(json!({ "generation": surroundings.output(key, "generation") }))
}

/// Whether a node is started as it lies: its host is changed as a whole, and nobody else there has been asked about that.
async fn starts_as_it_lies(
    surroundings: &dyn Surroundings,
    key: &Key,
    host: &Key,
) -> Result<bool, KindError> {
    if !surroundings.changes_whole(host) {
        return Ok(false);
    }
    let found = location::look(surroundings.host(host)?.as_ref(), surroundings, key).await?;
    Ok(found.is_some_and(|found| found.altered.is_empty() && found.deployment.is_some()))
}

/// Changes a node that does not serve at present.
pub(super) async fn update_at_rest(
    kind: &NodeKind,
    surroundings: &dyn Surroundings,
    key: &Key,
    before: &Value,
    after: &Value,
) -> Result<Value, KindError> {
    // A host that was down starts its nodes by itself as soon as it is up. Such a node may serve by now, and to
    // restart it would take a healthy member away outside a roll.
    let deployment = kind.deployment(key, after)?;
    let host = surroundings.host(&deployment.facts.host.key())?;
    // A process that runs by the time of the stop came back as well.
    let until = Some(Until::within(Duration::ZERO));
    if let Some(left) = location::left(surroundings, &deployment.facts.host.key(), key).await? {
        // The same: only what doesn't run there moves outside a roll.
        return match left.found.run.has_process() {
            true => Err(KindError::CameBack { key: key.clone() }),
            false => kind.move_in(surroundings, key, after, left, until).await,
        };
    }
    match location::look(host.as_ref(), surroundings, key).await? {
        Some(found) if runs_as_declared(&found, &deployment) => {
            Ok(json!({ "generation": host.install(&deployment).await? }))
        }
        Some(found) if matches!(found.run, RunState::Running { .. } | RunState::Frozen) => {
            Err(KindError::CameBack { key: key.clone() })
        }
        _ => match kind.update(surroundings, key, before, after, until).await {
            Err(KindError::Host(HostError::TooLate { .. })) => Err(KindError::CameBack { key: key.clone() }),
            updated => updated,
        },
    }
}

fn runs_as_declared(found: &NodeObservation, deployment: &Deployment) -> bool {
    matches!(found.run, RunState::Running { current: true, .. })
        && found.altered.is_empty()
        && found.deployment.as_ref() == Some(&json!(deployment))
}

/// Changes nodes in one act, where their host is changed as a whole.
pub(super) async fn update_together(
    kind: &NodeKind,
    surroundings: &dyn Surroundings,
    parts: &[Part<'_>],
) -> Result<Vec<Value>, KindError> {
    let (mut nodes, mut anew, mut host) = (Vec::new(), BTreeMap::new(), None);
    let mut outputs: BTreeMap<&Key, Value> = BTreeMap::new();
    for Part { key, after, until, .. } in parts {
        let deployment = kind.deployment(key, after)?;
        let at = deployment.facts.host.key();
        if let Some(left) = location::left(surroundings, &at, key).await? {
            outputs.insert(key, kind.move_in(surroundings, key, after, left, *until).await?);
            continue;
        }
        let handle = surroundings.host(&at)?;
        let name = location::name(handle.as_ref(), surroundings, key).await?;
        let stop = Stop { timeout: patience(handle.as_ref(), &name).await?, until: *until };
        location::rename(handle.as_ref(), surroundings, key, stop.timeout, stop.until).await?;
        anew.insert(key.name.clone(), stop);
        nodes.push(deployment);
        host = Some(at);
    }
    if let Some(host) = host {
        nodes.extend(kind.others(surroundings, &host, &nodes).await?);
        let change = HostChange { nodes: &nodes, anew: &anew, boots: surroundings.boots(&host) };
        let generations = surroundings.host(&host)?.apply(&change).await?;
        for part in parts {
            if let Some(generation) = generations.get(&part.key.name) {
                outputs.insert(part.key, json!({ "generation": generation }));
            }
        }
    }
    Ok(parts.iter().map(|part| outputs.remove(part.key).unwrap_or_default()).collect())
}
