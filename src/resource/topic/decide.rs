//! What is to be done about a topic. Pure.

use super::found::{Found, UNKNOWN_ORIGIN, another, is_of_unknown_origin, never_ended, ours};
use super::{TopicInputs, read};
use crate::model::{Key, Refusal, compare};
use crate::resource::{Decision, Observed, Subject};
use serde_json::{Value, json};

/// Also of one that is no longer declared.
pub(super) fn decide(subject: &Subject<'_>) -> Decision {
    let key = subject.key;
    let Some(declared) = subject.declared else {
        let gone = *subject.observed == Observed::Absent;
        let loses = if gone { String::new() } else { "all its records".into() };
        let of_unknown_origin = |recorded| {
            let found = Found::read(subject.observed)?;
            is_of_unknown_origin(recorded, &found).then(|| UNKNOWN_ORIGIN.to_owned())
        };
        let not_ours = |recorded| another(recorded, subject.observed).or_else(|| of_unknown_origin(recorded));
        let not_ours = subject.recorded.and_then(not_ours);
        if let Some(group) = subject.group.as_ref().filter(|group| group.declared == 0) {
            let loses = match not_ours {
                Some(another) => format!("{loses}: {another}"),
                None => loses,
            };
            return Decision::Forget { with: Some(group.name.to_owned()), loses };
        }
        // One that another hand makes from now on is nobody's here.
        if gone {
            return Decision::Forget { with: None, loses };
        }
        return match not_ours {
            Some(another) => refuse(
                key,
                format!("it is no longer declared, and is not removed: {another}"),
                &format!("`octad state rm {key}` has this stack forget it, and leaves it as it is"),
            ),
            None => Decision::Delete { loses },
        };
    };
    let (recorded, declared) = match (subject.recorded.map(|r| read(key, &r.inputs)), read(key, declared)) {
        (None, Ok(declared)) => (None, declared),
        (Some(Ok(recorded)), Ok(declared)) => (Some(recorded), declared),
        (Some(Err(error)), _) | (_, Err(error)) => {
            return refuse(key, error.to_string(), "use the Octad that made it");
        }
    };
    match (recorded, subject.observed) {
        // Never ours: one that exists all the same is not taken over behind its owner's back.
        (None, Observed::Present { .. }) => refuse(
            key,
            "a topic of this name exists and was not made by this stack".into(),
            &format!("`octad import {key}` takes it over as it is; or declare it under another name"),
        ),
        (None, _) => Decision::Create { reason: String::new(), detail: Value::Null },
        (Some(_), Observed::Absent) => {
            let reason = if subject.recorded.is_some_and(never_ended) {
                "an earlier up could not make it"
            } else {
                "was deleted by another hand"
            };
            Decision::Create { reason: reason.into(), detail: Value::Null }
        }
        (Some(_), Observed::Unknown(_)) if subject.recorded.is_some_and(never_ended) => {
            Decision::Create { reason: "an earlier up could not make it".into(), detail: Value::Null }
        }
        (Some(recorded), Observed::Unknown(_)) => decide_change(key, &recorded, &declared, ""),
        (Some(recorded), Observed::Present { .. }) => {
            let (Some(known), Some(found)) = (subject.recorded, Found::read(subject.observed)) else {
                return decide_change(key, &recorded, &declared, "");
            };
            let ours = ours(known);
            let of_interest = |name: &str| ours.contains(name) || declared.configs.contains_key(name);
            let outside = found.inputs(&recorded.cluster, of_interest);
            let reason = if found.inputs(&recorded.cluster, |name| ours.contains(name)) == recorded {
                ""
            } else {
                "was changed by another hand"
            };
            let decision = decide_change(key, &outside, &declared, reason);
            let imports = format!("`octad import {key}` takes it over as it is");
            if let Some(another) = another(known, subject.observed) {
                return match decision {
                    Decision::Same => Decision::Same,
                    _ => refuse(key, format!("it is not changed: {another}"), &imports),
                };
            }
            match decision {
                _ if is_of_unknown_origin(known, &found) => refuse(key, UNKNOWN_ORIGIN.into(), &imports),
                // Only what became of it is to be recorded.
                Decision::Same if known.is_pending() => {
                    let (reason, changes) =
                        ("an earlier up was cut off".to_owned(), compare(&known.inputs, &json!(declared)));
                    match never_ended(known) || changes.is_empty() {
                        true => Decision::Create { reason, detail: json!({ "id": found.id }) },
                        false => Decision::Update { changes, reason, disrupts: None },
                    }
                }
                decision => decision,
            }
        }
    }
}

fn decide_change(key: &Key, before: &TopicInputs, after: &TopicInputs, reason: &str) -> Decision {
    if after.cluster != before.cluster {
        return refuse(key, "it can't move to another cluster".into(), "declare a topic with another name");
    }
    if after.partitions < before.partitions {
        let by = if reason.is_empty() { String::new() } else { format!(" (it {reason})") };
        return refuse(
            key,
            format!(
                "its partitions can't shrink from {} to {}{by}: the records in the others would be lost",
                before.partitions, after.partitions
            ),
            &format!(
                "declare {} of them, or another topic with fewer, and move the records",
                before.partitions
            ),
        );
    }
    if after.replication_factor != before.replication_factor {
        return refuse(
            key,
            format!(
                "its replication factor can't change from {} to {} yet",
                before.replication_factor, after.replication_factor
            ),
            "put the old figure back, or move replicas with Kafka's own tools first",
        );
    }
    let changes = compare(&json!(before), &json!(after));
    if changes.is_empty() {
        return Decision::Same;
    }
    Decision::Update { changes, reason: reason.to_owned(), disrupts: None }
}

fn refuse(key: &Key, reason: String, hint: &str) -> Decision {
    Decision::Refuse(Refusal { key: key.clone(), reason, hint: hint.into() })
}
