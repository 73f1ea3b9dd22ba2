//! What a resource belongs to: its group, and what it stands on.

use super::Planner;
use crate::model::Key;
use crate::resource::GroupSubject;
use crate::role::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Planner<'_> {
    /// The group around a member or around what a group holds.
    pub(super) fn group_of(&self, key: &Key) -> Option<GroupSubject<'_>> {
        if let Some(group) = self.member_of.get(key) {
            return self.groups.get(group).copied();
        }
        let inputs = match (self.stack.resources.get(key), self.state.resources.get(key)) {
            (Some(declared), _) => &declared.inputs,
            (None, recorded) => &recorded?.inputs,
        };
        let holder = self.registry.kind(&key.kind)?.held_by(inputs)?;
        self.groups.get(holder.as_str()).copied()
    }

    /// The members of groups that are recorded and stand on a resource, with these groups.
    pub(super) fn members_on<'b>(&'b self, on: &'b Key) -> impl Iterator<Item = (&'b str, &'b Key)> {
        let members = self
            .stack
            .groups
            .iter()
            .flat_map(|(name, group)| group.members.iter().map(move |member| (name.as_str(), member)));
        members.filter(move |(_, member)| {
            self.state.resources.contains_key(*member) && self.stands_on(member).as_ref() == Some(on)
        })
    }

    pub(super) fn stands_on(&self, key: &Key) -> Option<Key> {
        let declared = self.stack.resources.get(key).map(|declared| &declared.inputs);
        let inputs = declared.or_else(|| self.state.resources.get(key).map(|recorded| &recorded.inputs))?;
        self.registry.kind(&key.kind)?.stands_on(inputs)
    }

    /// Whether what stands on a declared resource is changed with it as a whole.
    pub(super) fn changes_whole(&self, key: &Key) -> bool {
        let declared = self.stack.resources.get(key).zip(self.registry.kind(&key.kind));
        declared.is_some_and(|(declared, kind)| kind.changes_whole(&declared.inputs))
    }

    /// What stands on each resource that is changed as a whole, what is changed on any of those outside a roll, and those that
    /// are changed beside what stands on them. That begins nobody anew, and may harm them all the same.
    pub(super) fn on_whole(&self) -> Vec<BTreeSet<Key>> {
        let mut on: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
        let hosts: BTreeSet<&Key> =
            self.stack.resources.keys().filter(|key| self.changes_whole(key)).collect();
        let all = self.stack.resources.keys().chain(self.state.resources.keys());
        for key in all.filter(|_| !hosts.is_empty()) {
            if let Some(host) = self.stands_on(key).filter(|host| hosts.contains(host)) {
                on.entry(host).or_default().insert(key.clone());
            }
        }
        let changed = on.values().flatten().filter(|key| self.graph.changes(key)).cloned().collect();
        let beside = hosts.into_iter().filter(|host| self.graph.changes(host)).cloned().collect();
        on.into_values().chain([changed, beside]).collect()
    }

    pub(super) fn role_of(&self, group: &str) -> Option<Arc<dyn Role>> {
        let role = &self.stack.groups.get(group)?.role;
        self.registry.role_named(role).cloned()
    }
}
