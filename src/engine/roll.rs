//! What a roll is expected to do. Pure: the order is chosen by the role's `next` over views that would follow.

use crate::role::{GroupView, Next, NotSafe, Role, Roll};
use std::collections::BTreeSet;

/// The order in which the members would be changed if nothing moved but what the roll itself moves, and what the roll
/// would wait for before it came to the rest, which are told in name order.
///
/// # Errors
/// Where the role refuses, and waiting wouldn't help.
pub(super) fn predict(
    role: &dyn Role,
    members: &BTreeSet<String>,
    interrupts: &BTreeSet<String>,
    view: &GroupView,
) -> Result<(Vec<String>, Option<NotSafe>), NotSafe> {
    let mut pending: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    let mut view = view.clone();
    let mut order = Vec::new();
    loop {
        match role.next(&Roll { pending: &pending, interrupts }, &view) {
            Next::Do(member) if pending.remove(member.as_str()) => {
                if let Some(after) = role.after_restart(&member, &view).into_iter().next() {
                    view = after;
                }
                order.push(member);
            }
            Next::Refuse(reason) => return Err(reason),
            Next::Wait(reason) => {
                order.extend(pending.into_iter().map(str::to_owned));
                return Ok((order, Some(reason)));
            }
            Next::Do(_) | Next::Done => {
                order.extend(pending.into_iter().map(str::to_owned));
                return Ok((order, None));
            }
        }
    }
}
