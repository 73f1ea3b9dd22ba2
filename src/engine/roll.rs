//! What a roll is expected to do, and which turn it takes. Pure: the order is chosen by the roles' `next`.

use super::Inventory;
use super::plan::{Action, Change};
use crate::model::{Key, NodeFacts, ProcessSeen};
use crate::resource::Observed;
use crate::role::{GroupView, Next, NotSafe, Role, Roll};
use std::collections::{BTreeMap, BTreeSet};

/// Members to be changed, with what their hosts say of their processes.
pub(super) type Pending<'a> = BTreeMap<&'a str, Option<ProcessSeen>>;

/// Those that are changed at once: one member, or all on a host that is changed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// The host, where it is changed as a whole.
    pub(super) host: Option<Key>,
    /// The member of each group.
    pub(super) members: BTreeMap<String, Key>,
}

impl Turn {
    /// What it is of, for people.
    pub(super) fn name(&self) -> &str {
        self.host.iter().chain(self.members.values()).next().map_or("", |key| &key.name)
    }

    fn is_of(&self, group: &str, member: &str) -> bool {
        self.members.get(group).is_some_and(|key| key.name == member)
    }
}

/// The turns of a step that rolls.
pub(super) fn turns(action: &Action) -> Vec<Turn> {
    let mut turns = Vec::new();
    if let Action::RollHosts { hosts, .. } = action {
        turns.extend(
            hosts.iter().map(|(host, members)| Turn { host: Some(host.clone()), members: members.clone() }),
        );
    }
    let whole: BTreeSet<Key> = turns.iter().flat_map(|turn| turn.members.values().cloned()).collect();
    for rolled in action.rolled() {
        for change in rolled.members.values().filter(|change| !whole.contains(&change.key)) {
            let members = [(rolled.group.to_owned(), change.key.clone())].into();
            turns.push(Turn { host: None, members });
        }
    }
    turns
}

/// One group of a roll at a moment.
#[derive(Clone)]
pub(super) struct Group<'a> {
    pub(super) role: &'a dyn Role,
    pub(super) view: GroupView,
    /// Members still to be changed.
    pub(super) pending: Pending<'a>,
    /// Members that aren't, on hosts that are changed as a whole.
    pub(super) beside: Pending<'a>,
    pub(super) interrupts: &'a BTreeSet<String>,
}

impl Group<'_> {
    fn next(&self, pending: &Pending<'_>) -> Next {
        self.role.next(&Roll { pending, interrupts: self.interrupts }, &self.view)
    }

    /// What it says of this member, as if it alone were to be changed.
    fn alone(&self, member: &str) -> Next {
        self.next(&[(member, self.process(member))].into())
    }

    /// What a member's host says of its process.
    pub(super) fn process(&self, member: &str) -> Option<ProcessSeen> {
        self.pending.get(member).or_else(|| self.beside.get(member)).copied().flatten()
    }
}

/// What a roll does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// Take the turn of this number.
    Turn(usize),
    /// Not now, for what this group says.
    Wait(String, NotSafe),
    /// Not at all, for what this group says.
    Refuse(String, NotSafe),
    /// A group would change a member that isn't to be changed.
    Stray(String, String),
    /// All is done.
    Done,
}

/// Chooses the next turn. A group has one member at a time go; on a host that is changed as a whole every group must let its
/// member go. One that takes no leader along comes before one that does.
pub(super) fn choose(groups: &BTreeMap<&str, Group<'_>>, turns: &[Turn]) -> Choice {
    let mut proposed: BTreeSet<usize> = BTreeSet::new();
    let mut waiting: BTreeMap<&str, NotSafe> = BTreeMap::new();
    for (name, group) in groups {
        match group.next(&group.pending) {
            Next::Done => {}
            Next::Refuse(reason) => return Choice::Refuse((*name).to_owned(), reason),
            Next::Wait(reason) => drop(waiting.insert(*name, reason)),
            Next::Do(member) => {
                let turn = turns.iter().position(|turn| turn.is_of(name, &member));
                match turn.filter(|_| group.pending.contains_key(member.as_str())) {
                    Some(turn) => drop(proposed.insert(turn)),
                    None => return Choice::Stray((*name).to_owned(), member),
                }
            }
        }
    }
    if proposed.is_empty() && waiting.is_empty() {
        return Choice::Done;
    }
    let is_open = |(group, member): (&String, &Key)| {
        groups.get(group.as_str()).is_some_and(|group| group.pending.contains_key(member.name.as_str()))
    };
    let others = (0..turns.len())
        .filter(|turn| turns[*turn].host.is_some() && turns[*turn].members.iter().any(is_open));
    let candidates: BTreeSet<usize> = others.chain(proposed.iter().copied()).collect();
    let leaders = |turn: &Turn| match turn.host {
        // A group knows best in which order its own members go.
        None => 0,
        Some(_) => {
            let leads = |(group, member): &(&String, &Key)| {
                groups.get(group.as_str()).is_some_and(|group| group.view.leaders.contains(&member.name))
            };
            turn.members.iter().filter(leads).count()
        }
    };
    let mut candidates: Vec<usize> = candidates.into_iter().collect();
    candidates.sort_by_key(|turn| (leaders(&turns[*turn]), !proposed.contains(turn)));
    let mut waits = None;
    for number in candidates {
        let turn = &turns[number];
        if turn.host.is_none() {
            return Choice::Turn(number);
        }
        match lets_go(groups, number, turn, &waiting) {
            Choice::Wait(group, reason) => drop(waits.get_or_insert((group, reason))),
            goes_or_never_will => return goes_or_never_will,
        }
    }
    let first = waiting.into_iter().next().map(|(group, reason)| (group.to_owned(), reason));
    match first.or(waits) {
        Some((group, reason)) => Choice::Wait(group, reason),
        None => Choice::Done,
    }
}

/// The turn, if every group that has a member in it lets it go; else what the first says that doesn't.
fn lets_go(
    groups: &BTreeMap<&str, Group<'_>>,
    number: usize,
    turn: &Turn,
    waiting: &BTreeMap<&str, NotSafe>,
) -> Choice {
    for (name, member) in &turn.members {
        let Some(group) = groups.get(name.as_str()) else {
            return Choice::Wait(name.clone(), NotSafe::NobodyAnswers);
        };
        let next = match waiting.get(name.as_str()) {
            Some(reason) if group.pending.contains_key(member.name.as_str()) => Next::Wait(reason.clone()),
            _ => group.alone(&member.name),
        };
        match next {
            Next::Do(_) => {}
            Next::Refuse(reason) => return Choice::Refuse(name.clone(), reason),
            Next::Wait(reason) => return Choice::Wait(name.clone(), reason),
            Next::Done => {
                let members = vec![member.name.clone()];
                return Choice::Wait(name.clone(), NotSafe::MembersAway { members, so: None });
            }
        }
    }
    Choice::Turn(number)
}

/// The members of a roll as an inventory has them.
pub(super) fn pending<'a>(members: &'a BTreeMap<String, Change>, inventory: &Inventory) -> Pending<'a> {
    members.iter().map(|(name, change)| (name.as_str(), process(&change.key, inventory))).collect()
}

/// The members of a group that are on hosts that are changed as a whole, and aren't changed themselves.
pub(super) fn beside<'a>(
    group: &str,
    turns: &'a [Turn],
    members: &BTreeMap<String, Change>,
    inventory: &Inventory,
) -> Pending<'a> {
    let all = turns.iter().filter_map(|turn| turn.members.get(group));
    let beside = all.filter(|key| !members.contains_key(&key.name));
    beside.map(|key| (key.name.as_str(), process(key, inventory))).collect()
}

fn process(key: &Key, inventory: &Inventory) -> Option<ProcessSeen> {
    inventory.resources.get(key).and_then(Observed::process)
}

/// A group as a roll of these members is judged: by what it goes by once they are changed.
pub(super) fn judged(role: &dyn Role, members: &BTreeMap<String, Change>, view: &GroupView) -> GroupView {
    let after = members.values().filter_map(|change| NodeFacts::of(&change.after).ok());
    role.once_changed(&after.collect::<Vec<_>>(), view)
}

/// The order of turns if nothing moved but what the roll itself moves, and what it would wait for before it came to the
/// rest, which are told in name order.
///
/// # Errors
/// Where a group refuses, and waiting wouldn't help.
pub(super) fn predict(
    mut groups: BTreeMap<&str, Group<'_>>,
    turns: &[Turn],
) -> Result<(Vec<String>, Option<NotSafe>), (String, NotSafe)> {
    let mut order: Vec<usize> = Vec::new();
    let waits = loop {
        match choose(&groups, turns) {
            Choice::Turn(number) => {
                for (name, member) in &turns[number].members {
                    let Some(group) = groups.get_mut(name.as_str()) else { continue };
                    group.pending.remove(member.name.as_str());
                    if let Some(after) =
                        group.role.after_restart(&member.name, &group.view).into_iter().next()
                    {
                        group.view = after;
                    }
                }
                order.push(number);
            }
            Choice::Refuse(group, reason) => return Err((group, reason)),
            Choice::Wait(_, reason) => break Some(reason),
            Choice::Stray(..) | Choice::Done => break None,
        }
    };
    let taken: BTreeSet<usize> = order.iter().copied().collect();
    order.extend((0..turns.len()).filter(|turn| !taken.contains(turn)));
    Ok((order.into_iter().map(|turn| turns[turn].name().to_owned()).collect(), waits))
}
