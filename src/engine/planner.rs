//! Decides what is to be done, once and for all before anything is touched. Pure and deterministic: the same declaration,
//! state and inventory give the same plan.

mod gates;
mod losses;
mod phases;
mod rolls;
mod standing;

use super::graph::Graph;
use super::plan::{Action, Change, Plan};
use super::selection::Decisions;
use super::{Intent, Inventory, State, identity, moves};
use crate::model::{Key, Reference, Refusal, resolve};
use crate::registry::Registry;
use crate::resource::{Decision, Fitted, GroupSubject, Kind, Loss, Observed, Recorded, Siblings, Subject};
use crate::stack::ValidStack;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

/// All resources of a kind.
pub(super) fn siblings<'a>(
    kind: &str,
    stack: &'a ValidStack,
    state: &'a State,
    inventory: &'a Inventory,
) -> Siblings<'a> {
    let declared = stack.resources.iter().filter(|(key, _)| key.kind == kind);
    Siblings {
        declared: declared.map(|(key, declared)| (key, &declared.inputs)).collect(),
        recorded: state.resources.iter().filter(|(key, _)| key.kind == kind).collect(),
        disks: &stack.disks,
        measured: &inventory.measured,
        groups: &inventory.groups,
    }
}

/// Decides what is to be done.
pub fn plan(
    registry: &Registry,
    stack: &ValidStack,
    intent: &Intent,
    state: &State,
    inventory: &Inventory,
) -> Plan {
    let mut moves = moves::pending(stack, state);
    let state = &*moves::followed(stack, state);
    let known = || [&stack.groups, &state.groups].into_iter().flatten();
    let mut planner = Planner {
        registry,
        stack,
        intent,
        state,
        inventory,
        groups: known()
            .map(|(name, _)| (name.as_str(), group_subject(name, stack, state, inventory)))
            .collect(),
        member_of: known()
            .flat_map(|(name, group)| group.members.iter().map(move |member| (member, name.as_str())))
            .collect(),
        needed_by: needed_by(state),
        graph: Graph::default(),
        rolls: BTreeMap::new(),
        refusals: identity::strangers(registry, state, inventory)
            .into_iter()
            .chain(outdated(stack, state))
            .collect(),
        losses: BTreeSet::new(),
        left_alone: BTreeMap::new(),
        same: 0,
        left_out: BTreeSet::new(),
        fitted: Fitted::default(),
        held_back: BTreeSet::new(),
        rolled_later: BTreeSet::new(),
        confirms: false,
        goes_on: false,
    };
    for kind in registry.kinds() {
        let all = siblings(kind.name(), stack, state, inventory);
        let Fitted { inputs, waypoints, refusals, told } = kind.fit(&all);
        planner.fitted.inputs.extend(inputs);
        planner.fitted.waypoints.extend(waypoints);
        planner.fitted.refusals.extend(refusals);
        planner.fitted.told.extend(told);
    }
    let keys: BTreeSet<&Key> = stack.resources.keys().chain(state.resources.keys()).collect();
    let mut decisions = Decisions::new();
    let mut losses: BTreeMap<&Key, Vec<Loss>> = BTreeMap::new();
    for key in keys {
        let (decision, inputs, loses) = planner.decide(key);
        if decision == Decision::Same {
            planner.same += 1;
        } else {
            decisions.insert(key.clone(), (decision, inputs));
            losses.insert(key, loses);
        }
    }
    planner.confine(&mut decisions);
    planner.confirm_first(&mut decisions);
    planner.start_first(&mut decisions);
    planner.hold_back(&mut decisions);
    planner.boot_last();
    losses.retain(|key, _| !planner.left_out.contains(key));
    planner.weigh(losses.into_values().flatten().collect());
    for (key, (decision, inputs)) in decisions {
        if !planner.left_out.contains(&key) {
            planner.put_down(&key, decision, inputs);
        }
    }
    planner.discard();
    let told = std::mem::take(&mut planner.fitted.told).into_iter();
    let told = told.filter(|(key, (_, always))| *always || planner.graph.step_of(key).is_some());
    let told = told.map(|(key, (text, _))| (key, text)).collect();
    planner.add_rolls();
    planner.add_gates();
    planner.order();
    moves.retain(|to, _| !planner.left_out.contains(to));
    Plan {
        stack: stack.name().to_string(),
        serial: state.serial,
        selection: intent.selection.clone(),
        moves,
        steps: planner.graph.into_steps(),
        refusals: planner.refusals,
        losses: planner.losses,
        left_alone: planner.left_alone,
        goes_on: planner.goes_on,
        same: planner.same,
        left_out: planner.left_out,
        told,
        systems: due(inventory),
        stage: PhantomData,
    }
}

/// The systems that hosts are to run in place of those that they run.
fn due(inventory: &Inventory) -> BTreeMap<Key, String> {
    let due = inventory.systems.iter().filter(|(_, system)| system.is_due());
    due.map(|(key, system)| (key.clone(), system.makes.clone())).collect()
}

/// Why what was recorded once is not declared any more: others changed it since, and would find it put back.
fn outdated(stack: &ValidStack, state: &State) -> Option<Refusal> {
    stack.recorded_at().filter(|serial| *serial != state.serial).map(|_| Refusal {
        key: Key::new("stack", stack.name().as_ref()),
        reason: "it was changed since it was read".into(),
        hint: "run the same command again".into(),
    })
}

fn needed_by(state: &State) -> BTreeMap<&Key, Vec<(&Key, &Recorded)>> {
    let mut needed_by: BTreeMap<&Key, Vec<(&Key, &Recorded)>> = BTreeMap::new();
    for (key, recorded) in &state.resources {
        for needed in &recorded.needs {
            needed_by.entry(needed).or_default().push((key, recorded));
        }
    }
    needed_by
}

fn group_subject<'a>(
    name: &'a str,
    stack: &ValidStack,
    state: &State,
    inventory: &'a Inventory,
) -> GroupSubject<'a> {
    let members = state.groups.get(name).map(|group| &group.members).into_iter().flatten();
    let certain =
        members.filter_map(|member| state.resources.get(member)).filter(|recorded| !recorded.is_pending());
    GroupSubject {
        name,
        view: inventory.groups.get(name),
        recorded: certain.count(),
        declared: stack.groups.get(name).map_or(0, |group| group.members.len()),
    }
}

struct Planner<'a> {
    intent: &'a Intent,
    registry: &'a Registry,
    stack: &'a ValidStack,
    state: &'a State,
    inventory: &'a Inventory,
    groups: BTreeMap<&'a str, GroupSubject<'a>>,
    member_of: BTreeMap<&'a Key, &'a str>,
    /// What is recorded as needing each resource.
    needed_by: BTreeMap<&'a Key, Vec<(&'a Key, &'a Recorded)>>,
    graph: Graph,
    rolls: BTreeMap<String, BTreeMap<String, Change>>,
    refusals: Vec<Refusal>,
    losses: BTreeSet<Loss>,
    left_alone: BTreeMap<Key, Vec<String>>,
    same: usize,
    left_out: BTreeSet<Key>,
    fitted: Fitted,
    /// What stands on something that is made anew in this phase.
    held_back: BTreeSet<Key>,
    /// Groups of which members are changed in a later phase, with the hosts that they are on.
    rolled_later: BTreeSet<String>,
    /// It only settles what is on trial.
    confirms: bool,
    goes_on: bool,
}

impl Planner<'_> {
    /// The value of a reference. What is absent since an update was cut off at it may be made anew otherwise.
    fn known(&self, reference: &Reference) -> Option<Value> {
        let key = &reference.resource;
        let pending = self.state.resources.get(key).is_some_and(Recorded::is_pending);
        let absent = matches!(self.inventory.resources.get(key), None | Some(Observed::Absent));
        if pending && absent { None } else { self.state.lookup(reference) }
    }

    /// What is to be done with one resource, its inputs to be, and what it loses by that.
    fn decide(&mut self, key: &Key) -> (Decision, Value, Vec<Loss>) {
        let recorded = self.state.resources.get(key);
        let inputs = self.stack.resources.get(key).map(|d| self.fitted.inputs.get(key).unwrap_or(&d.inputs));
        let declared = inputs.map(|inputs| resolve(inputs, &|reference| self.known(reference)));
        let kind = self.registry.kind(&key.kind);
        let declared = declared.map(|inputs| match kind {
            Some(kind) => kind.rendered(inputs),
            None => inputs,
        });
        let ground = kind.and_then(|kind| kind.stands_on(declared.as_ref()?));
        let host = ground.as_ref().unwrap_or(key);
        let system = self.inventory.systems.get(host);
        let subject = Subject {
            key,
            declared: declared.as_ref(),
            recorded,
            observed: self.inventory.resources.get(key).unwrap_or(&Observed::Absent),
            group: self.group_of(key),
            needed_by: match declared {
                Some(_) => Vec::new(),
                None => self.needed_by.get(key).cloned().unwrap_or_default(),
            },
            refill: self.intent.refill.contains(key),
            format: self.intent.formats.contains(host),
            restart: self.intent.restart.contains(key),
            system,
            lockout: self.intent.lockouts.contains(host),
            reboot: self.intent.reboot,
        };
        let mut losses = Vec::new();
        let mut left_alone = Vec::new();
        let decision = match kind {
            Some(kind) => {
                let decision = self.protect(kind.as_ref(), &subject, kind.decide(&subject));
                if matches!(
                    decision,
                    Decision::Update { .. } | Decision::Create { .. } | Decision::Renew { .. }
                ) {
                    losses = kind.losses(&subject);
                }
                left_alone = kind.leaves(&subject);
                self.ask_for_a_move(kind.as_ref(), &subject, decision)
            }
            None => Decision::Refuse(Refusal {
                key: key.clone(),
                reason: format!("this program doesn't know the kind {}", key.kind),
                hint: "use the program that made it".into(),
            }),
        };
        if !left_alone.is_empty() {
            self.left_alone.insert(key.clone(), left_alone);
        }
        let decision = match (decision, self.fitted.refusals.get(key)) {
            (Decision::Create { .. } | Decision::Update { .. } | Decision::Renew { .. }, Some(refusal)) => {
                Decision::Refuse(refusal.clone())
            }
            (decision, _) => decision,
        };
        (decision, declared.unwrap_or_default(), losses)
    }

    /// Takes note of what the selection leaves out, and refuses what it would tear apart.
    fn confine(&mut self, decisions: &mut Decisions) {
        let selection = &self.intent.selection;
        if selection.is_all() {
            return;
        }
        let confined = selection.confine(self.stack, self.state, decisions);
        self.left_out = confined.left_out;
        for (key, mover) in confined.concerned {
            if let Some((Decision::Refuse(refusal), _)) = decisions.get_mut(&key) {
                refusal.reason.push_str(&format!(
                    "; outside the target it still counts, since {mover} joins or leaves its group"
                ));
            }
        }
        for (name, subject) in &self.groups {
            let group = self.stack.groups.get(*name).or(self.state.groups.get(*name));
            let Some((group, role)) = group.and_then(|one| Some((one, self.registry.role_named(&one.role)?)))
            else {
                continue;
            };
            let torn = selection.tears(group, subject, role.as_ref(), &self.left_out, decisions);
            self.refusals.extend(torn);
        }
    }

    /// Puts down the step of one resource.
    fn put_down(&mut self, key: &Key, decision: Decision, inputs: Value) {
        let before = || self.state.resources.get(key).map(|one| one.inputs.clone()).unwrap_or_default();
        match decision {
            Decision::Same => {}
            Decision::Refuse(refusal) => self.refusals.push(refusal),
            Decision::Create { reason, detail } => {
                let what =
                    self.registry.kind(&key.kind).map(|kind| kind.describe(&inputs)).unwrap_or_default();
                self.graph.add(key, Action::Create { key: key.clone(), inputs, what, detail }, reason);
            }
            Decision::Delete { loses } => {
                let before = before();
                self.graph.add(key, Action::Delete { key: key.clone(), before, loses }, String::new());
            }
            Decision::Forget { with, loses } => {
                self.graph.add(key, Action::Forget { key: key.clone(), with, loses }, String::new());
            }
            Decision::Start { reason } => {
                let (before, after) = (before(), before());
                let change =
                    Change { key: key.clone(), before, after, changes: Vec::new(), reason: reason.clone() };
                self.graph.add(key, Action::Update(change), reason);
            }
            Decision::Confirm { reason } => {
                let members = self.members_on(key).map(|(group, member)| (group.to_owned(), member.clone()));
                let interrupts = self.intent.interrupts.clone();
                let action = Action::Confirm { key: key.clone(), members: members.collect(), interrupts };
                // What stands on the host and is started comes before, not after.
                self.graph.add_for_groups(std::iter::empty(), &[], action, reason);
            }
            Decision::Renew { changes, reason } => {
                let (before, after) = (before(), inputs);
                let change = Change { key: key.clone(), before, after, changes, reason: reason.clone() };
                self.graph.add(key, Action::Renew(change), reason);
            }
            Decision::Update { changes, reason, disrupts } => {
                let (before, after) = (before(), inputs);
                let change = Change { key: key.clone(), before, after, changes, reason: reason.clone() };
                // One without a process interrupts nobody, but where others run on a host that is changed with it. Where
                // nothing changes, it is only started.
                let starts = change.changes.is_empty();
                match disrupts.or_else(|| self.beside_others(key).filter(|_| !starts)) {
                    Some(group) => {
                        self.rolls.entry(group).or_default().insert(key.name.clone(), change);
                    }
                    None => self.graph.add(key, Action::Update(change), reason),
                }
            }
        }
    }

    /// Where one can't go and another of its kind comes, it may be that only the name changed.
    fn ask_for_a_move(&self, kind: &dyn Kind, subject: &Subject<'_>, decision: Decision) -> Decision {
        let comes = |key: &Key| key.kind == kind.name() && !self.state.resources.contains_key(key);
        let goes = subject.declared.is_none() && self.stack.resources.keys().any(comes);
        match decision {
            Decision::Refuse(Refusal { key, reason, hint }) if goes && kind.allows_rename(&key).is_ok() => {
                let hint = format!("{hint}; if it only has another name now, say so with `moved`");
                Decision::Refuse(Refusal { key, reason, hint })
            }
            decision => decision,
        }
    }

    /// Which step waits for which: what is made waits for what it needs, what is removed for what needs it.
    fn order(&mut self) {
        for (key, declared) in &self.stack.resources {
            let referred = crate::model::references(&declared.inputs).into_iter().map(|r| r.resource);
            let mut needs: BTreeSet<crate::stack::Needs> = declared.needs.clone();
            needs.extend(referred.map(crate::stack::Needs::Resource));
            self.graph.needs(key, needs);
        }
        for (key, recorded) in &self.state.resources {
            for needed in &recorded.needs {
                self.graph.deleted_before(key, needed);
            }
        }
        self.graph.forgotten_after(&self.state.groups);
        self.graph.made_after_leaving(&self.state.groups);
        self.graph.confirmed_last();
        self.graph.close(&self.stack.groups);
        self.graph.one_after_the_other(self.on_whole());
    }
}
