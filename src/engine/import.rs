//! Takes over a declared resource that exists and that the state has never heard of, or in whose place another is. Pure.

use super::planner::siblings;
use super::{Inventory, Outcome, Record, State, identity};
use crate::model::{Key, Refusal, resolve};
use crate::registry::Registry;
use crate::resource::{Adopted, Fitted, Observed, Subject};
use crate::stack::{ValidStack, direct_needs};
use serde_json::Value;

/// The records with which the state knows `key` as it was found. What differs from its declaration is the next plan's.
///
/// # Errors
/// Where it isn't declared, is recorded already, doesn't exist, or is of a kind that can't be taken over; and where it is
/// not the stack's own groups that answer.
pub fn import(
    registry: &Registry,
    stack: &ValidStack,
    state: &State,
    inventory: &Inventory,
    key: &Key,
) -> Result<Vec<Record>, Refusal> {
    let refuse = |reason: &str, hint: &str| Refusal {
        key: key.clone(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    };
    let Some(declared) = stack.resources.get(key) else {
        return Err(refuse("it is not declared", "declare it in the stack file first, as it is to be"));
    };
    if let Some(stranger) = identity::strangers(registry, state, inventory).into_iter().next() {
        return Err(stranger);
    }
    let Some(kind) = registry.kind(&key.kind) else {
        return Err(refuse("this program doesn't know its kind", "use the program that has it"));
    };
    let fitted = kind.fit(&siblings(&key.kind, stack, state, inventory));
    let inputs = as_declared(&fitted, state, key, &declared.inputs);
    let subject = as_found(key, &inputs, inventory);
    let observed = subject.observed;
    if state.resources.get(key).is_some_and(|recorded| !kind.is_another(recorded, observed)) {
        return Err(refuse("it belongs to this stack already", "`octad preview` shows how it differs"));
    }
    let Adopted { inputs, outputs } = kind.import(&subject)?;
    let outcome = Outcome::Applied { inputs, outputs, needs: direct_needs(stack, key) };
    // What somebody consented to was the removal of the one before.
    let protected = Record::Protect { key: key.clone(), protected: true };
    Ok(vec![Record::End { key: key.clone(), outcome }, protected])
}

/// What is declared of a resource, references filled in, with what its kind derives from the disks: that is Octad's as well as
/// what is declared.
pub(super) fn as_declared(fitted: &Fitted, state: &State, key: &Key, declared: &Value) -> Value {
    resolve(fitted.inputs.get(key).unwrap_or(declared), &|reference| state.lookup(reference))
}

/// A resource that is declared and was found, and that nothing is recorded of.
pub(super) fn as_found<'a>(key: &'a Key, declared: &'a Value, inventory: &'a Inventory) -> Subject<'a> {
    Subject {
        key,
        declared: Some(declared),
        recorded: None,
        observed: inventory.resources.get(key).unwrap_or(&Observed::Absent),
        group: None,
        needed_by: Vec::new(),
        refill: false,
        format: false,
        restart: false,
        system: None,
        lockout: false,
        reboot: false,
    }
}
