//! What is to be done about a host. Pure.

use super::{Found, HostKind, UNCONFIRMED, UP};
use crate::host::{SystemChange, lock_out_hint};
use crate::model::{Key, PropertyChange, Refusal, compare};
use crate::resource::{Decision, Kind as _, Observed, Recorded, Subject};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeSet;

impl HostKind {
    /// Of one that is declared.
    pub(super) fn decide_declared(&self, subject: &Subject<'_>, declared: &Value) -> Decision {
        let Some(recorded) = subject.recorded else {
            if let Observed::Unknown(why) = subject.observed {
                return Decision::Refuse(Refusal {
                    key: subject.key.clone(),
                    reason: format!("it can't be told whether it is there: {why}"),
                    hint: "make it reachable, or correct what the stack file says of it".into(),
                });
            }
            return Decision::Create { reason: String::new(), detail: Value::Null };
        };
        if matches!(subject.observed, Observed::Present { status, .. } if status == UNCONFIRMED) {
            return Decision::Confirm {
                reason: "an earlier up was cut off, and its change is on trial".into(),
            };
        }
        let changes = compare(&recorded.inputs, declared);
        let is_another = changes.iter().any(|change| change.path != "zone");
        if is_another && !self.is_same(&recorded.inputs, declared) {
            if self.renews(&recorded.inputs, declared) {
                return Decision::Renew { changes, reason: String::new() };
            }
            let fields: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
            return Decision::Refuse(Refusal {
                key: subject.key.clone(),
                reason: format!("its {} can't change while it holds a node", fields.join(" and ")),
                hint: "declare a host with another name and move the node, or destroy the stack".into(),
            });
        }
        if let Some(refused) = lock_out(subject) {
            return refused;
        }
        let mut changes = changes;
        let system = subject.system.filter(|system| system.interrupts_nobody());
        changes.extend(system.map(of_system));
        match subject.observed {
            _ if recorded.is_pending() => {
                Decision::Create { reason: "an earlier up was cut off".into(), detail: Value::Null }
            }
            Observed::Absent => Decision::Create { reason: "is gone".into(), detail: Value::Null },
            Observed::Present { status, .. } if status != UP => {
                Decision::Update { changes, reason: format!("is {status}"), disrupts: None }
            }
            Observed::Present { detail, .. }
                if Found::deserialize(detail).is_ok_and(|found| found.outgoing_down) =>
            {
                let reason = "the one before is down, and what still lies there".into();
                Decision::Update { changes, reason, disrupts: None }
            }
            _ if changes.is_empty() => Decision::Same,
            _ => {
                let reason = system.map(|_| "no server is restarted".to_owned()).unwrap_or_default();
                Decision::Update { changes, reason, disrupts: None }
            }
        }
    }
}

/// Refuses to bring a host what it may be lost by, where nobody consented to that by its name.
fn lock_out(subject: &Subject<'_>) -> Option<Decision> {
    let system = subject.system.filter(|system| !system.risks.is_empty() && !subject.lockout)?;
    Some(Decision::Refuse(Refusal {
        key: subject.key.clone(),
        reason: format!("it could be lost: {}", system.risks.join("; ")),
        hint: lock_out_hint(&subject.key.name),
    }))
}

/// The change of the system of a host, as one of its inputs.
pub(in crate::resource) fn of_system(system: &SystemChange) -> PropertyChange {
    let told = |system: &str| Some(Value::from(shortened(system)));
    PropertyChange { path: "system".into(), before: told(&system.runs), after: told(&system.makes) }
}

/// A system by the beginning of its hash, which tells it from any other.
fn shortened(system: &str) -> String {
    system.rsplit('/').next().unwrap_or(system).chars().take(8).collect()
}

/// A host goes with all that lies on it, so that nothing may lie there which isn't removed by a step of its own, after
/// what that asks for.
pub(super) fn decide_removal(subject: &Subject<'_>) -> Decision {
    let refuse = |reason, hint: &str| {
        Decision::Refuse(Refusal { key: subject.key.clone(), reason, hint: hint.to_owned() })
    };
    let gone = Decision::Delete { loses: String::new() };
    let detail = match subject.observed {
        Observed::Absent => return gone,
        Observed::Unknown(why) => {
            return refuse(
                format!("what lies on it is not known: {why}"),
                "make the host reachable; on this machine, `kill -CONT` has a supervisor go on that was halted",
            );
        }
        Observed::Present { detail, .. } => detail,
    };
    let Ok(found) = Found::deserialize(detail) else {
        return refuse(
            "what lies on it is told in a form that is not known".into(),
            "use the Octad that made it",
        );
    };
    // A rename that was cut off leaves a node under its old name or its new one.
    let names = |(key, recorded): &(&Key, &Recorded)| {
        let old = recorded.inputs.get("node").and_then(Value::as_str).map(str::to_owned);
        [Some(key.name.clone()), old].into_iter().flatten()
    };
    let known: BTreeSet<String> = subject.needed_by.iter().flat_map(names).collect();
    let unknown: Vec<&str> = found.nodes.difference(&known).map(String::as_str).collect();
    if unknown.is_empty() { gone } else { refuse(holds(&unknown), HOLDS_HINT) }
}

fn holds(nodes: &[&str]) -> String {
    let (node, its) = if nodes.len() == 1 { ("the node", "its") } else { ("the nodes", "their") };
    format!(
        "it holds {node} {}, of which the stack knows nothing, and {its} data would go with it",
        nodes.join(", ")
    )
}

const HOLDS_HINT: &str = "declare it as it was: `octad up` finds it as it is, and it can be removed then; or remove its \
                          directory by hand";
