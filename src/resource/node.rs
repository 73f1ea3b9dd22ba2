//! The kind `node`: one member of a group, running on a host. Its inputs are its facts.

use super::leave::Leaving;
use super::{
    After, Decision, Deed, Drift, Files, Fitted, Instance, Kind, KindError, Loss, Malformed, Observed,
    Recorded, Siblings, Subject, Surroundings, Work, host, location, view,
};
use crate::causes::with_causes;
use crate::clock::{GATE_TIMEOUT, Until};
use crate::host::{Host, HostError, NodeObservation, RunState};
use crate::model::{Deployment, Key, NodeFacts, ProcessSeen, Refusal, compare};
use crate::role::{Altered, GroupView, NotSafe, Role};
use crate::tool::Lack;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A graceful stop may take this long before the process is killed, as `TimeoutStopSec` in the NixOS modules: a
/// broker with many partitions flushes and hands over each of them.
const STOP_TIMEOUT: Duration = Duration::from_secs(300);

/// The same for a process that was found standing still: it serves nobody, and a broker whose session ended meanwhile
/// may never end by itself. Kafka's ZooKeeper client can wait for itself for ever when it is closed while it renews a
/// session that has expired (seen with 3.9.2).
const FROZEN_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The kind `node`, with the roles that it may have.
pub struct NodeKind {
    roles: BTreeMap<&'static str, Arc<dyn Role>>,
}

impl NodeKind {
    /// The kind's name.
    pub const NAME: &'static str = NodeFacts::KIND;

    /// The kind with these roles.
    pub fn new(roles: BTreeMap<&'static str, Arc<dyn Role>>) -> Self {
        Self { roles }
    }

    fn role(&self, key: &Key, facts: &NodeFacts) -> Result<&Arc<dyn Role>, KindError> {
        self.roles
            .get(facts.role.as_str())
            .ok_or_else(|| KindError::UnknownRole { key: key.clone(), role: facts.role.clone() })
    }

    /// Installs what a node is to be and starts it anew. Its process has so long to end in order.
    async fn restart(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        after: &Value,
        patience: Duration,
        until: Option<Until>,
    ) -> Result<Value, KindError> {
        let deployment = self.deployment(key, after)?;
        let host = surroundings.host(&deployment.facts.host.key())?;
        location::rename(host.as_ref(), surroundings, key, patience, until).await?;
        let generation = host.install(&deployment).await?;
        host.stop(&key.name, patience, until).await?;
        host.start(&key.name).await?;
        Ok(json!({ "generation": generation }))
    }

    /// Has a node go on at its host, with an empty disk that the others fill, where it lay on one that this takes the
    /// place of. It is stopped there first and for good; where the others turn out not to have all of it, it is started
    /// there again.
    async fn move_in(
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
    async fn put(
        &self,
        host: &dyn Host,
        key: &Key,
        deployment: Deployment,
        bootstrap: bool,
    ) -> Result<String, KindError> {
        let data_files = self.role(key, &deployment.facts)?.data_files(&deployment.facts, bootstrap);
        let deployment = Deployment { data_files, ..deployment };
        host.format(&deployment).await?;
        Ok(host.install(&deployment).await?)
    }

    /// Waits until those who know say whether the others have all that a member held.
    async fn refilled(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        facts: &NodeFacts,
    ) -> Result<(), KindError> {
        let role = self.role(key, facts)?;
        let filled = answered(|| async move {
            let view = view(surroundings, &facts.group).await.ok_or(NotSafe::NobodyAnswers)?;
            role.refill(facts, &view).map(drop)
        });
        // Who led may just have been stopped.
        filled.await.map_err(|source| KindError::NotRefilled { key: key.clone(), source: Box::new(source) })
    }

    /// How a node with these inputs is run.
    pub(crate) fn deployment(&self, key: &Key, inputs: &Value) -> Result<Deployment, KindError> {
        let facts = facts(key, inputs)?;
        if !crate::model::references(inputs).is_empty() {
            return Err(KindError::NotYetKnown { key: key.clone() });
        }
        Ok(self.role(key, &facts)?.deployment(facts))
    }

    /// Whether a node with these inputs keeps no data; what can't be read may keep some.
    fn is_stateless(&self, inputs: &Value) -> bool {
        let facts = NodeFacts::deserialize(inputs).ok();
        facts.and_then(|facts| self.roles.get(facts.role.as_str())).is_some_and(|role| role.stateless())
    }

    fn decide_removal(&self, subject: &Subject<'_>) -> Decision {
        let goes_on = subject.group.as_ref().filter(|group| group.declared > 0);
        if let (Some(group), Some(recorded)) = (goes_on, subject.recorded) {
            let allowed = facts(subject.key, &recorded.inputs).and_then(|facts| {
                let role = self.role(subject.key, &facts)?;
                Ok(group
                    .view
                    .ok_or(NotSafe::NobodyAnswers)
                    .and_then(|view| role.allows_removal(&facts, view)))
            });
            match allowed {
                Ok(Ok(())) => {}
                Ok(Err(reason)) if reason.may_pass() => {
                    let hint =
                        "`octad status` tells how the others are; they must all agree that it holds nothing";
                    return refuse(subject.key, format!("it may hold replicas: {reason}"), hint);
                }
                Ok(Err(reason)) => return refuse(subject.key, reason.to_string(), removal_hint(&reason)),
                Err(error) => return refuse(subject.key, error.to_string(), "use the program that made it"),
            }
        }
        let stateless = subject.recorded.is_some_and(|one| self.is_stateless(&one.inputs));
        Decision::Delete { loses: if stateless { String::new() } else { "its data".into() } }
    }

    /// One whose data is gone. It begins again with an empty disk only where somebody consented to that by its name and
    /// the others have all that it held.
    fn decide_lost(
        &self,
        subject: &Subject<'_>,
        recorded: &Recorded,
        declared: &Value,
        found: Option<&NodeObservation>,
    ) -> Decision {
        let key = subject.key;
        if let Some(decision) = self.decide_change(subject, &recorded.inputs, declared) {
            return decision;
        }
        if !subject.refill {
            let cut_off = if recorded.is_pending() {
                "if a destroy was cut off, `octad destroy` goes on with it; else "
            } else {
                ""
            };
            return refuse(
                key,
                "its data is gone: the data directory or the marker in it is missing".into(),
                &format!(
                    "{cut_off}mount the disk again, or restore the directory; if it is lost for good, \
                     `octad up --refill {}` has the others fill an empty one, where they have all of it",
                    key.name
                ),
            );
        }
        if found.is_some_and(|found| found.run.has_process()) {
            return refuse(
                key,
                "its data is gone and its process still runs, and counts as having it".into(),
                "end its process, which is not started again without its data",
            );
        }
        self.decide_refill(subject, declared)
    }

    /// One that was never made here, and has no disk. Its group may count on it all the same, where the state was lost or
    /// forgot it; `None` where nobody says so.
    fn decide_empty(&self, subject: &Subject<'_>, declared: &Value) -> Option<Decision> {
        let key = subject.key;
        if let Observed::Present { detail, .. } = subject.observed
            && NodeObservation::deserialize(detail).is_ok_and(|found| found.data)
        {
            return None;
        }
        let view = subject.group.as_ref()?.view?;
        let facts = facts(key, declared).ok()?;
        let counted = self.role(key, &facts).ok()?.allows_removal(&facts, view);
        match counted {
            Err(reason @ NotSafe::HoldsReplicas { .. }) if !subject.refill => Some(refuse(
                key,
                format!(
                    "it was never made here, and by the cluster's word {reason} where it begins with an empty disk"
                ),
                &counted_on_hint(&key.name),
            )),
            Err(NotSafe::HoldsReplicas { .. }) => Some(self.decide_refill(subject, declared)),
            _ => None,
        }
    }

    /// One whose host another has taken the place of: it begins there with an empty disk, which the others fill, as they
    /// have all that it holds.
    fn decide_move(&self, subject: &Subject<'_>, found: &NodeObservation, declared: &Value) -> Decision {
        let key = subject.key;
        let before = found.facts.as_ref().unwrap_or(declared);
        if let Some(decision) = self.decide_change(subject, before, declared) {
            return decision;
        }
        let view = subject.group.as_ref().and_then(|group| group.view);
        let moves = |how: &str| Decision::Update {
            changes: compare(before, declared),
            reason: match self.is_stateless(declared) {
                true => "moves to the new host".into(),
                false => format!("moves to the new host, with an empty disk: {how}"),
            },
            disrupts: subject.group.as_ref().map(|group| group.name.to_owned()),
        };
        match facts(key, declared).and_then(|facts| self.refill_without(key, &facts, view)) {
            Ok(how) => moves(&how),
            Err(KindError::NotRefilled { .. }) if subject.recorded.is_some() && !found.run.has_process() => {
                Decision::Start { reason: "is stopped, and starts where it lies before it moves".into() }
            }
            // Its turn waits for that, and the one before is gone on with where it doesn't come.
            Err(KindError::NotRefilled { source, .. }) if comes_to_pass(&source) => {
                moves("the others fill it")
            }
            Err(KindError::NotRefilled { source, .. }) => refuse(
                key,
                format!("its host was made anew, and the others can't fill its disk there: {source}"),
                "bring the others back first; the old host is kept until then",
            ),
            Err(error) => refuse(key, error.to_string(), "use a program that has this role"),
        }
    }

    fn decide_refill(&self, subject: &Subject<'_>, declared: &Value) -> Decision {
        let key = subject.key;
        let view = subject.group.as_ref().and_then(|group| group.view);
        match facts(key, declared).and_then(|facts| self.refill(key, &facts, view)) {
            Ok(what) => Decision::Create {
                reason: format!("refill: its data is gone; {what}"),
                detail: json!({ "refill": true }),
            },
            Err(KindError::NotRefilled { source, .. }) => refuse(
                key,
                format!("its data is gone, and the others can't refill it: {source}"),
                &refill_hint(&key.name, &source),
            ),
            Err(error) => refuse(key, error.to_string(), "use a program that has this role"),
        }
    }

    /// What the others give a member that begins again with an empty disk.
    fn refill(&self, key: &Key, facts: &NodeFacts, view: Option<&GroupView>) -> Result<String, KindError> {
        let role = self.role(key, facts)?;
        let allowed = view.ok_or(NotSafe::NobodyAnswers).and_then(|view| role.refill(facts, view));
        allowed.map_err(|source| KindError::NotRefilled { key: key.clone(), source: Box::new(source) })
    }

    /// The same once a member is stopped that may lead its group now.
    fn refill_without(
        &self,
        key: &Key,
        facts: &NodeFacts,
        view: Option<&GroupView>,
    ) -> Result<String, KindError> {
        let role = self.role(key, facts)?;
        let then = view.map(|view| role.after_restart(&facts.node, view)).unwrap_or_default();
        let judged = self.refill(key, facts, view);
        then.iter().map(|view| self.refill(key, facts, Some(view))).find(Result::is_ok).unwrap_or(judged)
    }

    fn decide_change(&self, subject: &Subject<'_>, before: &Value, after: &Value) -> Option<Decision> {
        let key = subject.key;
        let declared = after;
        let (before, after) = match (facts(key, before), facts(key, declared)) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(error), _) | (_, Err(error)) => {
                return Some(refuse(key, error.to_string(), "use the Octad that made it"));
            }
        };
        let fixed = [
            ("role", before.role != after.role),
            ("group", before.group != after.group),
            ("id", before.id != after.id),
            ("host", before.host.name != after.host.name),
            ("software", before.software.name != after.software.name && !self.is_stateless(declared)),
        ];
        if let Some((field, _)) = fixed.iter().find(|(_, changed)| *changed) {
            return Some(refuse(
                key,
                format!("its {field} can't change: the data it holds belongs to what it was"),
                "declare a node with another name instead",
            ));
        }
        match self.role(key, &after).map(|role| role.allows_change(&before, &after)) {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(Decision::Refuse(refusal)),
            Err(error) => Some(refuse(key, error.to_string(), "use a program that has this role")),
        }
    }
}

/// Before its first success there is nothing of it that could be lost.
fn never_made(recorded: &Recorded) -> bool {
    recorded.is_pending() && recorded.outputs.is_null()
}

/// What helps where a member's group counts on a disk that isn't there.
pub(crate) fn counted_on_hint(node: &str) -> String {
    format!(
        "mount its disk, or bring its directory back; if it is lost for good, `octad up --refill {node}` has the others \
         fill an empty one, where they have all of it"
    )
}

/// What helps where the others don't have all that a member had.
fn refill_hint(node: &str, reason: &NotSafe) -> String {
    match reason {
        NotSafe::HeldByTooFew { topic, replicas, .. } if replicas.len() == 1 => format!(
            "nobody else has {topic}: restore its data; if it is lost for good, `octad state unprotect topic/{topic}` and an \
             `octad up --exclude {node}` without it in the stack file remove what is left of it"
        ),
        // All others that there can be are in sync, and have all of it.
        NotSafe::HeldByTooFew { topic, replicas, others, min_insync, .. }
            if replicas.len() <= *min_insync as usize && others.len() + 1 == replicas.len() =>
        {
            format!(
                "{topic} has no replica to spare: with `min.insync.replicas = {left}` under its `configs`, `octad up \
                 --exclude {node} --allow-loss topic/{topic}` lowers that first; then `octad up --refill {node}` has it \
                 filled, and the old figure can be put back",
                left = others.len()
            )
        }
        _ => format!(
            "bring the others back first (`octad up --exclude {node}` starts them), or restore its data"
        ),
    }
}

/// Whether the others will have all that a member holds once they are whole.
fn comes_to_pass(reason: &NotSafe) -> bool {
    match reason {
        NotSafe::HeldByTooFew { replicas, min_insync, .. } => replicas.len() > *min_insync as usize,
        reason => reason.may_pass(),
    }
}

/// What helps where a member can't leave.
fn removal_hint(reason: &NotSafe) -> &'static str {
    match reason {
        NotSafe::QuorumFixed => "put the old number of servers back, or `octad destroy` the whole stack",
        NotSafe::KeepsData { .. } => "declare it again, or `octad destroy` the whole stack",
        _ => "put the old number of brokers back, or move its replicas away with Kafka's own tools first",
    }
}

fn facts(key: &Key, inputs: &Value) -> Result<NodeFacts, KindError> {
    KindError::read(key, inputs)
}

fn refuse(key: &Key, reason: String, hint: &str) -> Decision {
    Decision::Refuse(Refusal { key: key.clone(), reason, hint: hint.into() })
}

#[async_trait]
impl Kind for NodeKind {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn validate(&self, inputs: &Value) -> Result<(), Malformed> {
        let facts = NodeFacts::deserialize(inputs)?;
        if self.roles.contains_key(facts.role.as_str()) {
            return Ok(());
        }
        let known: Vec<_> = self.roles.keys().copied().collect();
        Err(Malformed {
            path: None,
            message: format!("the role `{}` is not known", facts.role),
            hint: format!("known: {}", known.join(", ")),
        })
    }

    fn claims(&self, inputs: &Value) -> Vec<String> {
        let Ok(facts) = NodeFacts::deserialize(inputs) else { return Vec::new() };
        let ports = facts.ports.values().map(|port| format!("port {port} of host {}", facts.host.name));
        ports.chain([format!("id {} in the group {}", facts.id, facts.group)]).collect()
    }

    fn describe(&self, inputs: &Value) -> String {
        let Ok(facts) = NodeFacts::deserialize(inputs) else { return String::new() };
        let heap = facts.jvm.map(|jvm| format!(", heap {} MiB", jvm.heap_mib)).unwrap_or_default();
        format!("{} on {}{heap}", facts.software.wanted(), facts.host.name)
    }

    fn fit(&self, all: &Siblings<'_>) -> Fitted {
        let mut now: BTreeMap<String, Vec<NodeFacts>> = BTreeMap::new();
        for recorded in all.recorded.values() {
            let Ok(facts) = NodeFacts::deserialize(&recorded.inputs) else { continue };
            now.entry(facts.group.clone()).or_default().push(facts);
        }
        let mut fitted = Fitted::default();
        for (key, declared) in &all.declared {
            let Ok(wanted) = facts(key, declared) else { continue };
            let (Ok(role), Some(now)) = (self.role(key, &wanted), now.get(&wanted.group)) else { continue };
            if let Some(next) = role.waypoint(now, &wanted, all.groups.get(&wanted.group)) {
                fitted.inputs.insert((*key).clone(), json!(next));
                fitted.waypoints.insert((*key).clone());
            }
        }
        fitted
    }

    fn foreseen(&self, inputs: &Value, observed: &Observed, after: After<'_>) -> Observed {
        let seen = match observed {
            Observed::Present { detail, .. } => Seen::deserialize(detail).ok(),
            Observed::Absent | Observed::Unknown(_) => None,
        };
        let left = match after {
            After::Made => false,
            After::Started => seen.is_some_and(|seen| seen.left),
            After::Renewed(renewed) => {
                let host = facts(&Key::new(Self::NAME, "?"), inputs).map(|facts| facts.host.key());
                match (host, seen) {
                    (Ok(host), Some(seen)) if renewed.contains(&host) && seen.found.data => true,
                    // What has no data there has none anywhere.
                    (Ok(host), _) if renewed.contains(&host) => return Observed::Absent,
                    _ => return observed.clone(),
                }
            }
        };
        let run = RunState::Running { pid: 0, since_ms: 0, age_ms: 0, current: true, restarts: 0 };
        let found = NodeObservation { facts: Some(inputs.clone()), altered: Vec::new(), data: true, run };
        Seen { found, altered_files: Altered::new(), left }.observed()
    }

    fn decide(&self, subject: &Subject<'_>) -> Decision {
        let Some(declared) = subject.declared else { return self.decide_removal(subject) };
        // Only what is recorded can be taken for declared so: programs call a node as its facts do.
        if facts(subject.key, declared).is_ok_and(|facts| facts.node != subject.key.name) {
            return refuse(subject.key, "its rename was cut off".into(), "`octad up` goes on with it");
        }
        let creates = |reason: &str| {
            let bootstrap = facts(subject.key, declared)
                .and_then(|facts| self.role(subject.key, &facts).cloned())
                .map(|role| match &subject.group {
                    // Who is led has members with data, whatever is recorded of them.
                    Some(group) if group.view.is_some_and(|view| view.leader().is_some()) => false,
                    Some(group) => role.bootstraps(group.recorded, group.declared),
                    None => true,
                });
            match bootstrap {
                Ok(bootstrap) => {
                    Decision::Create { reason: reason.to_owned(), detail: json!({ "bootstrap": bootstrap }) }
                }
                Err(error) => refuse(subject.key, error.to_string(), "use a program that has this role"),
            }
        };
        let seen = match subject.observed {
            Observed::Present { detail, .. } => Seen::deserialize(detail).ok(),
            _ => None,
        };
        // Also where the state forgot it: it runs there.
        if let Some(seen) = seen.as_ref().filter(|seen| seen.left) {
            return self.decide_move(subject, &seen.found, declared);
        }
        let Some(recorded) = subject.recorded else {
            return self.decide_empty(subject, declared).unwrap_or_else(|| creates(""));
        };
        let found = match subject.observed {
            Observed::Present { .. } => seen.map(|seen| seen.found),
            Observed::Absent => None,
            Observed::Unknown(why) => {
                return refuse(
                    subject.key,
                    format!("its host can't be asked how it stands: {why}"),
                    &format!(
                        "make the host reachable (on this machine, `kill -CONT` has a supervisor go on that was halted); \
                         `octad up --exclude {}` does what can be done without it",
                        subject.key.name
                    ),
                );
            }
        };
        let found = match found {
            Some(found) if found.data => found,
            _ if never_made(recorded) => {
                let decided = self.decide_empty(subject, declared);
                return decided.unwrap_or_else(|| creates("an earlier up was cut off"));
            }
            None if self.is_stateless(declared) => return creates("it is gone"),
            lost => return self.decide_lost(subject, recorded, declared, lost.as_ref()),
        };
        if subject.refill {
            let stateless = self.is_stateless(declared);
            let reason = if stateless { "it keeps no data" } else { "its data is there" };
            return refuse(subject.key, reason.into(), "leave its `--refill` away");
        }
        // What lies on the host outranks what was noted: an update that was cut off may have got so far or not.
        let Some(before) = found.facts.as_ref() else { return creates("its configuration is missing") };
        if let Some(decision) = self.decide_change(subject, before, declared) {
            return decision;
        }
        let changes = compare(before, declared);
        let restart = |reason: String| Decision::Update {
            changes: changes.clone(),
            reason,
            disrupts: subject.group.as_ref().map(|group| group.name.to_owned()),
        };
        match found.run {
            RunState::Running { .. } if !changes.is_empty() => restart(String::new()),
            RunState::Running { .. } if !found.altered.is_empty() => {
                restart(format!("{} changed by another hand", found.altered.join(", ")))
            }
            RunState::Running { current: false, .. } => restart("runs an older configuration".into()),
            RunState::Running { .. } if subject.restart => restart("a restart is asked for".into()),
            RunState::Running { .. } if recorded.is_pending() => creates("an earlier up was cut off"),
            RunState::Running { .. } => Decision::Same,
            RunState::Restarting { last_exit, .. } => {
                // The supervisor is at it; only a change of inputs or files makes `up` take part.
                if changes.is_empty() && found.altered.is_empty() {
                    return Decision::Same;
                }
                Decision::Update { changes, reason: format!("keeps failing ({last_exit})"), disrupts: None }
            }
            // It may go on at any moment, and its group may still count on it.
            RunState::Frozen => restart("is frozen".into()),
            RunState::Stopping => Decision::Update { changes, reason: "is stopping".into(), disrupts: None },
            RunState::Stopped => Decision::Update { changes, reason: "is stopped".into(), disrupts: None },
            RunState::Failed { reason } => Decision::Update { changes, reason, disrupts: None },
        }
    }

    fn protects(&self, recorded: &Recorded) -> bool {
        !never_made(recorded) && !self.is_stateless(&recorded.inputs)
    }

    fn losses(&self, subject: &Subject<'_>) -> Vec<Loss> {
        let Some((declared, recorded)) = subject.declared.zip(subject.recorded) else { return vec![] };
        // What lies on the host is what it runs with.
        let seen = match subject.observed {
            Observed::Present { detail, .. } => Seen::deserialize(detail).ok(),
            _ => None,
        };
        let (found, altered) = seen.map(|seen| (seen.found.facts, seen.altered_files)).unwrap_or_default();
        let before = found.unwrap_or_else(|| recorded.inputs.clone());
        let (Ok(before), Ok(after)) = (facts(subject.key, &before), facts(subject.key, declared)) else {
            return vec![];
        };
        let of = Key::new("group", &after.group);
        let role = self.role(subject.key, &after).ok();
        let lowered = role.map(|role| role.losses(&before, &altered, &after)).unwrap_or_default();
        lowered.into_iter().map(|what| Loss { of: of.clone(), what }).collect()
    }

    fn allows_rename(&self, _key: &Key) -> Result<(), Refusal> {
        Ok(())
    }

    fn drift(&self, recorded: &Recorded, observed: &Observed) -> Drift {
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
        match (found.facts, found.run) {
            _ if !found.data => lost(),
            (Some(inputs), _) if inputs != recorded.inputs => Drift::Changed {
                changes: compare(&recorded.inputs, &inputs),
                inputs,
                outputs: recorded.outputs.clone(),
            },
            (None, _) => impaired("its configuration is missing".into()),
            _ if !found.altered.is_empty() => {
                impaired(format!("{} changed by another hand", found.altered.join(", ")))
            }
            (_, RunState::Frozen) => impaired("is frozen".into()),
            (_, RunState::Stopping) => impaired("is stopping".into()),
            (_, RunState::Stopped) => impaired("is stopped".into()),
            (_, RunState::Failed { reason }) => impaired(format!("does not run: {reason}")),
            (_, RunState::Restarting { last_exit, .. }) => impaired(format!("keeps failing ({last_exit})")),
            (_, RunState::Running { .. }) => Drift::None,
        }
    }

    async fn observe(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
    ) -> BTreeMap<Key, Observed> {
        let looks = subjects.iter().map(|(key, instance)| async move {
            let observed = match seen(surroundings, key, &instance.inputs).await {
                Ok(Some(mut seen)) => {
                    // Nothing is gone of what keeps none, also where its host doesn't know.
                    seen.found.data |= self.is_stateless(&instance.inputs);
                    seen.observed()
                }
                Ok(None) => Observed::Absent,
                Err(error) => Observed::Unknown(with_causes(&error)),
            };
            (key.clone(), observed)
        });
        futures_util::future::join_all(looks).await.into_iter().collect()
    }

    async fn lacking(&self, surroundings: &dyn Surroundings, work: &[Work]) -> Result<Vec<Lack>, KindError> {
        let mut by_backend: BTreeMap<String, Vec<Deployment>> = BTreeMap::new();
        for item in work {
            let Ok(deployment) = self.deployment(&item.key, &item.inputs) else { continue };
            let backend = surroundings.backend_of(&deployment.facts.host.key())?;
            by_backend.entry(backend).or_default().push(deployment);
        }
        let mut lacking = Vec::new();
        for (backend, all) in by_backend {
            lacking.extend(surroundings.backend(&backend)?.lacking(&all).await);
        }
        Ok(lacking)
    }

    async fn stage(&self, surroundings: &dyn Surroundings, work: &[Work]) -> Result<(), KindError> {
        let mut by_backend: BTreeMap<String, (Vec<_>, Vec<_>)> = BTreeMap::new();
        for item in work {
            // What waits for an address of a host yet to be made is made ready when it is deployed.
            let Ok(deployment) = self.deployment(&item.key, &item.inputs) else { continue };
            let host = deployment.facts.host.key();
            let (starting, all) = by_backend.entry(surroundings.backend_of(&host)?).or_default();
            let handle = surroundings.host(&host)?;
            // What has a process has its ports.
            let found = location::look(handle.as_ref(), surroundings, &item.key).await?;
            if found.is_none_or(|found| !found.run.has_process()) {
                starting.push((handle, deployment.clone()));
            }
            all.push(deployment);
        }
        for (backend, (starting, all)) in by_backend {
            surroundings.backend(&backend)?.stage(&starting, &all, &surroundings.progress()).await?;
        }
        Ok(())
    }

    async fn files(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<Option<(Files, Files)>, KindError> {
        let deployment = self.deployment(key, inputs)?;
        let host = location::host_with(surroundings, &deployment.facts.host.key(), key).await?;
        let lying = host.files(&location::name(host.as_ref(), surroundings, key).await?).await?;
        Ok(Some((readable(lying), readable(host.render(&deployment)))))
    }

    async fn create(
        &self,
        surroundings: &dyn Surroundings,
        deed: &Deed<'_>,
        inputs: &Value,
        detail: &Value,
    ) -> Result<Value, KindError> {
        let key = deed.key;
        let deployment = self.deployment(key, inputs)?;
        let host = surroundings.host(&deployment.facts.host.key())?;
        let told = |what: &str| detail.get(what).and_then(Value::as_bool).unwrap_or(false);
        if told("refill") {
            // The others may have moved on since the plan was made.
            let view = view(surroundings, &deployment.facts.group).await;
            self.refill(key, &deployment.facts, view.as_ref())?;
        } else if location::look(host.as_ref(), surroundings, key).await?.is_none_or(|found| !found.data) {
            let role = self.role(key, &deployment.facts)?.as_ref();
            vacant(surroundings, key, role, &deployment.facts).await?;
        }
        location::rename(host.as_ref(), surroundings, key, STOP_TIMEOUT, None).await?;
        let generation = self.put(host.as_ref(), key, deployment, told("bootstrap")).await?;
        host.start(&key.name).await?;
        Ok(json!({ "generation": generation }))
    }

    async fn start(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<Value, KindError> {
        match location::left(surroundings, &facts(key, inputs)?.host.key(), key).await? {
            // Where it lies, with what it has there.
            Some(left) => {
                left.host.start(&left.name).await?;
                Ok(json!({ "generation": surroundings.output(key, "generation") }))
            }
            None => self.update_at_rest(surroundings, key, inputs, inputs).await,
        }
    }

    async fn update_at_rest(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Value,
        after: &Value,
    ) -> Result<Value, KindError> {
        // A host that was down starts its nodes by itself as soon as it is up. Such a node may serve by now, and to
        // restart it would take a healthy member away outside a roll.
        let deployment = self.deployment(key, after)?;
        let host = surroundings.host(&deployment.facts.host.key())?;
        // A process that runs by the time of the stop came back as well.
        let until = Some(Until::within(Duration::ZERO));
        if let Some(left) = location::left(surroundings, &deployment.facts.host.key(), key).await? {
            // The same: only what doesn't run there moves outside a roll.
            return match left.found.run.has_process() {
                true => Err(KindError::CameBack { key: key.clone() }),
                false => self.move_in(surroundings, key, after, left, until).await,
            };
        }
        match location::look(host.as_ref(), surroundings, key).await? {
            Some(found) if runs_as_declared(&found, &deployment.facts) => {
                Ok(json!({ "generation": host.install(&deployment).await? }))
            }
            Some(found) if matches!(found.run, RunState::Running { .. } | RunState::Frozen) => {
                Err(KindError::CameBack { key: key.clone() })
            }
            _ => match self.update(surroundings, key, before, after, until).await {
                Err(KindError::Host(HostError::TooLate { .. })) => {
                    Err(KindError::CameBack { key: key.clone() })
                }
                updated => updated,
            },
        }
    }

    async fn update(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        _before: &Value,
        after: &Value,
        until: Option<Until>,
    ) -> Result<Value, KindError> {
        let host = facts(key, after)?.host.key();
        if let Some(left) = location::left(surroundings, &host, key).await? {
            return self.move_in(surroundings, key, after, left, until).await;
        }
        let host = surroundings.host(&host)?;
        let name = location::name(host.as_ref(), surroundings, key).await?;
        self.restart(surroundings, key, after, patience(host.as_ref(), &name).await?, until).await
    }

    fn reversible(&self, key: &Key, before: &Value, after: &Value) -> bool {
        let (Ok(before), Ok(after)) = (facts(key, before), facts(key, after)) else { return false };
        // An address of the host before is not the new one's.
        before.host.address == after.host.address
            && self.role(key, &after).is_ok_and(|role| role.reversible(&before, &after))
    }

    async fn halt(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<bool, KindError> {
        let host = location::host_with(surroundings, &facts(key, inputs)?.host.key(), key).await?;
        let name = location::name(host.as_ref(), surroundings, key).await?;
        match host.node(&name).await? {
            None => Ok(false),
            Some(found) => {
                // Also where it doesn't run: one that keeps failing would be started again.
                host.stop(&name, STOP_TIMEOUT, None).await?;
                Ok(!matches!(found.run, RunState::Stopped))
            }
        }
    }

    async fn delete(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Instance,
    ) -> Result<(), KindError> {
        let facts = facts(key, &before.inputs)?;
        let host = location::host_with(surroundings, &facts.host.key(), key).await?;
        let name = location::name(host.as_ref(), surroundings, key).await?;
        let goes_on = surroundings.goes_on(&facts.group);
        if goes_on && !self.is_stateless(&before.inputs) {
            let role = self.role(key, &facts)?.as_ref();
            let leaving =
                Leaving { surroundings, key, facts: &facts, role, host: host.as_ref(), name: &name };
            leaving.leave(patience(host.as_ref(), &name).await?).await?;
            // Where it moved to that host, a copy of it may lie on the one before.
            for old in host::outgoing(surroundings, &facts.host.key())? {
                let name = location::name(old.as_ref(), surroundings, key).await?;
                if old.node(&name).await?.is_some() {
                    old.remove(&name).await?;
                }
            }
            return Ok(());
        }
        // Where all data of the group goes there is nothing that a long goodbye would save.
        let goodbye = if goes_on { STOP_TIMEOUT } else { Duration::from_secs(2) };
        let hosts = host::outgoing(surroundings, &facts.host.key())?.into_iter();
        for host in hosts.chain([surroundings.host(&facts.host.key())?]) {
            let name = location::name(host.as_ref(), surroundings, key).await?;
            host.stop(&name, goodbye, None).await?;
            host.remove(&name).await?;
        }
        Ok(())
    }
}

/// How a node stands on its host, with the files that another hand changed.
#[derive(Serialize, Deserialize)]
struct Seen {
    #[serde(flatten)]
    found: NodeObservation,
    #[serde(default, skip_serializing_if = "Altered::is_empty")]
    altered_files: Altered,
    /// It lies on a host that another has taken the place of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
}

impl Seen {
    fn observed(self) -> Observed {
        Observed::Present {
            status: status(&self.found).into(),
            process: process_seen(&self.found.run),
            broken: broken(&self.found.run),
            detail: json!(self),
        }
    }
}

/// Looks for a node, on its host or the one that this takes the place of.
async fn seen(surroundings: &dyn Surroundings, key: &Key, inputs: &Value) -> Result<Option<Seen>, KindError> {
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

/// How long those may be silent who know whether a new member is counted on. They were healthy a moment ago.
const SILENCE: Duration = Duration::from_secs(30);

/// Waits until it is known that nobody counts on what a new member's disk would hold.
async fn vacant(
    surroundings: &dyn Surroundings,
    key: &Key,
    role: &dyn Role,
    facts: &NodeFacts,
) -> Result<(), KindError> {
    let vacant = answered(|| role.vacant(surroundings.wire(), facts)).await;
    vacant.map_err(|source| KindError::NotBegun { key: key.clone(), source: Box::new(source) })
}

/// Asks again while the answer may be another one soon, for as long as those who know may be silent.
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
async fn patience(host: &dyn Host, name: &str) -> Result<Duration, HostError> {
    let found = host.node(name).await?;
    let frozen = found.is_some_and(|found| found.run == RunState::Frozen);
    Ok(if frozen { FROZEN_STOP_TIMEOUT } else { STOP_TIMEOUT })
}

/// Files with the options of the virtual machine in place of the facts, which say all the rest once more.
fn readable(mut files: Files) -> Files {
    let facts = files.remove(crate::host::FACTS_FILE);
    let facts = facts.and_then(|text| serde_json::from_str::<NodeFacts>(&text).ok());
    if let Some(jvm) = facts.and_then(|facts| facts.jvm) {
        files.insert("JVM options".into(), jvm.flags().join("\n") + "\n");
    }
    files
}

fn runs_as_declared(found: &NodeObservation, facts: &NodeFacts) -> bool {
    matches!(found.run, RunState::Running { current: true, .. })
        && found.altered.is_empty()
        && found.facts.as_ref() == Some(&json!(facts))
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
