//! Running members that are changed: one step for each group, or one for all groups that share hosts which are changed as a
//! whole. Pure.

use super::Planner;
use crate::engine::plan::{Action, Change, GroupRoll};
use crate::engine::roll;
use crate::model::{Key, Refusal};
use crate::role::NotSafe;
use std::collections::{BTreeMap, BTreeSet};

impl Planner<'_> {
    /// The group of a member beside which others stand on a resource that is changed as a whole. They aren't asked where that
    /// group has nobody who leads it: it serves nobody, and they may need it to answer.
    pub(super) fn beside_others(&self, key: &Key) -> Option<String> {
        let on = self.stands_on(key).filter(|on| self.changes_whole(on))?;
        let group = self.groups.get(self.member_of.get(key)?)?;
        let leads = group.view.is_some_and(|view| !view.leaders.is_empty());
        (leads && self.members_on(&on).any(|(_, other)| other != key)).then(|| group.name.to_owned())
    }

    /// Takes the groups out of those to be rolled that have a member to be changed on a host that is changed as a whole, or one
    /// beside such a member: one step for all of them, so that no two such hosts are changed at once.
    fn add_host_roll(&mut self) {
        let changes = self.rolls.values().flat_map(BTreeMap::values);
        let on = changes.filter_map(|change| self.stands_on(&change.key));
        let on: BTreeSet<Key> = on.filter(|host| self.changes_whole(host)).collect();
        if on.is_empty() {
            return;
        }
        let mut hosts: BTreeMap<Key, BTreeMap<String, Key>> = BTreeMap::new();
        for host in &on {
            let members = self.members_on(host).map(|(group, key)| (group.to_owned(), key.clone()));
            hosts.insert(host.clone(), members.collect());
        }
        let names: BTreeSet<String> = hosts.values().flat_map(BTreeMap::keys).cloned().collect();
        let take = |name: String| {
            let members = self.rolls.remove(&name).unwrap_or_default();
            (name, GroupRoll { members, ..GroupRoll::default() })
        };
        let groups: BTreeMap<String, GroupRoll> = names.into_iter().map(take).collect();
        // Whoever is made, started or removed in them is there, or gone, before the first turn.
        let of_them = groups.keys().filter_map(|name| self.stack.groups.get(name));
        let mut concerned = of_them.flat_map(|group| &group.members).chain(&on);
        let removed = groups.keys().filter_map(|name| self.state.groups.get(name));
        let mut removed = removed.flat_map(|group| &group.members);
        if concerned.any(|key| self.graph.step_of(key).is_some())
            || removed.any(|key| self.graph.step_of(key).is_some())
        {
            let later = groups.into_values().flat_map(|group| group.members.into_values());
            self.held_back.extend(later.map(|change| change.key));
            self.rolled_later = hosts.into_values().flat_map(BTreeMap::into_keys).collect();
            self.goes_on = true;
            return;
        }
        self.put_down_host_roll(groups, hosts);
    }

    fn put_down_host_roll(
        &mut self,
        mut groups: BTreeMap<String, GroupRoll>,
        hosts: BTreeMap<Key, BTreeMap<String, Key>>,
    ) {
        let (roles, views): (BTreeMap<_, _>, BTreeMap<_, _>) = groups
            .iter()
            .filter_map(|(name, group)| {
                let (role, view) = (self.role_of(name)?, self.inventory.groups.get(name)?);
                let view = roll::judged(role.as_ref(), &group.members, view);
                Some(((name.clone(), role), (name.clone(), view)))
            })
            .unzip();
        let mut interrupted = BTreeMap::new();
        for (name, group) in &mut groups {
            // Those beside them on their hosts are asked as well.
            let beside = hosts.values().filter_map(|members| members.get(name)).map(|key| &key.name);
            let names: BTreeSet<String> = group.members.keys().chain(beside).cloned().collect();
            let seen = roles.get(name).zip(views.get(name));
            let all = seen.map(|(role, view)| role.interrupted(&names, view)).unwrap_or_default();
            group.interrupts = &all & &self.intent.interrupts;
            interrupted.insert(name.clone(), all);
        }
        let action = Action::RollHosts { groups: groups.clone(), hosts: hosts.clone(), predicted: vec![] };
        let turns = roll::turns(&action);
        let asked = groups.iter().filter_map(|(name, group)| {
            let asked = roll::Group {
                role: roles.get(name)?.as_ref(),
                view: views.get(name)?.clone(),
                pending: roll::pending(&group.members, self.inventory),
                beside: roll::beside(name, &turns, &group.members, self.inventory),
                interrupts: &group.interrupts,
            };
            Some((name.as_str(), asked))
        });
        let silent = groups.keys().find(|name| !views.contains_key(*name));
        let predicted = match silent {
            Some(name) => Err((name.clone(), NotSafe::NobodyAnswers)),
            None => roll::predict(asked.collect(), &turns),
        };
        let (predicted, waits) = match predicted {
            Ok(found) => found,
            Err((name, reason)) => {
                let refusal = self.refused_roll(&name, &groups[&name].members, &interrupted[&name], &reason);
                self.refusals.push(refusal);
                (turns.iter().map(|turn| turn.name().to_owned()).collect(), None)
            }
        };
        let whole = waits.is_none() && views.values().all(|view| view.away().is_empty());
        for (name, group) in groups.iter_mut().filter(|_| whole) {
            let names: BTreeSet<String> = group.members.keys().cloned().collect();
            let seen = roles.get(name).zip(views.get(name));
            group.absences = seen.map(|(role, view)| role.absences(&names, view)).unwrap_or_default();
        }
        let reason = waits.map(|reason| format!("waits first: {reason}")).unwrap_or_default();
        let keys: Vec<Key> = groups
            .values()
            .flat_map(|group| group.members.values())
            .map(|change| change.key.clone())
            .collect();
        let names: Vec<String> = groups.keys().cloned().collect();
        let action = Action::RollHosts { groups, hosts, predicted };
        self.graph.add_for_groups(names.iter().map(String::as_str), &keys, action, reason);
    }

    /// One step for each group that has running members to change.
    pub(super) fn add_rolls(&mut self) {
        self.add_host_roll();
        for (group, members) in std::mem::take(&mut self.rolls) {
            let names: BTreeSet<String> = members.keys().cloned().collect();
            let role = self.role_of(&group);
            let view = role.as_deref().zip(self.inventory.groups.get(&group));
            let view = view.map(|(role, view)| roll::judged(role, &members, view));
            let seen = role.as_deref().zip(view.as_ref());
            let interrupted = seen.map(|(role, view)| role.interrupted(&names, view)).unwrap_or_default();
            let interrupts = &interrupted & &self.intent.interrupts;
            let action = Action::Roll {
                group: group.clone(),
                members: members.clone(),
                predicted: vec![],
                absences: BTreeMap::new(),
                interrupts: interrupts.clone(),
            };
            let predicted = match seen {
                Some((role, view)) => {
                    let pending = roll::pending(&members, self.inventory);
                    let (view, beside, interrupts) = (view.clone(), BTreeMap::new(), &interrupts);
                    let asked = roll::Group { role, view, pending, beside, interrupts };
                    roll::predict([(group.as_str(), asked)].into(), &roll::turns(&action))
                }
                None => Err((group.clone(), NotSafe::NobodyAnswers)),
            };
            let (predicted, waits) = match predicted {
                Ok(found) => found,
                Err((_, reason)) => {
                    self.refusals.push(self.refused_roll(&group, &members, &interrupted, &reason));
                    (names.iter().cloned().collect(), None)
                }
            };
            // What is missing meanwhile depends on what has come back by then.
            let absences = match (seen, &waits) {
                (Some((role, view)), None) if view.away().is_empty() => role.absences(&names, view),
                _ => BTreeMap::new(),
            };
            let reason = waits.map(|reason| format!("waits first: {reason}")).unwrap_or_default();
            let keys: Vec<Key> = members.values().map(|change| change.key.clone()).collect();
            let action = Action::Roll { group: group.clone(), members, predicted, absences, interrupts };
            self.graph.add_for_group(&group, &keys, action, reason);
        }
    }

    /// Why a group is not rolled, and how to have it all the same where that is for want of consent.
    fn refused_roll(
        &self,
        group: &str,
        members: &BTreeMap<String, Change>,
        interrupted: &BTreeSet<String>,
        reason: &NotSafe,
    ) -> Refusal {
        let restarts = members.values().any(|change| self.intent.restart.contains(&change.key));
        let mut command = match restarts {
            true => format!("octad roll {}", members.keys().cloned().collect::<Vec<_>>().join(" ")),
            false => format!("octad up{}", self.intent.selection.options()),
        };
        interrupted.iter().for_each(|name| command.push_str(&format!(" --interrupt {name}")));
        Refusal {
            key: Key::new("group", group),
            reason: format!("can't be rolled: {reason}"),
            hint: match interrupted.is_empty() {
                true => "`octad status` tells how it is".into(),
                false => format!(
                    "`{command}` consents to that; with more replicas than min.insync.replicas none is needed"
                ),
            },
        }
    }
}
