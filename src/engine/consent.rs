//! Whether consent names what there is: a name that was mistyped consents to nothing, and nobody would notice. Pure.

use super::{Inventory, State, UnknownName};
use crate::model::Key;
use crate::registry::Registry;
use crate::stack::ValidStack;
use serde_json::Value;
use std::collections::BTreeSet;

/// Looks at the names that `stack` has consent for: to interrupt what its groups hold, and to lose what these do.
///
/// # Errors
/// The first name that nothing has.
pub fn consent(
    registry: &Registry,
    stack: &ValidStack,
    state: &State,
    inventory: &Inventory,
) -> Result<(), UnknownName> {
    let declared = stack.resources.iter().map(|(key, declared)| (key, &declared.inputs));
    let recorded = state.resources.iter().map(|(key, recorded)| (key, &recorded.inputs));
    let is_held = |(key, inputs): &(&Key, &Value)| {
        registry.kind(&key.kind).is_some_and(|kind| kind.held_by(inputs).is_some())
    };
    let held: BTreeSet<&Key> = declared.chain(recorded).filter(is_held).map(|(key, _)| key).collect();
    let mut names: BTreeSet<String> = held.iter().map(|key| key.name.clone()).collect();
    // Others made more than this stack knows of.
    for (group, view) in &inventory.groups {
        let role = [&stack.groups, &state.groups].into_iter().find_map(|groups| groups.get(group));
        let Some(role) = role.and_then(|group| registry.role_named(&group.role)) else { continue };
        names.extend(role.holds(view));
        names.extend(role.interrupted(&view.members.keys().cloned().collect(), view));
    }
    if let Some(name) = stack.interrupts().difference(&names).next() {
        return Err(UnknownName::among(stack, name, &names));
    }
    let groups = stack.groups.keys().chain(state.groups.keys()).map(|name| Key::new("group", name));
    let losers: BTreeSet<String> =
        groups.map(|key| key.to_string()).chain(held.iter().map(ToString::to_string)).collect();
    let unknown = stack.allowed_losses().iter().map(ToString::to_string).find(|key| !losers.contains(key));
    match unknown {
        Some(name) => Err(UnknownName::among(stack, &name, &losers)),
        None => Ok(()),
    }
}
