//! The phases of a change: a plan is made for the next one alone, from what is there, and what comes after it is foreseen
//! by planning over what would be there then. Pure.
//!
//! Nothing remembers how far a change has come: each phase is planned from what is seen, also after a kill. What was
//! foreseen only binds: a phase that turns out to be another is not carried out.

use super::plan::{Action, Plan};
use super::saved::{self, Differences};
use super::{Intent, Inventory, Outcome, Record, State, moves, plan};
use crate::host::SystemChange;
use crate::model::{Key, Refusal, references};
use crate::registry::Registry;
use crate::resource::{After, Observed};
use crate::role::{GroupView, Standing};
use crate::stack::{ValidStack, direct_needs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// No change takes as many: a way that leads nowhere is refused here.
const MOST: usize = 64;

/// The plans that are to follow `first`, as far as they can be told now. Empty where it is the only one.
pub fn later<Stage>(
    registry: &Registry,
    stack: &ValidStack,
    intent: &Intent,
    state: &State,
    inventory: &Inventory,
    first: &Plan<Stage>,
) -> Vec<Plan> {
    let (mut state, mut inventory) = (moves::followed(stack, state).into_owned(), inventory.clone());
    let mut later: Vec<Plan> = Vec::new();
    let mut intent = intent.clone().once_done(first);
    foresee(registry, stack, first, &mut state, &mut inventory);
    let mut goes_on = first.goes_on && first.refusals.is_empty();
    while goes_on && later.len() < MOST {
        let next = plan(registry, stack, &intent, &state, &inventory);
        if next.steps.is_empty() && next.refusals.is_empty() {
            break;
        }
        goes_on = next.goes_on && next.refusals.is_empty();
        intent = intent.once_done(&next);
        foresee(registry, stack, &next, &mut state, &mut inventory);
        later.push(next);
    }
    let endless_way = goes_on && later.len() == MOST;
    if let Some(last) = later.last_mut().filter(|_| endless_way) {
        last.refusals.push(endless(stack));
    }
    later
}

fn endless(stack: &ValidStack) -> Refusal {
    Refusal {
        key: Key::new("stack", stack.name().as_ref()),
        reason: format!("{MOST} phases don't bring it to what is declared, and none is begun"),
        hint: "this is a defect of a role or a backend, which say what comes next: please report it".into(),
    }
}

/// All that is refused, in any phase: none is begun of which the end can't be reached.
pub fn refusals<'a, Stage>(plan: &'a Plan<Stage>, later: &'a [Plan]) -> impl Iterator<Item = &'a Refusal> {
    plan.refusals.iter().chain(later.iter().flat_map(|phase| &phase.refusals))
}

/// Whether a phase is the one that was foreseen. What could not be known beforehand may be anything.
///
/// # Errors
/// In what it differs.
pub fn as_foreseen<Stage>(foreseen: &Plan, phase: &Plan<Stage>) -> Result<(), Differences> {
    let differences = saved::differences(foreseen, phase, &is_as_foreseen);
    if differences.is_empty() { Ok(()) } else { Err(Differences(differences)) }
}

/// Whether a deed comes to what was foreseen of it. One of which not all was known may turn out not to be needed.
fn is_as_foreseen(foreseen: &Value, found: Option<&Value>) -> bool {
    match found {
        Some(found) => {
            let (foreseen, found) = (comes_to(foreseen), comes_to(found));
            match (foreseen, found) {
                // What is made of what was not known then was not known either.
                (Value::Object(then), Value::Object(now)) if !references(foreseen).is_empty() => {
                    then.iter().all(|(name, one)| now.get(name).is_some_and(|other| matches(one, other)))
                }
                _ => matches(foreseen, found),
            }
        }
        None => !references(foreseen).is_empty(),
    }
}

/// What a deed, as [`saved::differences`] has it, brings its resource to; the deed itself where that is all.
fn comes_to(deed: &Value) -> &Value {
    let of = |fields: &'_ Value| ["after", "inputs"].into_iter().find(|name| fields.get(name).is_some());
    let inner = deed.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.values().next());
    let fields = inner.unwrap_or(deed);
    of(fields).map_or(fields, |name| &fields[name])
}

/// Whether a value is as foreseen: references and texts with such stand for whatever they turn out to be.
fn matches(foreseen: &Value, found: &Value) -> bool {
    match (foreseen, found) {
        (Value::Object(fields), _) if fields.contains_key("$ref") || fields.contains_key("$format") => true,
        (Value::Object(then), Value::Object(now)) => {
            then.len() == now.len()
                && then.iter().all(|(name, one)| now.get(name).is_some_and(|other| matches(one, other)))
        }
        (Value::Array(then), Value::Array(now)) => {
            then.len() == now.len() && then.iter().zip(now).all(|(one, other)| matches(one, other))
        }
        (then, now) => then == now,
    }
}

/// What a state and an inventory would be once a plan is carried out.
fn foresee<Stage>(
    registry: &Registry,
    stack: &ValidStack,
    plan: &Plan<Stage>,
    state: &mut State,
    inventory: &mut Inventory,
) {
    let mut renewed: BTreeSet<Key> = BTreeSet::new();
    for step in &plan.steps {
        match &step.action {
            Action::Discard { key, outgoing } => {
                (0..*outgoing).for_each(|_| end(state, key, Outcome::Discarded));
            }
            Action::Delete { key, .. } | Action::Forget { key, .. } => {
                end(state, key, Outcome::Removed);
                inventory.resources.remove(key);
            }
            action => {
                let renews = matches!(action, Action::Renew(_));
                for (key, inputs) in action.makes() {
                    let (inputs, needs) = (inputs.clone(), direct_needs(stack, key));
                    let begin = Record::Begin {
                        key: key.clone(),
                        moved_from: None,
                        inputs: inputs.clone(),
                        needs: needs.clone(),
                        renews,
                    };
                    state.fold(state.serial, begin);
                    let begun = &state.resources[key];
                    // Also where the making of another one was cut off.
                    if begun.outputs.is_null() && !begun.outgoing.is_empty() {
                        renewed.insert(key.clone());
                    }
                    let outputs = match (&begun.outputs, registry.kind(&key.kind)) {
                        (Value::Null, Some(kind)) => kind.foreseen_outputs(key, &inputs),
                        (known, _) => known.clone(),
                    };
                    end(state, key, Outcome::Applied { inputs, outputs, needs });
                }
            }
        }
    }
    state.groups = stack.groups.clone();
    let mut befell: BTreeMap<&Key, After<'_>> = BTreeMap::new();
    for (key, recorded) in &state.resources {
        if !recorded.needs.is_disjoint(&renewed) {
            befell.insert(key, After::Renewed(&renewed));
        }
    }
    for step in &plan.steps {
        let after = match &step.action {
            Action::Update(change) if change.changes.is_empty() => After::Started,
            _ => After::Made,
        };
        if let Action::Confirm { key, .. } = &step.action {
            befell.insert(key, after);
        }
        befell.extend(step.action.makes().into_iter().map(|(key, _)| (key, after)));
    }
    for (key, after) in befell {
        let Some((kind, recorded)) = registry.kind(&key.kind).zip(state.resources.get(key)) else { continue };
        let before = inventory.resources.get(key).unwrap_or(&Observed::Absent);
        let foreseen = kind.foreseen(&recorded.inputs, before, after);
        inventory.resources.insert(key.clone(), foreseen);
    }
    for step in &plan.steps {
        let hosts: Vec<&Key> = match &step.action {
            Action::RollHosts { hosts, .. } => hosts.keys().collect(),
            Action::Update(change) => vec![&change.key],
            _ => Vec::new(),
        };
        for host in hosts {
            let Some(system) = inventory.systems.get_mut(host) else { continue };
            *system = match system.is_due() {
                true => system.once_made(),
                false => SystemChange { lacks_boot: false, ..system.once_made() },
            };
        }
    }
    inventory.groups.values_mut().for_each(all_up);
    inventory.foreseen = true;
}

/// Takes the end of an operation in that has no record yet.
fn end(state: &mut State, key: &Key, outcome: Outcome) {
    state.fold(state.serial, Record::End { key: key.clone(), outcome });
}

/// A phase ends only once its groups are whole.
fn all_up(view: &mut GroupView) {
    for member in Arc::make_mut(&mut view.members).values_mut() {
        member.standing = Standing::Up;
    }
}
