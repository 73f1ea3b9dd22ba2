//! Where a plan waits for a group. Pure.

use super::Planner;
use crate::engine::plan::Action;
use crate::model::{Key, Member};
use crate::role::{Group, Health};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Planner<'_> {
    /// A gate behind the steps of each group, and for each group that isn't well although nothing is to be done.
    pub(super) fn add_gates(&mut self) {
        for (name, group) in self.stack.groups.iter().filter(|_| !self.confirms) {
            let touched = group.members.iter().any(|member| self.graph.step_of(member).is_some());
            // Without a change that is left out it may never be healthy; what is to be made in it still waits for it. What is
            // there already doesn't: to lower what its topics ask for may be what helps.
            // One with a member that is held back is waited for in the phase that changes that.
            let awaited = group.members.is_disjoint(&self.left_out)
                && group.members.is_disjoint(&self.held_back)
                || self.is_needed(name);
            // What is changed in a later phase may be what it lacks.
            let settles = !self.rolled_later.contains(name) || self.is_needed(name);
            if touched && settles || (awaited && !self.is_healthy(name, group)) {
                let reason = if touched { "" } else { "is not healthy at present" };
                self.graph.add_for_group(name, &[], Action::Gate { group: name.clone() }, reason.into());
            }
        }
    }

    /// Whether a resource that is to be made needs this group.
    fn is_needed(&self, group: &str) -> bool {
        let group = crate::stack::Needs::Group(group.to_owned());
        let needs = |(key, declared): (&Key, &crate::stack::Declared)| {
            declared.needs.contains(&group) && self.graph.makes(key)
        };
        self.stack.resources.iter().any(needs)
    }

    pub(super) fn is_healthy(&self, name: &str, group: &Group) -> bool {
        if self.inventory.foreseen {
            return true;
        }
        let members: Vec<Arc<Member>> = group
            .members
            .iter()
            .filter_map(|member| self.state.resources.get(member))
            .filter_map(|recorded| Member::of(&recorded.inputs).ok().map(Arc::new))
            .collect();
        match (self.role_of(name), self.inventory.groups.get(name)) {
            (Some(role), Some(view)) => role.health(view, &members, &BTreeSet::new()) == Health::Healthy,
            _ => false,
        }
    }
}
