//! How a node stands on its host, wherever that is, and how that differs from what is recorded.

use super::{NodeKind, facts, location};
use crate::clock::GATE_TIMEOUT;
use crate::host::{Host, NodeObservation, RunState};
use crate::model::{Key, ProcessSeen};
use crate::resource::{Drift, KindError, Observed, Recorded, Surroundings};
use crate::role::Altered;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// How a node stands on its host, with the files that another hand changed.
#[derive(Serialize, Deserialize)]
pub(super) struct Seen {
    #[serde(flatten)]
    pub(super) found: NodeObservation,
    #[serde(default, skip_serializing_if = "Altered::is_empty")]
    pub(super) altered_files: Altered,
    /// It lies on a host that another has taken the place of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) left: bool,
}

impl Seen {
    pub(super) fn observed(self) -> Observed {
        Observed::Present {
            status: status(&self.found).into(),
            process: process_seen(&self.found.run),
            broken: broken(&self.found.run),
            detail: json!(self),
        }
    }
}

/// Looks for a node, on its host or the one that this takes the place of.
pub(super) async fn seen(
    surroundings: &dyn Surroundings,
    key: &Key,
    inputs: &Value,
) -> Result<Option<Seen>, KindError> {
    let host = facts(key, inputs)?.host.key();
    if let Some(location::Left { host, name, found }) = location::left(surroundings, &host, key).await? {
        let altered_files = altered_files(host.as_ref(), &name, &found).await;
        return Ok(Some(Seen { found, altered_files, left: true }));
    }
    let host = surroundings.host(&host)?;
    let Some(found) = location::look(host.as_ref(), surroundings, key).await? else { return Ok(None) };
    let name = location::name(host.as_ref(), surroundings, key).await?;
    let altered_files = altered_files(host.as_ref(), &name, &found).await;
    Ok(Some(Seen { found, altered_files, left: false }))
}

/// The files that another hand changed, as they lie there; one that is gone isn't among them.
async fn altered_files(host: &dyn Host, name: &str, found: &NodeObservation) -> Altered {
    if found.altered.is_empty() {
        return Altered::new();
    }
    let altered = found.altered.iter().cloned();
    match host.files(name).await {
        Ok(mut files) => {
            altered.filter_map(|name| files.remove(&name).map(|text| (name, Some(text)))).collect()
        }
        Err(_) => altered.map(|name| (name, None)).collect(),
    }
}

impl NodeKind {
    pub(super) fn drifted(&self, recorded: &Recorded, observed: &Observed) -> Drift {
        let impaired = |how: String| Drift::Impaired { how };
        let lost = || impaired("its data is gone".into());
        let found = match observed {
            Observed::Absent if self.is_stateless(&recorded.inputs) => return impaired("is gone".into()),
            Observed::Absent => return lost(),
            Observed::Unknown(why) => return Drift::Unknown { why: why.clone() },
            Observed::Present { detail, .. } => serde_json::from_value::<NodeObservation>(detail.clone()),
        };
        let Ok(found) = found else {
            return Drift::Unknown { why: "its host tells of it in a form that is not known".into() };
        };
        match (found.deployment, found.run) {
            _ if !found.data => lost(),
            // What another hand wrote is nobody's word of what it is to be.
            (Some(_), _) if !found.altered.is_empty() => {
                impaired(format!("{} changed by another hand", found.altered.join(", ")))
            }
            (Some(inputs), _) if inputs != recorded.inputs => Drift::Changed {
                changes: self.changes(&recorded.inputs, &inputs),
                inputs,
                outputs: recorded.outputs.clone(),
            },
            (None, _) => impaired("its configuration is missing".into()),
            (_, RunState::Frozen) => impaired("is frozen".into()),
            (_, RunState::Stopping) => impaired("is stopping".into()),
            (_, RunState::Stopped) => impaired("is stopped".into()),
            (_, RunState::Failed { reason }) => impaired(format!("does not run: {reason}")),
            (_, RunState::Restarting { last_exit, .. }) => impaired(format!("keeps failing ({last_exit})")),
            (_, RunState::Running { .. }) => Drift::None,
        }
    }
}

/// For so long after its start a process that doesn't serve yet is taken for one that is reading its data. A broker of 1
/// CPU with tens of gigabytes of log to recover takes minutes, and one that is stopped at that begins it again.
const YOUNG: Duration = GATE_TIMEOUT;

fn process_seen(run: &RunState) -> ProcessSeen {
    match run {
        RunState::Running { age_ms, .. } if Duration::from_millis(*age_ms) < YOUNG => ProcessSeen::Young,
        RunState::Running { .. } => ProcessSeen::Runs,
        RunState::Frozen => ProcessSeen::Still,
        RunState::Restarting { .. } | RunState::Stopping | RunState::Stopped | RunState::Failed { .. } => {
            ProcessSeen::Gone
        }
    }
}

fn status(found: &NodeObservation) -> &'static str {
    match found.run {
        _ if !found.data => "data gone",
        RunState::Running { .. } => "running",
        RunState::Restarting { .. } => "restarting",
        RunState::Frozen => "frozen",
        RunState::Stopping => "stopping",
        RunState::Stopped => "stopped",
        RunState::Failed { .. } => "failed",
    }
}

/// A process that ends this often in a row won't come to work by itself. With the supervisor's pauses that is at least
/// 15 s, longer than the 12 s for which ZooKeeper keeps the session of a broker that was killed: until then Kafka itself
/// refuses to start again.
const FAILURES_BEFORE_BROKEN: u64 = 5;

fn broken(run: &RunState) -> Option<String> {
    match run {
        RunState::Failed { reason } => Some(reason.clone()),
        RunState::Restarting { restarts, last_exit } if *restarts >= FAILURES_BEFORE_BROKEN => {
            Some(format!("it ended {restarts} times in a row, last with {last_exit}"))
        }
        _ => None,
    }
}
