//! The order among steps. Pure.

use super::order::Order;
use super::plan::{Action, Step};
use crate::model::Key;
use crate::role::Group;
use crate::stack::Needs;
use std::collections::{BTreeMap, BTreeSet};

/// Steps under construction, with what each resource and group needs.
#[derive(Debug, Default)]
pub(super) struct Graph {
    steps: Vec<Step>,
    /// The step that creates, changes or removes a resource, a roll counting for each of its members.
    by_key: BTreeMap<Key, usize>,
    /// The last step of each group: its gate, or its roll where it has one.
    by_group: BTreeMap<String, Vec<usize>>,
    /// The steps that take members out of each group that goes on.
    leaving: BTreeMap<String, BTreeSet<usize>>,
    needs: BTreeMap<Key, BTreeSet<Needs>>,
    /// Steps that wait for no others: nothing else is done with what they are of.
    unbound: BTreeSet<usize>,
}

impl Graph {
    /// Adds the step of one resource.
    pub(super) fn add(&mut self, key: &Key, action: Action, reason: String) {
        self.by_key.insert(key.clone(), self.steps.len());
        self.steps.push(Step { action, reason, after: BTreeSet::new() });
    }

    /// Adds a step of a group, which stands for the resources in `keys`.
    pub(super) fn add_for_group(&mut self, group: &str, keys: &[Key], action: Action, reason: String) {
        let step = self.steps.len();
        self.by_key.extend(keys.iter().map(|key| (key.clone(), step)));
        self.by_group.entry(group.to_owned()).or_default().push(step);
        self.steps.push(Step { action, reason, after: BTreeSet::new() });
    }

    /// Adds a step of several groups, which stands for the resources in `keys`. It waits for no other step, and those that
    /// need one of the groups wait for it.
    pub(super) fn add_for_groups<'a>(
        &mut self,
        groups: impl Iterator<Item = &'a str>,
        keys: &[Key],
        action: Action,
        reason: String,
    ) {
        let step = self.steps.len();
        self.unbound.insert(step);
        self.by_key.extend(keys.iter().map(|key| (key.clone(), step)));
        groups.for_each(|group| self.by_group.entry(group.to_owned()).or_default().push(step));
        self.steps.push(Step { action, reason, after: BTreeSet::new() });
    }

    /// Has the steps of each of these sets of resources come one after the other, in an order that the others allow.
    pub(super) fn one_after_the_other(&mut self, sets: impl IntoIterator<Item = BTreeSet<Key>>) {
        let place: BTreeMap<usize, usize> =
            Order::of(&self.steps).levels().into_iter().flatten().zip(0..).collect();
        for set in sets {
            let steps: BTreeSet<(usize, usize)> = set
                .iter()
                .filter_map(|key| self.step_of(key))
                .filter_map(|step| Some((*place.get(&step)?, step)))
                .collect();
            let steps: Vec<usize> = steps.into_iter().map(|(_, step)| step).collect();
            for pair in steps.windows(2) {
                self.steps[pair[1]].after.insert(pair[0]);
            }
        }
    }

    /// What is on trial is judged once all that is started beside it has been.
    pub(super) fn confirmed_last(&mut self) {
        let confirms = |step: &Step| matches!(step.action, Action::Confirm { .. });
        let others: BTreeSet<usize> =
            (0..self.steps.len()).filter(|number| !confirms(&self.steps[*number])).collect();
        self.steps.iter_mut().filter(|step| confirms(step)).for_each(|step| step.after.extend(&others));
    }

    /// The step of a resource, if it has one.
    pub(super) fn step_of(&self, key: &Key) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// Whether a step of its own changes this resource, and doesn't only start it.
    pub(super) fn changes(&self, key: &Key) -> bool {
        let action = self.step_of(key).map(|step| &self.steps[step].action);
        matches!(action, Some(Action::Update(change)) if !change.changes.is_empty())
    }

    /// Whether a step makes this resource.
    pub(super) fn makes(&self, key: &Key) -> bool {
        self.step_of(key).is_some_and(|step| matches!(self.steps[step].action, Action::Create { .. }))
    }

    /// Takes note of what a declared resource needs.
    pub(super) fn needs(&mut self, key: &Key, needs: BTreeSet<Needs>) {
        self.needs.insert(key.clone(), needs);
    }

    /// Where both are removed, `key` goes before what it needed.
    pub(super) fn deleted_before(&mut self, key: &Key, needed: &Key) {
        let (Some(mine), Some(other)) = (self.step_of(key), self.step_of(needed)) else { return };
        let both_go = matches!(self.steps[other].action, Action::Delete { .. })
            && matches!(self.steps[mine].action, Action::Delete { .. });
        if both_go {
            self.steps[other].after.insert(mine);
        }
    }

    /// What went with its group is forgotten only once every member is gone: until then it may still be there.
    pub(super) fn forgotten_after(&mut self, groups: &BTreeMap<String, Group>) {
        for step in 0..self.steps.len() {
            let Action::Forget { with: Some(with), .. } = &self.steps[step].action else { continue };
            let members = groups.get(with).map(|group| &group.members).into_iter().flatten();
            let gone: BTreeSet<usize> = members.filter_map(|member| self.step_of(member)).collect();
            self.steps[step].after.extend(gone);
        }
    }

    /// What is made in a group must not be given to a member that is about to leave it: whatever needs the group waits for
    /// those that leave.
    pub(super) fn made_after_leaving(&mut self, groups: &BTreeMap<String, Group>) {
        for (name, group) in groups {
            let steps = group.members.iter().filter_map(|member| self.step_of(member));
            let leaves = |step: &usize| matches!(self.steps[*step].action, Action::Delete { .. });
            let leaving: BTreeSet<usize> = steps.filter(leaves).collect();
            if !leaving.is_empty() {
                self.leaving.insert(name.clone(), leaving);
            }
        }
    }

    /// Turns needs into the order of steps. A need that has no step of its own stands for what it needs in turn, so
    /// that order reaches through what stays as it is.
    pub(super) fn close(&mut self, groups: &BTreeMap<String, Group>) {
        let mut known: BTreeMap<Needs, BTreeSet<usize>> = BTreeMap::new();
        let mut additions: Vec<(usize, BTreeSet<usize>)> = Vec::new();
        for (key, needs) in &self.needs {
            let Some(step) = self.step_of(key) else { continue };
            let after = needs.iter().flat_map(|needed| self.steps_of(needed, groups, &mut known)).collect();
            additions.push((step, after));
        }
        for (name, steps) in &self.by_group {
            let members = groups.get(name).map(|group| &group.members).into_iter().flatten();
            let members: BTreeSet<usize> = members.filter_map(|member| self.step_of(member)).collect();
            for (place, &step) in steps.iter().enumerate() {
                // Steps of a group come in the order in which they were added: a roll, then the gate. Both wait for
                // the members that can be brought up first.
                let mut after: BTreeSet<usize> =
                    members.iter().copied().filter(|member| *member != step).collect();
                after.extend(&steps[..place]);
                after.extend(self.leaving.get(name).into_iter().flatten());
                for member in groups.get(name).map(|group| &group.members).into_iter().flatten() {
                    for needed in self.needs.get(member).into_iter().flatten() {
                        after.extend(self.steps_of(needed, groups, &mut known));
                    }
                }
                additions.push((step, after));
            }
        }
        for (step, after) in additions.into_iter().filter(|(step, _)| !self.unbound.contains(step)) {
            self.steps[step].after.extend(after.into_iter().filter(|other| *other != step));
        }
    }

    fn steps_of(
        &self,
        needed: &Needs,
        groups: &BTreeMap<String, Group>,
        known: &mut BTreeMap<Needs, BTreeSet<usize>>,
    ) -> BTreeSet<usize> {
        if let Some(steps) = known.get(needed) {
            return steps.clone();
        }
        // A circle among needs was refused by validation; this entry only guards against endless descent.
        known.insert(needed.clone(), BTreeSet::new());
        let steps: BTreeSet<usize> = match needed {
            Needs::Resource(key) => match self.step_of(key) {
                Some(step) => [step].into(),
                None => self
                    .needs
                    .get(key)
                    .into_iter()
                    .flatten()
                    .flat_map(|further| self.steps_of(further, groups, known))
                    .collect(),
            },
            Needs::Group(name) => {
                let mut steps: BTreeSet<usize> = match self.by_group.get(name) {
                    Some(steps) => steps.iter().copied().collect(),
                    None => groups
                        .get(name)
                        .map(|group| &group.members)
                        .into_iter()
                        .flatten()
                        .flat_map(|member| self.steps_of(&Needs::Resource(member.clone()), groups, known))
                        .collect(),
                };
                steps.extend(self.leaving.get(name).into_iter().flatten());
                steps
            }
        };
        known.insert(needed.clone(), steps.clone());
        steps
    }

    /// The steps, numbered in an order in which they can be done. Steps in a circle come last; the check finds them.
    pub(super) fn into_steps(self) -> Vec<Step> {
        let mut sequence: Vec<usize> = Order::of(&self.steps).levels().into_iter().flatten().collect();
        let placed: BTreeSet<usize> = sequence.iter().copied().collect();
        sequence.extend((0..self.steps.len()).filter(|step| !placed.contains(step)));
        let mut number = vec![0; self.steps.len()];
        for (new, old) in sequence.iter().enumerate() {
            number[*old] = new;
        }
        let mut steps: Vec<(usize, Step)> = self.steps.into_iter().enumerate().collect();
        steps.sort_by_key(|(old, _)| number[*old]);
        steps
            .into_iter()
            .map(|(_, step)| Step { after: step.after.iter().map(|old| number[*old]).collect(), ..step })
            .collect()
    }
}
