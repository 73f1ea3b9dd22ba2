//! Proves a plan before anything is touched, without trusting the planner: every way a roll can go keeps its group's
//! promises, no healthy member is stopped outside a roll, and the order of steps leads to an end. Pure.

use super::order::Order;
use super::plan::{Action, Checked, Plan, Step};
use super::{Intent, Inventory, roll};
use crate::model::ProcessSeen;
use crate::registry::Registry;
use crate::resource::Observed;
use crate::role::{GroupView, Next, NotSafe, Role, Roll, Standing};
use crate::stack::ValidStack;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

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
    /// A roll would interrupt what nobody consented to have interrupted.
    #[error("rolling {group} would interrupt {name} without consent")]
    NoConsent {
        /// The group.
        group: String,
        /// What would be interrupted.
        name: String,
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
    intent: &Intent,
    inventory: &Inventory,
) -> Result<Plan<Checked>, Violation> {
    let Plan {
        stack: name,
        serial,
        selection,
        moves,
        steps,
        refusals,
        losses,
        left_alone,
        goes_on,
        same,
        left_out,
        told,
        stage: _,
    } = plan;
    order_ends(&steps)?;
    for (group, declared) in &stack.groups {
        let touched = steps.iter().any(|step| match &step.action {
            Action::Create { key, .. } => declared.members.contains(key),
            Action::Update(change) => declared.members.contains(&change.key),
            Action::Roll { group: rolled, .. } => rolled == group,
            Action::Renew(_)
            | Action::Delete { .. }
            | Action::Discard { .. }
            | Action::Forget { .. }
            | Action::Gate { .. } => false,
        });
        let gated = steps.iter().any(|step| matches!(&step.action, Action::Gate { group: g } if g == group));
        if touched && !gated {
            return Err(Violation::NoGate { group: group.clone() });
        }
    }
    for step in &steps {
        match &step.action {
            Action::Update(change) => {
                // Without a process only by its host's word: one whose host can't be asked may serve.
                let gone = inventory.resources.get(&change.key).and_then(Observed::process)
                    == Some(ProcessSeen::Gone);
                let counts = |(name, view): &(&String, &GroupView)| {
                    let member = stack.groups.get(*name).is_some_and(|g| g.members.contains(&change.key));
                    member && view.standing(&change.key.name).is_some_and(|one| one != Standing::Out)
                };
                if let Some((group, _)) = inventory.groups.iter().find(counts).filter(|_| !gone) {
                    let member = change.key.name.clone();
                    return Err(Violation::OutsideRoll { member, group: group.clone() });
                }
            }
            // A refused roll is not applied.
            Action::Roll { group, members, interrupts, .. } if refusals.is_empty() => {
                if let Some(name) = interrupts.difference(&intent.interrupts).next() {
                    return Err(Violation::NoConsent { group: group.clone(), name: name.clone() });
                }
                let role = stack.groups.get(group).and_then(|group| registry.role_named(&group.role));
                let view = inventory.groups.get(group);
                if let (Some(role), Some(view)) = (role, view) {
                    let view = roll::judged(role.as_ref(), members, view);
                    prove_roll(role.as_ref(), group, roll::pending(members, inventory), interrupts, &view)?;
                }
            }
            _ => {}
        }
    }
    Ok(Plan {
        stack: name,
        serial,
        selection,
        moves,
        steps,
        refusals,
        losses,
        left_alone,
        goes_on,
        same,
        left_out,
        told,
        stage: PhantomData,
    })
}

fn order_ends(steps: &[Step]) -> Result<(), Violation> {
    let placed: BTreeSet<usize> = Order::of(steps).levels().into_iter().flatten().collect();
    let stuck: Vec<usize> = (0..steps.len()).filter(|step| !placed.contains(step)).collect();
    if stuck.is_empty() { Ok(()) } else { Err(Violation::Circle { steps: stuck }) }
}

/// What tells the states of a roll apart: who is still to be changed, who leads, who is away.
type Reached<'a> = (Arc<BTreeSet<&'a str>>, BTreeSet<String>, Vec<String>);

/// Walks every state that a roll can reach: whoever leads after each turn, in any sequence. Each turn takes one member
/// out of those to be changed, so that a state is reached again within the same turn only.
fn prove_roll(
    role: &dyn Role,
    group: &str,
    members: roll::Pending<'_>,
    interrupts: &BTreeSet<String>,
    view: &GroupView,
) -> Result<(), Violation> {
    let reached = |pending: &Arc<BTreeSet<_>>, view: &GroupView| {
        let away = view.away().into_iter().map(str::to_owned).collect();
        (pending.clone(), view.leaders.clone(), away)
    };
    let all = Arc::new(members.keys().copied().collect());
    let mut turn: BTreeMap<Reached<'_>, GroupView> = [(reached(&all, view), view.clone())].into();
    while !turn.is_empty() {
        let mut following = BTreeMap::new();
        for ((pending, ..), view) in turn {
            let open = pending.iter().map(|name| (*name, members[name])).collect();
            let Next::Do(member) = role.next(&Roll { pending: &open, interrupts }, &view) else {
                continue;
            };
            let Some(process) = open.get(member.as_str()) else {
                return Err(Violation::Stray { group: group.to_owned(), member });
            };
            // One without a process can't be missed, nor one that stands still, nor one that the group says is out.
            let idle = matches!(process, Some(ProcessSeen::Gone | ProcessSeen::Still));
            let missed = !idle && view.standing(&member) != Some(Standing::Out);
            if let Err(reason) = role.may_disrupt(&member, interrupts, &view)
                && missed
            {
                return Err(Violation::Unsafe { group: group.to_owned(), member, reason });
            }
            let mut left = Arc::unwrap_or_clone(pending);
            left.remove(member.as_str());
            let left = Arc::new(left);
            for after in role.after_restart(&member, &view) {
                following.entry(reached(&left, &after)).or_insert(after);
            }
        }
        turn = following;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, NodeFacts, Process};
    use crate::role::{Health, MemberView};
    use crate::wire::Wire;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Changes the leader first, then the others by name; one of them can't be spared while another leads.
    #[derive(Default)]
    struct LeaderFirst {
        needed: Option<(&'static str, &'static str)>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Role for LeaderFirst {
        fn name(&self) -> &'static str {
            "leader-first"
        }
        fn files(&self, _: &NodeFacts) -> BTreeMap<String, File> {
            BTreeMap::new()
        }
        fn process(&self, _: &NodeFacts) -> Process {
            Process::Java { options: vec![], main: String::new(), arguments: vec![] }
        }
        async fn observe(&self, _: &dyn Wire, _: &[Arc<NodeFacts>]) -> GroupView {
            view("a")
        }
        fn health(&self, _: &GroupView, _: &[Arc<NodeFacts>], _: &BTreeSet<String>) -> Health {
            Health::Healthy
        }
        fn next(&self, roll: &Roll<'_>, view: &GroupView) -> Next {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let leader = view.leader().filter(|leader| roll.is_pending(leader));
            match leader.or(roll.pending.keys().next().copied()) {
                Some(member) => Next::Do(member.to_owned()),
                None => Next::Done,
            }
        }
        fn may_disrupt(&self, node: &str, _: &BTreeSet<String>, view: &GroupView) -> Result<(), NotSafe> {
            match self.needed {
                Some((needed, leader)) if node == needed && view.leader() == Some(leader) => {
                    Err(NotSafe::NoSingleLeader)
                }
                _ => Ok(()),
            }
        }
        fn allows_removal(&self, _: &NodeFacts, _: &GroupView) -> Result<(), NotSafe> {
            Ok(())
        }
    }

    fn view(leader: &str) -> GroupView {
        let up = || MemberView { standing: Standing::Up, closed: false, note: String::new() };
        GroupView {
            members: Arc::new(["a", "b", "c"].map(|name| (name.to_owned(), up())).into()),
            leaders: [leader.to_owned()].into(),
            detail: Arc::new(()),
        }
    }

    fn proved(role: &LeaderFirst) -> Result<(), Violation> {
        let members = ["a", "b", "c"].map(|name| (name, Some(ProcessSeen::Runs))).into();
        prove_roll(role, "g", members, &BTreeSet::new(), &view("a"))
    }

    #[test]
    fn every_leader_that_may_follow_is_reckoned_with() {
        // a goes first; b or c leads then and goes next; a or the one that is left leads, and that one goes last.
        let role = LeaderFirst::default();
        assert_eq!(proved(&role), Ok(()));
        // abc with a; bc with b, with c; c with a, with c, b with a, with b; none left with a, with b, with c.
        assert_eq!(role.asked.load(Ordering::Relaxed), 1 + 2 + 4 + 3);
    }

    #[test]
    fn a_promise_that_breaks_under_one_late_leader_only_is_found() {
        for needed in [("b", "b"), ("c", "c"), ("b", "a"), ("c", "a")] {
            let broken = proved(&LeaderFirst { needed: Some(needed), ..LeaderFirst::default() });
            assert!(
                matches!(broken, Err(Violation::Unsafe { member, .. }) if member == needed.0),
                "{needed:?}"
            );
        }
        // b is never changed while c leads, since c would go first.
        assert_eq!(proved(&LeaderFirst { needed: Some(("b", "c")), ..LeaderFirst::default() }), Ok(()));
    }
}
