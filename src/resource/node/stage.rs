//! What is made ready for nodes before the first of them is touched.

use super::{NodeKind, location};
use crate::host::Staging;
use crate::model::{Deployment, Key};
use crate::resource::{KindError, Surroundings, Work};
use crate::tool::Lack;
use std::collections::BTreeMap;

/// What this machine lacks for them.
pub(super) async fn lacking(
    kind: &NodeKind,
    surroundings: &dyn Surroundings,
    work: &[Work],
) -> Result<Vec<Lack>, KindError> {
    let mut by_backend: BTreeMap<String, Vec<Deployment>> = BTreeMap::new();
    for item in work {
        let Ok(deployment) = kind.deployment(&item.key, &item.inputs) else { continue };
        let backend = surroundings.backend_of(&deployment.facts.host.key())?;
        by_backend.entry(backend).or_default().push(deployment);
    }
    let mut lacking = Vec::new();
    for (backend, all) in by_backend {
        lacking.extend(surroundings.backend(&backend)?.lacking(&all).await);
    }
    Ok(lacking)
}

/// Makes it ready, host by host.
pub(super) async fn stage(
    kind: &NodeKind,
    surroundings: &dyn Surroundings,
    work: &[Work],
) -> Result<(), KindError> {
    // In the order of the work, in which what is missing is told.
    let mut all: Vec<(Key, Staging)> = Vec::new();
    let mut places: BTreeMap<Key, usize> = BTreeMap::new();
    for item in work {
        // What waits for an address of a host yet to be made is made ready when it is deployed.
        let Ok(deployment) = kind.deployment(&item.key, &item.inputs) else { continue };
        let key = deployment.facts.host.key();
        let place = *places.entry(key.clone()).or_insert(all.len());
        if place == all.len() {
            let (may_format, may_lock_out) =
                (surroundings.allows_format(&key), surroundings.allows_lockout(&key));
            let staging = Staging { may_format, may_lock_out, ..Staging::of(surroundings.host(&key)?) };
            all.push((key.clone(), staging));
        }
        let staging = &mut all[place].1;
        // What has a process has its ports.
        let found = location::look(staging.host.as_ref(), surroundings, &item.key).await?;
        if found.is_none_or(|found| !found.run.has_process()) {
            staging.starting.insert(deployment.facts.node.clone());
        }
        staging.nodes.push(deployment);
    }
    let mut by_backend: BTreeMap<String, Vec<Staging>> = BTreeMap::new();
    for (key, mut staging) in all {
        staging.others = kind.others(surroundings, &key, &staging.nodes).await?;
        by_backend.entry(surroundings.backend_of(&key)?).or_default().push(staging);
    }
    for (backend, hosts) in by_backend {
        surroundings.backend(&backend)?.stage(&hosts, &surroundings.progress()).await?;
    }
    Ok(())
}
