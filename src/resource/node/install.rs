//! Puts a node in place: installs it and starts it anew, there or on the host that takes the place of the one before.

use super::{NodeKind, location};
use crate::clock::Until;
use crate::host::{Host, HostError, RunState};
use crate::model::{Deployment, Key, NodeFacts};
use crate::resource::{KindError, Surroundings, view};
use crate::role::{NotSafe, Role};
use serde_json::{Value, json};
use std::time::Duration;

/// A graceful stop may take this long before the process is killed, as `TimeoutStopSec` in the NixOS modules: a
/// broker with many partitions flushes and hands over each of them.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(300);

/// The same for a process that was found standing still: it serves nobody, and a broker whose session ended meanwhile
/// may never end by itself. Kafka's ZooKeeper client can wait for itself for ever when it is closed while it renews a
/// session that has expired (seen with 3.9.2).
const FROZEN_STOP_TIMEOUT: Duration = Duration::from_secs(30);

impl NodeKind {
    /// What lies on a host beside these nodes, as it does; nothing where each node is changed by itself.
    pub(super) async fn others(
        &self,
        surroundings: &dyn Surroundings,
        host: &Key,
        nodes: &[Deployment],
    ) -> Result<Vec<Deployment>, KindError> {
        let mut others = Vec::new();
        if !surroundings.changes_whole(host) {
            return Ok(others);
        }
        let host = surroundings.host(host)?;
        let nodes = nodes.iter().map(|one| one.facts.node.clone()).collect();
        for name in host.nodes().await?.difference(&nodes) {
            // What was never installed there is nothing that it runs.
            let Some(found) = host.node(name).await?.and_then(|found| found.deployment) else { continue };
            others.push(self.deployment(&Key::new(Self::NAME, name), &found)?);
        }
        Ok(others)
    }

    /// Has a node go on at its host, with an empty disk that the others fill, where it lay on one that this takes the
    /// place of. It is stopped there first and for good; where the others turn out not to have all of it, it is started
    /// there again.
    pub(super) async fn move_in(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        after: &Value,
        left: location::Left,
        until: Option<Until>,
    ) -> Result<Value, KindError> {
        let deployment = self.deployment(key, after)?;
        let host = surroundings.host(&deployment.facts.host.key())?;
        let location::Left { host: old, name, .. } = left;
        // What could not be stopped would be started once more when its host comes back.
        if old.power().await? != Some(true) {
            let host = format!("the host that {} takes the place of", deployment.facts.host.name);
            return Err(HostError::Down { host }.into());
        }
        old.stop(&name, patience(old.as_ref(), &name).await?, until).await?;
        if let Err(error) = self.refilled(surroundings, key, &deployment.facts).await {
            old.start(&name).await?;
            return Err(error);
        }
        let generation = self.put(host.as_ref(), key, deployment, false).await?;
        // From here on it is the other one that counts.
        old.remove(&name).await?;
        host.start(&key.name).await?;
        Ok(json!({ "generation": generation }))
    }

    /// Gives a node its data directory and its files, and returns their generation.
    pub(super) async fn put(
        &self,
        host: &dyn Host,
        key: &Key,
        deployment: Deployment,
        bootstrap: bool,
    ) -> Result<String, KindError> {
        let data_files = self.role(key, &deployment.facts)?.data_files(&deployment.facts, bootstrap);
        // True only once, and so no part of what the node is.
        host.format(&Deployment { data_files, ..deployment.clone() }).await?;
        Ok(host.install(&deployment).await?)
    }

    /// Waits until its group answers whether the others have all that a member held.
    async fn refilled(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        facts: &NodeFacts,
    ) -> Result<(), KindError> {
        let role = self.role(key, facts)?;
        // The member that was just stopped may have led: the others may need an election first.
        let filled = answered(|| async move {
            let view = view(surroundings, &facts.group).await.ok_or(NotSafe::NobodyAnswers)?;
            role.refill(facts, &view).map(drop)
        });
        filled.await.map_err(|source| KindError::NotRefilled { key: key.clone(), source: Box::new(source) })
    }
}

/// How long a group, or what holds its metadata, may take to answer. It was healthy a moment ago.
const SILENCE: Duration = Duration::from_secs(30);

/// Waits until it is known that its group holds nothing to be on a new member's disk.
pub(super) async fn vacant(
    surroundings: &dyn Surroundings,
    key: &Key,
    role: &dyn Role,
    facts: &NodeFacts,
) -> Result<(), KindError> {
    let vacant = answered(|| role.vacant(surroundings.wire(), facts)).await;
    vacant.map_err(|source| KindError::NotBegun { key: key.clone(), source: Box::new(source) })
}

/// Asks again while a refusal may pass, for [`SILENCE`] at most.
async fn answered<Asked>(ask: impl Fn() -> Asked) -> Result<(), NotSafe>
where
    Asked: Future<Output = Result<(), NotSafe>>,
{
    let begun = tokio::time::Instant::now();
    loop {
        match ask().await {
            Err(reason) if reason.may_pass() && begun.elapsed() < SILENCE => {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            answer => return answer,
        }
    }
}

/// How long a node's process may take to end in order.
pub(super) async fn patience(host: &dyn Host, name: &str) -> Result<Duration, HostError> {
    let found = host.node(name).await?;
    let frozen = found.is_some_and(|found| found.run == RunState::Frozen);
    Ok(if frozen { FROZEN_STOP_TIMEOUT } else { STOP_TIMEOUT })
}
