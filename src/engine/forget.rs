//! Forgets a resource without touching it. Pure.

use super::{Outcome, Record, State};
use crate::model::{Key, Refusal};
use crate::registry::Registry;
use crate::resource::Recorded;

/// The record with which the state no longer knows `key`, which must be recorded. With `force` it may be one that
/// others are recorded as needing.
///
/// # Errors
/// Where others need it, or it is protected: forgotten, it would be made again as if it had never held anything.
pub fn forget(registry: &Registry, state: &State, key: &Key, force: bool) -> Result<Record, Refusal> {
    let refuse = |reason: String, hint: String| Refusal { key: key.clone(), reason, hint };
    let protected = |recorded: &Recorded| {
        let kind = registry.kind(&key.kind).filter(|kind| !kind.outlives_its_record());
        kind.is_some_and(|kind| recorded.is_protected(kind.as_ref()))
    };
    if state.resources.get(key).is_some_and(protected) {
        return Err(refuse(
            "it is protected: forgotten, it would be made again as if it had never held data".into(),
            format!("`octad state unprotect {key}` first"),
        ));
    }
    let needing = state.resources.iter().filter(|(_, recorded)| recorded.needs.contains(key));
    let needing: Vec<String> = needing.map(|(other, _)| other.to_string()).collect();
    if !force && !needing.is_empty() {
        let hint = "forget those first, or add `--force`";
        return Err(refuse(format!("it is needed by {}", needing.join(", ")), hint.into()));
    }
    Ok(Record::End { key: key.clone(), outcome: Outcome::Removed })
}
