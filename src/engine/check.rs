//! Proves a plan before anything is touched, without trusting the planner: every way a roll can go keeps its group's
//! promises, no healthy member is stopped outside a roll, and the order of steps leads to an end. Pure.

use super::order::Order;
use super::plan::{Action, Change, Checked, Plan, Rolled, Step};
use super::roll::{Choice, Group, Turn};
use super::{Intent, Inventory, roll};
use crate::model::{Key, ProcessSeen};
use crate::registry::Registry;
use crate::resource::Observed;
use crate::role::{GroupView, NotSafe, Standing};
use crate::stack::ValidStack;
use std::collections::{BTreeMap, BTreeSet};
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
    /// A member would be changed by itself, or without all that is changed with it.
    #[error(
        "{member} stands on {host}, which is changed as a whole, and would be changed without it or without {without}"
    )]
    NotWhole {
        /// The member.
        member: String,
        /// What it stands on.
        host: String,
        /// What is left out of the turn.
        without: String,
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
        systems,
        stage: _,
    } = plan;
    order_ends(&steps)?;
    for (group, declared) in &stack.groups {
        let touched = steps.iter().any(|step| match &step.action {
            Action::Create { key, .. } => declared.members.contains(key),
            Action::Update(change) => declared.members.contains(&change.key),
            Action::Roll { group: rolled, .. } => rolled == group,
            Action::RollHosts { groups, .. } => {
                groups.get(group).is_some_and(|group| !group.members.is_empty())
            }
            Action::Renew(_)
            | Action::Confirm { .. }
            | Action::Delete { .. }
            | Action::Discard { .. }
            | Action::Forget { .. }
            | Action::Gate { .. } => false,
        });
        let gated = steps.iter().any(|step| matches!(&step.action, Action::Gate { group: g } if g == group));
        // What a later phase changes is waited for there.
        if touched && !gated && !goes_on {
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
            action @ (Action::Roll { .. } | Action::RollHosts { .. }) if refusals.is_empty() => {
                let turns = roll::turns(action);
                whole(action, &turns, registry, stack, inventory)?;
                let mut groups = BTreeMap::new();
                for Rolled { group, members, interrupts } in action.rolled() {
                    if let Some(name) = interrupts.difference(&intent.interrupts).next() {
                        return Err(Violation::NoConsent { group: group.to_owned(), name: name.clone() });
                    }
                    let role = stack.groups.get(group).and_then(|group| registry.role_named(&group.role));
                    let Some((role, view)) = role.zip(inventory.groups.get(group)) else { continue };
                    let asked = Group {
                        role: role.as_ref(),
                        view: roll::judged(role.as_ref(), members, view),
                        pending: roll::pending(members, inventory),
                        beside: roll::beside(group, &turns, members, inventory),
                        interrupts,
                    };
                    groups.insert(group, asked);
                }
                // Of whom nothing is known nothing can be proved; each turn asks anew.
                if groups.len() == action.rolled().len() {
                    prove_roll(groups, &turns)?;
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
        systems,
        stage: PhantomData,
    })
}

/// All that stands on a host that is changed as a whole is in its turn.
fn whole(
    action: &Action,
    turns: &[Turn],
    registry: &Registry,
    stack: &ValidStack,
    inventory: &Inventory,
) -> Result<(), Violation> {
    let stands_on = |key: &Key| {
        let inputs = &stack.resources.get(key)?.inputs;
        let host = registry.kind(&key.kind)?.stands_on(inputs)?;
        let kind = registry.kind(&host.kind)?;
        kind.changes_whole(&stack.resources.get(&host)?.inputs).then_some(host)
    };
    for Change { key, .. } in action.restarts() {
        let Some(host) = stands_on(key) else { continue };
        let turn = turns.iter().find(|turn| turn.host.as_ref() == Some(&host));
        let left_out = |other: &&Key| {
            let there = !matches!(inventory.resources.get(*other), None | Some(Observed::Absent));
            there && !turn.is_some_and(|turn| turn.members.values().any(|member| member == *other))
        };
        let members = stack.groups.values().flat_map(|group| &group.members);
        let mut standing = members.filter(|other| stands_on(other).as_ref() == Some(&host));
        if let Some(without) = standing.find(left_out) {
            let (member, host) = (key.name.clone(), host.to_string());
            return Err(Violation::NotWhole { member, host, without: without.name.clone() });
        }
    }
    Ok(())
}

fn order_ends(steps: &[Step]) -> Result<(), Violation> {
    let placed: BTreeSet<usize> = Order::of(steps).levels().into_iter().flatten().collect();
    let stuck: Vec<usize> = (0..steps.len()).filter(|step| !placed.contains(step)).collect();
    if stuck.is_empty() { Ok(()) } else { Err(Violation::Circle { steps: stuck }) }
}

/// What tells the states of one group in a roll apart: who is still to be changed, who leads, who is away.
type Reached<'a> = (Vec<&'a str>, BTreeSet<String>, Vec<String>);

/// Walks every state that a roll can reach: whoever leads after each turn, in any sequence. Each turn takes members out of
/// those to be changed, so that a state is reached again within the same turn only.
fn prove_roll<'a>(groups: BTreeMap<&'a str, Group<'a>>, turns: &[Turn]) -> Result<(), Violation> {
    let reached = |groups: &BTreeMap<&'a str, Group<'a>>| -> Vec<Reached<'a>> {
        let of = |group: &Group<'a>| {
            let away = group.view.away().into_iter().map(str::to_owned).collect();
            (group.pending.keys().copied().collect(), group.view.leaders.clone(), away)
        };
        groups.values().map(of).collect()
    };
    let mut turn: BTreeMap<Vec<Reached<'a>>, BTreeMap<&str, Group<'_>>> = [(reached(&groups), groups)].into();
    while !turn.is_empty() {
        let mut following = BTreeMap::new();
        for groups in turn.into_values() {
            let number = match roll::choose(&groups, turns) {
                Choice::Turn(number) => number,
                Choice::Stray(group, member) => return Err(Violation::Stray { group, member }),
                Choice::Wait(..) | Choice::Refuse(..) | Choice::Done => continue,
            };
            let mut next = vec![groups];
            for (name, member) in &turns[number].members {
                next = next
                    .into_iter()
                    .map(|groups| after(groups, name, &member.name))
                    .collect::<Result<Vec<_>, _>>()?
                    .concat();
            }
            for groups in next {
                following.entry(reached(&groups)).or_insert(groups);
            }
        }
        turn = following;
    }
    Ok(())
}

/// What may follow once a member of this group was changed and is back.
fn after<'a>(
    mut groups: BTreeMap<&'a str, Group<'a>>,
    name: &str,
    member: &str,
) -> Result<Vec<BTreeMap<&'a str, Group<'a>>>, Violation> {
    let Some(known) = groups.keys().copied().find(|known| *known == name) else { return Ok(vec![groups]) };
    let Some(group) = groups.get_mut(known) else { return Ok(vec![groups]) };
    // One without a process can't be missed, nor one that stands still, nor one that the group says is out.
    let idle = matches!(group.process(member), Some(ProcessSeen::Gone | ProcessSeen::Still));
    let missed = !idle && group.view.standing(member) != Some(Standing::Out);
    if let Err(reason) = group.role.may_disrupt(member, group.interrupts, &group.view)
        && missed
    {
        return Err(Violation::Unsafe { group: name.to_owned(), member: member.to_owned(), reason });
    }
    group.pending.remove(member);
    let views = group.role.after_restart(member, &group.view);
    let seen = |view: GroupView| {
        let mut groups = groups.clone();
        groups.entry(known).and_modify(|group| group.view = view);
        groups
    };
    Ok(views.into_iter().map(seen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Member, NodeFacts, Process};
    use crate::role::{Health, MemberView, Next, Role, Roll};
    use crate::wire::Wire;
    use async_trait::async_trait;
    use std::sync::Arc;
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
        async fn observe(&self, _: &dyn Wire, _: &[Arc<Member>]) -> GroupView {
            view("a")
        }
        fn health(&self, _: &GroupView, _: &[Arc<Member>], _: &BTreeSet<String>) -> Health {
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
        let up = || MemberView { standing: Standing::Up, closed: false, ill: false, note: String::new() };
        GroupView {
            members: Arc::new(["a", "b", "c"].map(|name| (name.to_owned(), up())).into()),
            leaders: [leader.to_owned()].into(),
            detail: Arc::new(()),
        }
    }

    fn proved(role: &LeaderFirst) -> Result<(), Violation> {
        let pending = ["a", "b", "c"].map(|name| (name, Some(ProcessSeen::Runs))).into();
        let (view, beside, interrupts) = (view("a"), BTreeMap::new(), &BTreeSet::new());
        let turn = |name| Turn { host: None, members: [("g".to_owned(), Key::new("node", name))].into() };
        prove_roll(
            [("g", Group { role, view, pending, beside, interrupts })].into(),
            &["a", "b", "c"].map(turn),
        )
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
