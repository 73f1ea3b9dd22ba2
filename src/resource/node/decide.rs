//! What is to be done about a node, and what helps where that is refused. Pure.

use super::seen::Seen;
use super::{NodeKind, facts};
use crate::host::{NodeObservation, RunState, SystemChange};
use crate::model::{Deployment, Key, NodeFacts, Refusal};
use crate::resource::host::decide::of_system;
use crate::resource::{Decision, KindError, Observed, Recorded, Subject};
use crate::role::{GroupView, NotSafe};
use serde::Deserialize;
use serde_json::{Value, json};

impl NodeKind {
    pub(super) fn decide_declared(&self, subject: &Subject<'_>, declared: &Value) -> Decision {
        // A program declares a node by the name in its facts: these are recorded inputs, of a rename that was cut off.
        if facts(subject.key, declared).is_ok_and(|facts| facts.node != subject.key.name) {
            return refuse(subject.key, "its rename was cut off".into(), "`octad up` goes on with it");
        }
        let creates = |reason: &str| {
            let bootstrap = facts(subject.key, declared)
                .and_then(|facts| self.role(subject.key, &facts).cloned())
                .map(|role| match &subject.group {
                    // A group with a leader has members with data, whatever is recorded of them.
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
            let created = self.decide_empty(subject, declared).unwrap_or_else(|| creates(""));
            let unknown = || self.decide_unknown(subject, seen.as_ref().map(|seen| &seen.found));
            return if bootstraps(&created) { unknown().unwrap_or(created) } else { created };
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
        let Some(before) = found.deployment.as_ref() else { return creates("its configuration is missing") };
        if let Some(decision) = self.decide_change(subject, before, declared) {
            return decision;
        }
        let mut changes = self.changes(before, declared);
        if changes.is_empty() {
            // Its document is the same, and what its host makes of it isn't.
            let renewed = subject.system.filter(|system| system.renewed.contains(&subject.key.name));
            changes.extend(renewed.map(of_system));
        }
        let boots = subject.reboot && subject.system.is_some_and(SystemChange::only_lacks_boot);
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
            RunState::Running { .. } if boots => restart("its host is to boot".into()),
            RunState::Running { .. } if subject.restart => restart("a restart is asked for".into()),
            RunState::Running { .. } if recorded.is_pending() => creates("an earlier up was cut off"),
            // Its group is looked at by what is recorded of it.
            RunState::Running { .. } if recorded.inputs != *declared => {
                creates("what is recorded of it is older")
            }
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

    pub(super) fn decide_removal(&self, subject: &Subject<'_>) -> Decision {
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

    /// One that a group would begin with, that was never made here, and that its host has with its configuration and without its
    /// data: it may have had any. `None` where that isn't so.
    fn decide_unknown(&self, subject: &Subject<'_>, found: Option<&NodeObservation>) -> Option<Decision> {
        let found = found.filter(|found| {
            found.deployment.is_some() && !found.data && !subject.refill && !subject.format
        })?;
        if found.deployment.as_ref().is_some_and(|document| self.is_stateless(document)) {
            return None;
        }
        let name = &subject.key.name;
        let facts = subject.declared.and_then(|declared| facts(subject.key, declared).ok());
        let host = facts.map_or_else(|| "HOST".to_owned(), |facts| facts.host.name);
        Some(refuse(
            subject.key,
            "its host has its configuration and no data of it, and nothing is recorded of what there was"
                .into(),
            &format!(
                "mount its disk; where that is a new one and blank, `octad up --format {host}` formats it; where what it held is \
                 lost, `octad up --refill {name}` has the others fill an empty one, where they have all of it"
            ),
        ))
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
        let before = found.deployment.as_ref().unwrap_or(declared);
        if let Some(decision) = self.decide_change(subject, before, declared) {
            return decision;
        }
        let view = subject.group.as_ref().and_then(|group| group.view);
        let moves = |how: &str| Decision::Update {
            changes: self.changes(before, declared),
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
            // Its turn waits until they can; where they don't in time, it is started on its old host again.
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
    pub(super) fn refill(
        &self,
        key: &Key,
        facts: &NodeFacts,
        view: Option<&GroupView>,
    ) -> Result<String, KindError> {
        let role = self.role(key, facts)?;
        let allowed = view.ok_or(NotSafe::NobodyAnswers).and_then(|view| role.refill(facts, view));
        allowed.map_err(|source| KindError::NotRefilled { key: key.clone(), source: Box::new(source) })
    }

    /// The same as of once the member itself has stopped, which may lead its group now.
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
        // What it is can't be put back by whoever doesn't know that form.
        if let Err(error) = Deployment::of(before) {
            return Some(refuse(key, error.to_string(), "use the Octad that made it"));
        }
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

/// Whether a group begins with this one, which asks nobody what there was.
fn bootstraps(decision: &Decision) -> bool {
    matches!(decision, Decision::Create { detail, .. } if detail["bootstrap"] == true)
}

/// Before its first success there is nothing of it that could be lost.
pub(super) fn never_made(recorded: &Recorded) -> bool {
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
        // It isn't for the others to come back: they are no help.
        NotSafe::NotRebuilt { .. } => format!(
            "restore its data; if it is lost for good and it may begin with none, `octad state unprotect node/{node}` and \
             `octad state rm node/{node}` forget it, and the next `octad up` makes it anew"
        ),
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

fn refuse(key: &Key, reason: String, hint: &str) -> Decision {
    Decision::Refuse(Refusal { key: key.clone(), reason, hint: hint.into() })
}
