//! What a roll is expected to do. Pure: the order is chosen by the role's `next` over views that would follow.

use super::Inventory;
use super::plan::Change;
use crate::model::{NodeFacts, ProcessSeen};
use crate::resource::Observed;
use crate::role::{GroupView, Next, NotSafe, Role, Roll};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Members to be changed, with what their hosts say of their processes.
pub(super) type Pending<'a> = BTreeMap<&'a str, Option<ProcessSeen>>;

/// The members of a roll as an inventory has them.
pub(super) fn pending<'a>(members: &'a BTreeMap<String, Change>, inventory: &Inventory) -> Pending<'a> {
    let process = |change: &Change| inventory.resources.get(&change.key).and_then(Observed::process);
    members.iter().map(|(name, change)| (name.as_str(), process(change))).collect()
}

/// A group as a roll of these members is judged: by what it goes by once they are changed.
pub(super) fn judged(role: &dyn Role, members: &BTreeMap<String, Change>, view: &GroupView) -> GroupView {
    let after = members.values().filter_map(|change| NodeFacts::deserialize(&change.after).ok());
    role.once_changed(&after.collect::<Vec<_>>(), view)
}

/// The order in which the members would be changed if nothing moved but what the roll itself moves, and what the roll
/// would wait for before it came to the rest, which are told in name order.
///
/// # Errors
/// Where the role refuses, and waiting wouldn't help.
pub(super) fn predict(
    role: &dyn Role,
    members: Pending<'_>,
    interrupts: &BTreeSet<String>,
    view: &GroupView,
) -> Result<(Vec<String>, Option<NotSafe>), NotSafe> {
    let (mut pending, mut view) = (members, view.clone());
    let mut order = Vec::new();
    loop {
        match role.next(&Roll { pending: &pending, interrupts }, &view) {
            Next::Do(member) if pending.remove(member.as_str()).is_some() => {
                if let Some(after) = role.after_restart(&member, &view).into_iter().next() {
                    view = after;
                }
                order.push(member);
            }
            Next::Refuse(reason) => return Err(reason),
            Next::Wait(reason) => {
                order.extend(pending.into_keys().map(str::to_owned));
                return Ok((order, Some(reason)));
            }
            Next::Do(_) | Next::Done => {
                order.extend(pending.into_keys().map(str::to_owned));
                return Ok((order, None));
            }
        }
    }
}
