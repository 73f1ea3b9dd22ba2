//! What goes first, in a phase of its own, and what waits for that: changes on trial, and resources that are made anew. Pure.

use super::Planner;
use crate::engine::plan::Action;
use crate::engine::selection::Decisions;
use crate::host::SystemChange;
use crate::model::{Key, ProcessSeen};
use crate::resource::{Decision, Observed};
use crate::stack::direct_needs;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Planner<'_> {
    /// What is on trial is kept or taken back first: what would be decided of the rest is decided from what is there then.
    /// Whoever is away is started before that as it lies, since it may be needed for either.
    pub(super) fn confirm_first(&mut self, decisions: &mut Decisions) {
        let confirms = |planner: &Self, key: &Key, decision: &Decision| {
            matches!(decision, Decision::Confirm { .. }) && !planner.left_out.contains(key)
        };
        if !decisions.iter().any(|(key, (decision, _))| confirms(self, key, decision)) {
            return;
        }
        self.go_first(decisions, confirms);
        self.confirms = true;
    }

    /// Members of two groups that are away on two hosts which are changed as a whole are started as they lie first: each
    /// host's turn would wait for the member that the other's brings back.
    pub(super) fn start_first(&mut self, decisions: &mut Decisions) {
        let away = |(key, (decision, _)): (&Key, &(Decision, Value))| {
            let changes = matches!(decision, Decision::Update { changes, .. } if !changes.is_empty());
            let away = changes && !self.left_out.contains(key) && self.is_away(key);
            let group = self.beside_others(key).filter(|_| away)?;
            Some((key.clone(), (self.stands_on(key)?, group)))
        };
        let away: BTreeMap<Key, (Key, String)> = decisions.iter().filter_map(away).collect();
        let crossed =
            |(host, group): &(Key, String)| away.values().any(|one| one.0 != *host && one.1 != *group);
        if !away.values().any(crossed) {
            return;
        }
        let stays = |_: &Self, _: &Key, decision: &Decision| !matches!(decision, Decision::Update { .. });
        self.go_first(decisions, stays);
    }

    /// What is done in this phase: this as decided; whoever is away, a host too, is started as it lies; and the rest waits
    /// until that is over.
    fn go_first(&mut self, decisions: &mut Decisions, as_decided: impl Fn(&Self, &Key, &Decision) -> bool) {
        decisions.retain(|key, (decision, _)| {
            if as_decided(self, key, decision) {
                return true;
            }
            match decision {
                Decision::Start { reason } | Decision::Update { reason, disrupts: None, .. }
                    if self.is_away(key) =>
                {
                    *decision = Decision::Start { reason: std::mem::take(reason) };
                    true
                }
                _ => {
                    self.held_back.insert(key.clone());
                    false
                }
            }
        });
        self.goes_on = true;
    }

    /// Hosts boot in a phase of its own, once each runs what it is to boot.
    pub(super) fn boot_last(&mut self) {
        let boots = |(key, system): (&Key, &SystemChange)| {
            system.is_due() && system.will_lack_boot && !self.left_out.contains(key)
        };
        self.goes_on |= self.intent.reboot && self.inventory.systems.iter().any(boots);
    }

    /// Whether a resource is there, has no process, and may have one again.
    fn is_away(&self, key: &Key) -> bool {
        let observed = self.inventory.resources.get(key);
        let broken = matches!(observed, Some(Observed::Present { broken: Some(_), .. }));
        observed.and_then(Observed::process) == Some(ProcessSeen::Gone) && !broken
    }

    /// What stands on a resource that is made anew stays as it is in this phase: where it moves to is not known yet.
    pub(super) fn hold_back(&mut self, decisions: &mut Decisions) {
        let renews = |(key, (decision, _)): (&Key, &(Decision, Value))| {
            let again = || self.state.resources.get(key).is_some_and(|one| !one.outgoing.is_empty());
            let renews = match decision {
                Decision::Renew { .. } => true,
                // The same once more, since it was cut off.
                Decision::Create { .. } => again(),
                _ => false,
            };
            (renews && !self.left_out.contains(key)).then(|| key.clone())
        };
        let renewed: BTreeSet<Key> = decisions.iter().filter_map(renews).collect();
        for (key, declared) in &self.stack.resources {
            let recorded = self.state.resources.get(key);
            let mut refers = crate::model::references(&declared.inputs).into_iter().map(|r| r.resource);
            let stands = recorded.is_some_and(|recorded| !recorded.needs.is_disjoint(&renewed));
            let held = recorded.is_some() && (stands || refers.any(|resource| renewed.contains(&resource)));
            if held && !matches!(decisions.get(key), Some((Decision::Refuse(_), _))) {
                decisions.remove(key);
                self.held_back.insert(key.clone());
                // It would not move in a later phase either.
                if !self.intent.selection.names(key) {
                    self.left_out.insert(key.clone());
                }
            }
        }
        self.goes_on |= !renewed.is_empty()
            || decisions
                .keys()
                .any(|key| self.fitted.waypoints.contains(key) && !self.left_out.contains(key));
    }

    /// Once nothing is to be done any more with what stands on a resource that was made anew, and the groups of that are
    /// whole, the one before goes.
    pub(super) fn discard(&mut self) {
        for (key, recorded) in self.state.resources.iter().filter(|(_, one)| !one.outgoing.is_empty()) {
            // Both go together.
            if self.graph.step_of(key).is_some() && !self.stack.resources.contains_key(key) {
                continue;
            }
            // Also what the state forgot: it may run there all the same.
            let declared =
                self.stack.resources.keys().filter(|one| direct_needs(self.stack, one).contains(key));
            let standing = self.needed_by.get(key).into_iter().flatten().map(|(key, _)| *key).chain(declared);
            let settles = |standing: &Key| {
                let group = self.member_of.get(standing).copied();
                let group = group.and_then(|name| Some((name, self.stack.groups.get(name)?)));
                self.graph.step_of(standing).is_none()
                    && !self.rolls.values().flat_map(BTreeMap::values).any(|change| change.key == *standing)
                    && !self.refusals.iter().any(|refusal| refusal.key == *standing)
                    && !self.left_out.contains(standing)
                    && !self.held_back.contains(standing)
                    && group.is_none_or(|(name, group)| self.is_healthy(name, group))
            };
            let settled = standing.into_iter().all(settles) && !recorded.is_pending();
            if settled && self.graph.step_of(key).is_none() && !self.left_out.contains(key) {
                let action = Action::Discard { key: key.clone(), outgoing: recorded.outgoing.len() };
                self.graph.add(key, action, String::new());
            } else {
                self.goes_on = true;
            }
        }
    }
}
