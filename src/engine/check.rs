//! Proves a plan before anything is touched, without trusting the planner: every way a roll can go keeps its group's
//! promises, no healthy member is stopped outside a roll, and the order of steps leads to an end. Pure.

use super::order::Order;
use super::plan::{Action, Checked, Plan, Step};
use super::{Inventory, Registry};
use crate::resource::Observed;
use crate::role::{GroupView, Next, NotSafe, Role, Roll};
use crate::stack::ValidStack;
use std::collections::BTreeSet;
use std::marker::PhantomData;

/// Why a plan is not safe to apply. It means that the planner erred, or that the world moved while it planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Steps wait for each other, or for a step that isn't there.
    #[error("the steps {steps:?} wait for each other")]
    Circle {
        /// Their numbers.
        steps: Vec<usize>,
    },
    /// A healthy member would be stopped while others might be away.
    #[error("{member} serves its group {group}, and would be changed outside a roll")]
    OutsideRoll {
        /// The member.
        member: String,
        /// Its group.
        group: String,
    },
    /// A roll could reach a state in which its next turn breaks a promise.
    #[error("rolling {group} could stop {member} when it can't be spared: {reason}")]
    Unsafe {
        /// The group.
        group: String,
        /// The member.
        member: String,
        /// Why it can't be spared.
        reason: NotSafe,
    },
    /// A roll would change something that it wasn't given.
    #[error("rolling {group} could change {member}, which is not to be changed")]
    Stray {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// Members are changed and nothing waits for the group to be well again.
    #[error("nothing waits for {group} after its members change")]
    NoGate {
        /// The group.
        group: String,
    },
}

/// Proves a plan.
///
/// # Errors
/// The first promise that it could break.
pub fn check(
    plan: Plan,
    registry: &Registry,
    stack: &ValidStack,
    inventory: &Inventory,
) -> Result<Plan<Checked>, Violation> {
    let Plan { stack: name, serial, selection, steps, refusals, same, left_out, stage: _ } = plan;
    order_ends(&steps)?;
    for (group, declared) in &stack.groups {
        let touched = steps.iter().any(|step| match &step.action {
            Action::Create { key, .. } => declared.members.contains(key),
            Action::Update(change) => declared.members.contains(&change.key),
            Action::Roll { group: rolled, .. } => rolled == group,
            Action::Delete { .. } | Action::Forget { .. } | Action::Gate { .. } => false,
        });
        let gated = steps.iter().any(|step| matches!(&step.action, Action::Gate { group: g } if g == group));
        if touched && !gated {
            return Err(Violation::NoGate { group: group.clone() });
        }
    }
    for step in &steps {
        match &step.action {
            Action::Update(change) => {
                let runs = matches!(
                    inventory.resources.get(&change.key),
                    Some(Observed::Present { runs: true, .. })
                );
                let serves = |(name, view): &(&String, &GroupView)| {
                    let member = stack.groups.get(*name).is_some_and(|g| g.members.contains(&change.key));
                    member && view.members.get(&change.key.name).is_some_and(|member| member.up)
                };
                if let Some((group, _)) = inventory.groups.iter().find(serves).filter(|_| runs) {
                    let member = change.key.name.clone();
                    return Err(Violation::OutsideRoll { member, group: group.clone() });
                }
            }
            // A refused roll is not applied.
            Action::Roll { group, members, .. } if refusals.is_empty() => {
                let role = stack.groups.get(group).and_then(|group| registry.role_named(&group.role));
                let view = inventory.groups.get(group);
                if let (Some(role), Some(view)) = (role, view) {
                    prove_roll(role.as_ref(), group, members.keys().cloned().collect(), view)?;
                }
            }
            _ => {}
        }
    }
    Ok(Plan { stack: name, serial, selection, steps, refusals, same, left_out, stage: PhantomData })
}

fn order_ends(steps: &[Step]) -> Result<(), Violation> {
    let placed: BTreeSet<usize> = Order::of(steps).levels().into_iter().flatten().collect();
    let stuck: Vec<usize> = (0..steps.len()).filter(|step| !placed.contains(step)).collect();
    if stuck.is_empty() { Ok(()) } else { Err(Violation::Circle { steps: stuck }) }
}

/// Walks every state that a roll can reach: whoever leads after each turn, in any sequence.
fn prove_roll(
    role: &dyn Role,
    group: &str,
    members: BTreeSet<String>,
    view: &GroupView,
) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    let mut open = vec![(members, view.clone())];
    while let Some((pending, view)) = open.pop() {
        if !seen.insert((pending.clone(), view.leader().map(str::to_owned), away(&view))) {
            continue;
        }
        let Next::Do(member) = role.next(&Roll { pending: &pending }, &view) else {
            continue;
        };
        if !pending.contains(&member) {
            return Err(Violation::Stray { group: group.to_owned(), member });
        }
        // One that is away already can't be missed.
        if view.members.get(&member).is_some_and(|seen| seen.up)
            && let Err(reason) = role.spares(&member, &view)
        {
            return Err(Violation::Unsafe { group: group.to_owned(), member, reason });
        }
        let mut left = pending.clone();
        left.remove(&member);
        open.extend(role.after_restart(&member, &view).into_iter().map(|after| (left.clone(), after)));
    }
    Ok(())
}

fn away(view: &GroupView) -> Vec<String> {
    view.members.iter().filter(|(_, member)| !member.up).map(|(name, _)| name.clone()).collect()
}
