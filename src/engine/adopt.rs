//! Takes over what is declared and there, and which the state doesn't know, or doesn't any more: in an empty checkout, on a
//! second machine. Pure.

use super::import::{as_declared, as_found};
use super::planner::siblings;
use super::{Inventory, Outcome, Record, State, identity, moves};
use crate::model::Key;
use crate::registry::Registry;
use crate::resource::{Adopted, Fitted, Recorded, Subject};
use crate::role::Group;
use crate::stack::{ValidStack, direct_needs};
use std::collections::{BTreeMap, BTreeSet};

/// The declared groups of which the state knows no member.
pub fn unknown_groups(stack: &ValidStack, state: &State) -> BTreeSet<String> {
    let state = moves::followed(stack, state);
    let is_unknown = |members: &BTreeSet<Key>| !members.iter().any(|key| state.resources.contains_key(key));
    stack
        .groups
        .iter()
        .filter(|(_, group)| is_unknown(&group.members))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The records with which the state knows what was found, where that tells of itself that it is this stack's, and what is
/// held by a group that is taken over with that (`anew`). What differs from its declaration is the next plan's. Nothing
/// where all is known.
pub fn adopt(
    registry: &Registry,
    stack: &ValidStack,
    state: &State,
    inventory: &Inventory,
    anew: &BTreeSet<String>,
) -> Vec<Record> {
    let followed = moves::followed(stack, state);
    if !identity::strangers(registry, state, inventory).is_empty() {
        return Vec::new();
    }
    let renamed = moves::pending(stack, state);
    // A group is taken over with what it holds where a member speaks for it.
    let spoken_for: BTreeSet<String> = identity::first_seen(registry, state, inventory)
        .into_iter()
        .filter_map(|record| match record {
            Record::Identity { group, .. } => Some(group),
            _ => None,
        })
        .chain(state.identities.keys().cloned())
        .filter(|group| anew.contains(group))
        .collect();
    let mut fits: BTreeMap<&str, Fitted> = BTreeMap::new();
    let mut adopted: BTreeMap<&Key, Adopted> = BTreeMap::new();
    for (key, declared) in &stack.resources {
        let Some(kind) = registry.kind(&key.kind) else { continue };
        let recorded = followed.resources.get(key);
        let of_another = kind.held_by(&declared.inputs).is_some_and(|group| !spoken_for.contains(&group));
        // One that may not have been made yet is made.
        let may_be_new = recorded.is_some_and(|recorded| recorded.is_pending() && recorded.outputs.is_null());
        // A rename is a step of its own, which finds what is there by either name.
        if of_another || may_be_new || renamed.contains_key(key) {
            continue;
        }
        let fitted =
            fits.entry(&key.kind).or_insert_with(|| kind.fit(&siblings(&key.kind, stack, state, inventory)));
        let inputs = as_declared(fitted, state, key, &declared.inputs);
        let subject = Subject { recorded, ..as_found(key, &inputs, inventory) };
        let Some(found) = kind.adopts(&subject) else { continue };
        // What is recorded is older: another state was there when it was changed to what is declared.
        let is_newer = |recorded: &Recorded| {
            (recorded.is_pending() || recorded.inputs != found.inputs)
                && found.inputs == kind.rendered(inputs.clone())
        };
        if recorded.is_none_or(is_newer) {
            adopted.insert(key, found);
        }
    }
    // What stands on nothing is there by itself, such as a machine, and is the stack's by what stands on it.
    let stands_on = |key: &Key, inputs| registry.kind(&key.kind).and_then(|kind| kind.stands_on(inputs));
    let grounds: BTreeSet<Key> =
        stack.resources.iter().filter_map(|(key, declared)| stands_on(key, &declared.inputs)).collect();
    let recorded =
        followed.resources.iter().filter_map(|(key, Recorded { inputs, .. })| stands_on(key, inputs));
    let mut used: BTreeSet<Key> = recorded.collect();
    used.extend(adopted.iter().filter_map(|(key, found)| stands_on(key, &found.inputs)));
    let ours = adopted.into_iter().filter(|(key, _)| !grounds.contains(*key) || used.contains(*key));
    let mut records: Vec<Record> = ours
        .map(|(key, Adopted { inputs, outputs })| Record::End {
            key: key.clone(),
            outcome: Outcome::Applied { inputs, outputs, needs: direct_needs(stack, key) },
        })
        .collect();
    if records.is_empty() {
        return records;
    }
    let known: BTreeSet<&Key> =
        records.iter().filter_map(Record::ended).chain(state.resources.keys()).collect();
    let mut groups = state.groups.clone();
    for (name, declared) in &stack.groups {
        let members: BTreeSet<Key> =
            declared.members.iter().filter(|key| known.contains(key)).cloned().collect();
        let group = groups
            .entry(name.clone())
            .or_insert_with(|| Group { members: BTreeSet::new(), ..declared.clone() });
        group.members.extend(members);
    }
    groups.retain(|_, group| !group.members.is_empty());
    if groups != state.groups {
        let outputs = stack.outputs.clone();
        records.insert(0, Record::Stack { groups, outputs });
    }
    records
}
