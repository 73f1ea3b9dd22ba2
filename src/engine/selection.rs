//! The part of a stack that an update is confined to: `--target` and `--exclude`. Pure.
//!
//! What a resource needs has to be there first: resources that it refers to, its host, the groups that it is made after;
//! and for one that is removed, whatever stands on it has to go first. A target takes along all changes that it needs,
//! and an exclusion leaves out all that needs what it excludes. Restarts, and what is made anew beside what there is, are the
//! exception on both sides: what already runs serves those that need it, with its old configuration too.

use super::{State, moves};
use crate::model::{Key, Refusal};
use crate::resource::{Decision, GroupSubject};
use crate::role::{Group, Role};
use crate::stack::{ValidStack, direct_needs, nearest, needs_of_groups};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which changes a plan is confined to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those of these resources, and those that they need.
    Only(BTreeSet<Key>),
    /// All but those of these resources, and those that need them.
    Without(BTreeSet<Key>),
}

/// A name that nothing declared or recorded has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stack {stack} has nothing named `{name}`")]
pub struct UnknownName {
    /// The stack.
    pub stack: String,
    /// The name.
    pub name: String,
    /// The known name that is most like it.
    pub nearest: Option<String>,
    /// All names that it could have been.
    pub known: Vec<String>,
}

impl UnknownName {
    /// That `name` is none of those that are `known`.
    pub(super) fn among(stack: &ValidStack, name: &str, known: &BTreeSet<String>) -> Self {
        Self {
            stack: stack.name().to_string(),
            name: name.to_owned(),
            nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            known: known.iter().cloned().collect(),
        }
    }
}

/// What a selection comes to.
#[derive(Debug, Default)]
pub(super) struct Confined {
    /// The changes and refusals that it leaves out.
    pub(super) left_out: BTreeSet<Key>,
    /// Refusals that count although they are outside, each with the resource that joins or leaves its group: a group's
    /// members must agree on who is of it, so that what can't be done with one can't be done by halves.
    pub(super) concerned: BTreeMap<Key, Key>,
}

/// What a kind decided for each resource that is to change, with its inputs to be.
pub(super) type Decisions = BTreeMap<Key, (Decision, serde_json::Value)>;

impl Selection {
    /// Only what these names stand for. `broker-1` is every resource of that name, `node/broker-1` one of them, and
    /// `@broker` every node of that role. No name at all selects all.
    ///
    /// # Errors
    /// The first name that nothing has.
    pub fn only(names: &[String], stack: &ValidStack, state: &State) -> Result<Self, UnknownName> {
        if names.is_empty() { Ok(Self::All) } else { Ok(Self::Only(named(names, stack, state)?)) }
    }

    /// The options that select the same, each with a space before it.
    pub(super) fn options(&self) -> String {
        let (option, keys) = match self {
            Self::All => return String::new(),
            Self::Only(keys) => ("--target", keys),
            Self::Without(keys) => ("--exclude", keys),
        };
        keys.iter().map(|key| format!(" {option} {key}")).collect()
    }

    /// All but what these names stand for, as in [`Selection::only`].
    ///
    /// # Errors
    /// The first name that nothing has.
    pub fn without(names: &[String], stack: &ValidStack, state: &State) -> Result<Self, UnknownName> {
        if names.is_empty() { Ok(Self::All) } else { Ok(Self::Without(named(names, stack, state)?)) }
    }

    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Whether a resource is named, or is not one of those left out by name.
    pub fn names(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(key),
            Self::Without(keys) => !keys.contains(key),
        }
    }

    /// Which of the decisions it leaves out.
    pub(super) fn confine(&self, stack: &ValidStack, state: &State, decisions: &Decisions) -> Confined {
        let must = |key: &Key| decisions.get(key).is_some_and(|(decision, _)| !is_restart(decision));
        let needed = |from: &BTreeSet<Key>, without: Option<&BTreeSet<Key>>| {
            let mut found = needed_by(from, without, stack, state, decisions);
            found.retain(must);
            found
        };
        let chosen: BTreeSet<Key> = match self {
            Self::All => return Confined::default(),
            Self::Only(targets) => targets | &needed(targets, None),
            Self::Without(excluded) => {
                let stays = |key: &&Key| {
                    !excluded.contains(*key)
                        && needed(&[(*key).clone()].into(), Some(excluded)).is_disjoint(excluded)
                };
                decisions.keys().filter(stays).cloned().collect()
            }
        };
        let mut confined = Confined::default();
        for group in [&stack.groups, &state.groups].into_iter().flat_map(BTreeMap::values) {
            let moves = |key: &&Key| {
                let decision = decisions.get(*key).map(|(decision, _)| decision);
                chosen.contains(*key)
                    && matches!(decision, Some(Decision::Create { .. } | Decision::Delete { .. }))
            };
            let Some(mover) = group.members.iter().find(moves) else { continue };
            let refused = |key: &&Key| matches!(decisions.get(*key), Some((Decision::Refuse(_), _)));
            let outside = group.members.iter().filter(refused).filter(|key| !chosen.contains(*key));
            confined.concerned.extend(outside.map(|key| (key.clone(), mover.clone())));
        }
        let counts = |key: &&Key| chosen.contains(*key) || confined.concerned.contains_key(*key);
        confined.left_out = decisions.keys().filter(|key| !counts(key)).cloned().collect();
        confined
    }

    /// Refuses to tear a group. One that isn't formed yet is made whole: a part of an ensemble would vote on its own.
    /// One that is no longer declared goes whole, since nobody would look after the rest of it.
    pub(super) fn tears(
        &self,
        group: &Group,
        subject: &GroupSubject<'_>,
        role: &dyn Role,
        left_out: &BTreeSet<Key>,
        decisions: &Decisions,
    ) -> Option<Refusal> {
        let goes = subject.declared == 0;
        if !goes && !role.bootstraps(subject.recorded, subject.declared) {
            return None;
        }
        let moves = |key: &&Key| match decisions.get(*key) {
            Some((Decision::Create { .. }, _)) => !goes,
            Some((Decision::Delete { .. }, _)) => goes,
            _ => false,
        };
        let (out, chosen): (Vec<&Key>, Vec<&Key>) =
            group.members.iter().filter(moves).partition(|key| left_out.contains(*key));
        if out.is_empty() || chosen.is_empty() {
            return None;
        }
        let what = if goes { "goes whole or not at all" } else { "is made whole or not at all" };
        Some(Refusal {
            key: Key::new("group", subject.name),
            reason: format!("it {what}, and {} left out", listed(&out)),
            hint: match self {
                Self::Without(_) => format!("leave it out as a whole: --exclude @{}", group.role),
                _ => format!("take it as a whole: --target @{}", group.role),
            },
        })
    }
}

fn listed(keys: &[&Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

fn is_restart(decision: &Decision) -> bool {
    matches!(decision, Decision::Update { disrupts: Some(_), .. } | Decision::Renew { .. })
}

/// All that `from` needs, near and far. What is there already and is only changed needs of a group no more than that it goes
/// on: its members but for those that it is `without`, where somebody leaves them out.
fn needed_by(
    from: &BTreeSet<Key>,
    without: Option<&BTreeSet<Key>>,
    stack: &ValidStack,
    state: &State,
    decisions: &Decisions,
) -> BTreeSet<Key> {
    let removed = |key: &Key| {
        matches!(decisions.get(key), Some((Decision::Delete { .. } | Decision::Forget { .. }, _)))
    };
    let mut found = BTreeSet::new();
    let mut open: Vec<Key> = from.iter().cloned().collect();
    while let Some(key) = open.pop() {
        let needs: BTreeSet<Key> = if removed(&key) {
            let stands_on = |(other, recorded): &(&Key, &crate::resource::Recorded)| {
                recorded.needs.contains(&key) && removed(other)
            };
            state.resources.iter().filter(stands_on).map(|(other, _)| other.clone()).collect()
        } else {
            let is_made = !matches!(decisions.get(&key), Some((Decision::Create { .. }, _)));
            match without.filter(|_| is_made) {
                Some(without) => needs_of_groups(stack, &key, |group| group.members.is_subset(without)),
                None => direct_needs(stack, &key),
            }
        };
        for needed in needs {
            if found.insert(needed.clone()) {
                open.push(needed);
            }
        }
    }
    found
}

fn named(names: &[String], stack: &ValidStack, state: &State) -> Result<BTreeSet<Key>, UnknownName> {
    let state = moves::followed(stack, state);
    let keys: BTreeSet<&Key> = stack.resources.keys().chain(state.resources.keys()).collect();
    let groups = || stack.groups.values().chain(state.groups.values());
    let mut all = BTreeSet::new();
    for name in names {
        let found: BTreeSet<Key> = match name.strip_prefix('@') {
            Some(role) => {
                let members = groups().filter(|group| group.role == role).flat_map(|group| &group.members);
                members.filter(|member| keys.contains(member)).cloned().collect()
            }
            None => {
                let meant = |key: &&&Key| key.name == *name || key.to_string() == *name;
                keys.iter().filter(meant).map(|key| (*key).clone()).collect()
            }
        };
        if found.is_empty() {
            let known: BTreeSet<String> = if name.starts_with('@') {
                groups().map(|group| format!("@{}", group.role)).collect()
            } else if name.contains('/') {
                keys.iter().map(ToString::to_string).collect()
            } else {
                keys.iter().map(|key| key.name.clone()).collect()
            };
            return Err(UnknownName::among(stack, name, &known));
        }
        all.extend(found);
    }
    Ok(all)
}
