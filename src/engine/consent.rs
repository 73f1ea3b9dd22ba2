//! Whether consent names what there is: a name that was mistyped consents to nothing, and nobody would notice. What could
//! not be asked for may be there. Pure.

use super::{Intent, Inventory, State, UnknownName};
use crate::model::{HostInputs, Key, NodeFacts};
use crate::registry::Registry;
use crate::stack::ValidStack;
use serde_json::Value;
use std::collections::BTreeSet;

/// Looks at the names that `intent` has consent for: to interrupt what its groups hold, and to lose what these do. Returns
/// those of which it is not known whether there is such a thing, since a group could not be asked.
///
/// # Errors
/// The first name that nothing has.
pub fn consent(
    registry: &Registry,
    stack: &ValidStack,
    intent: &Intent,
    state: &State,
    inventory: &Inventory,
) -> Result<BTreeSet<String>, UnknownName> {
    let declared = stack.resources.iter().map(|(key, declared)| (key, &declared.inputs));
    let recorded = state.resources.iter().map(|(key, recorded)| (key, &recorded.inputs));
    let is_held = |(key, inputs): &(&Key, &Value)| {
        registry.kind(&key.kind).is_some_and(|kind| kind.held_by(inputs).is_some())
    };
    let held: BTreeSet<&Key> = declared.chain(recorded).filter(is_held).map(|(key, _)| key).collect();
    let mut names: BTreeSet<String> = held.iter().map(|key| key.name.clone()).collect();
    let mut all_told = true;
    // Topics that others made are held too, which only a group that exists can tell.
    for (name, group) in &state.groups {
        let Some(role) = registry.role_named(&group.role) else { continue };
        let Some(view) = inventory.groups.get(name) else {
            all_told &= !group.members.iter().any(|member| state.resources.contains_key(member));
            continue;
        };
        names.extend(role.holds(view));
        // A raised min.insync.replicas may leave a topic without a replica to spare that has one now.
        let members = stack.groups.get(name).map(|group| &group.members).into_iter().flatten();
        let declared = members.filter_map(|member| stack.resources.get(member));
        let after = declared.filter_map(|declared| NodeFacts::of(&declared.inputs).ok());
        let judged = role.once_changed(&after.collect::<Vec<_>>(), view);
        names.extend(role.interrupted(&view.members.keys().cloned().collect(), &judged));
        let recorded =
            held.iter().filter(|key| state.resources.contains_key(**key)).map(|key| key.name.clone());
        all_told &= role.tells_all(view) && role.tells_any(view, &recorded.collect());
    }
    let unheard: BTreeSet<String> = intent.interrupts.difference(&names).cloned().collect();
    if let Some(name) = unheard.first().filter(|_| all_told) {
        return Err(UnknownName::among(stack, name, &names));
    }
    let hosts: BTreeSet<&Key> = stack.resources.keys().filter(|key| key.kind == HostInputs::KIND).collect();
    if let Some(unknown) = intent.formats.union(&intent.lockouts).find(|key| !hosts.contains(key)) {
        let names = hosts.iter().map(|key| key.name.clone()).collect();
        return Err(UnknownName::among(stack, &unknown.name, &names));
    }
    let groups = stack.groups.keys().chain(state.groups.keys()).map(|name| Key::new("group", name));
    let losers: BTreeSet<String> =
        groups.map(|key| key.to_string()).chain(held.iter().map(ToString::to_string)).collect();
    let unknown = intent.losses.iter().map(ToString::to_string).find(|key| !losers.contains(key));
    match unknown {
        Some(name) => Err(UnknownName::among(stack, &name, &losers)),
        None => Ok(unheard),
    }
}
