//! Consent to the removal of what is protected, and taking it back. Pure.

use super::{Record, State};
use crate::model::{Key, Refusal};
use crate::registry::Registry;

/// The record with which `key`, which must be recorded, is protected or no longer is.
///
/// # Errors
/// Where it holds nothing that its kind protects: whoever consents to its removal means something else.
pub fn protect(registry: &Registry, state: &State, key: &Key, protected: bool) -> Result<Record, Refusal> {
    let protects = |kind: &dyn crate::resource::Kind| {
        state.resources.get(key).is_none_or(|recorded| kind.protects(recorded))
    };
    if registry.kind(&key.kind).is_none_or(|kind| protects(kind.as_ref())) {
        return Ok(Record::Protect { key: key.clone(), protected });
    }
    let holds = |other: &Key| {
        let recorded = state.resources.get(other);
        recorded.is_some_and(|recorded| {
            let kind = registry.kind(&other.kind);
            recorded.needs.contains(key) && kind.is_some_and(|kind| kind.protects(recorded))
        })
    };
    let others: Vec<String> =
        state.resources.keys().filter(|other| holds(other)).map(ToString::to_string).collect();
    let verb = if protected { "protect" } else { "unprotect" };
    Err(Refusal {
        key: key.clone(),
        reason: "it holds no data of its own, and needs no consent to its removal".into(),
        hint: match others.first() {
            Some(first) => format!("`octad state {verb} {first}` is about the data that is on it"),
            None => "`octad state list` tells what there is; nodes and topics are protected".into(),
        },
    })
}
