//! What is to be done, decided once and for all before anything is touched. Pure and deterministic: the same
//! declaration, state and inventory give the same plan.

use super::graph::Graph;
use super::{Inventory, Registry, State, roll};
use crate::resource::{
    Decision, GroupSubject, Key, NodeFacts, Observed, PropertyChange, Reference, Refusal, Subject, resolve,
};
use crate::role::{Group, Health};
use crate::stack::ValidStack;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

/// A plan that nothing has looked over yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draft {}

/// A plan that [`super::check`] has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {}

/// An immutable list of steps and the order among them. Only a [`Checked`] one can be applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan<Stage = Draft> {
    /// The stack's name.
    pub stack: String,
    /// Serial of the state that it was made from.
    pub serial: u64,
    /// The steps; a step's number is its place.
    pub steps: Vec<Step>,
    /// What can't be done. A plan with refusals is not applied.
    pub refusals: Vec<Refusal>,
    /// How many resources stay as they are.
    pub same: usize,
    #[serde(skip)]
    pub(super) stage: PhantomData<Stage>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// Why, where it isn't plain.
    pub reason: String,
    /// Steps that must have succeeded before it begins.
    pub after: BTreeSet<usize>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes a resource.
    Create {
        /// Which.
        key: Key,
        /// Its inputs, references filled in as far as known.
        inputs: Value,
        /// The kind's instructions to itself.
        detail: Value,
    },
    /// Changes a resource that can be changed beside others.
    Update(Change),
    /// Removes a resource.
    Delete {
        /// Which.
        key: Key,
        /// Its inputs.
        before: Value,
        /// What is lost by it; may be empty.
        loses: String,
    },
    /// Forgets a resource that went with its group.
    Forget {
        /// Which.
        key: Key,
        /// The group.
        with: String,
    },
    /// Changes running members of a group, one at a time.
    Roll {
        /// The group.
        group: String,
        /// The changes, by node name.
        members: BTreeMap<String, Change>,
        /// The order to expect; the real one follows the controller and the leader as they move.
        predicted: Vec<String>,
    },
    /// Waits until a group is healthy as a whole.
    Gate {
        /// The group.
        group: String,
    },
}

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// Inputs as recorded.
    pub before: Value,
    /// Inputs to be, references filled in as far as known.
    pub after: Value,
    /// Which of them differ; empty where only the run state does.
    pub changes: Vec<PropertyChange>,
    /// Why, where it isn't plain.
    pub reason: String,
}

impl Action {
    /// The verb for people and events.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            // What differs is only that it doesn't run.
            Self::Update(change) if change.changes.is_empty() => "start",
            Self::Update(_) => "update",
            Self::Delete { .. } | Self::Forget { .. } => "delete",
            Self::Roll { .. } => "roll",
            Self::Gate { .. } => "gate",
        }
    }

    /// The resource, or the group where it is about one.
    pub fn subject(&self) -> String {
        match self {
            Self::Create { key, .. }
            | Self::Delete { key, .. }
            | Self::Forget { key, .. }
            | Self::Update(Change { key, .. }) => key.to_string(),
            Self::Roll { group, .. } | Self::Gate { group } => format!("group/{group}"),
        }
    }
}

impl<Stage> Plan<Stage> {
    /// Whether there is nothing to do and nothing refused.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty()
    }

    /// Whether every step only waits: nothing will be changed.
    pub fn only_waits(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.action, Action::Gate { .. }))
    }
}

/// Decides what is to be done.
pub fn plan(registry: &Registry, stack: &ValidStack, state: &State, inventory: &Inventory) -> Plan {
    let known = || [&stack.groups, &state.groups].into_iter().flatten();
    let mut planner = Planner {
        registry,
        stack,
        state,
        inventory,
        groups: known()
            .map(|(name, _)| (name.as_str(), group_subject(name, stack, state, inventory)))
            .collect(),
        member_of: known()
            .flat_map(|(name, group)| group.members.iter().map(move |member| (member, name.as_str())))
            .collect(),
        graph: Graph::default(),
        rolls: BTreeMap::new(),
        refusals: Vec::new(),
        same: 0,
    };
    let keys: BTreeSet<&Key> = stack.resources.keys().chain(state.resources.keys()).collect();
    for key in keys {
        planner.decide(key);
    }
    planner.add_rolls();
    planner.add_gates();
    planner.order();
    Plan {
        stack: stack.name().to_string(),
        serial: state.serial,
        steps: planner.graph.into_steps(),
        refusals: planner.refusals,
        same: planner.same,
        stage: PhantomData,
    }
}

fn group_subject<'a>(
    name: &'a str,
    stack: &ValidStack,
    state: &State,
    inventory: &'a Inventory,
) -> GroupSubject<'a> {
    let members = state.groups.get(name).map(|group| &group.members).into_iter().flatten();
    let certain =
        members.filter_map(|member| state.resources.get(member)).filter(|recorded| !recorded.pending);
    GroupSubject {
        name,
        view: inventory.groups.get(name),
        recorded: certain.count(),
        declared: stack.groups.get(name).map_or(0, |group| group.members.len()),
    }
}

struct Planner<'a> {
    registry: &'a Registry,
    stack: &'a ValidStack,
    state: &'a State,
    inventory: &'a Inventory,
    groups: BTreeMap<&'a str, GroupSubject<'a>>,
    member_of: BTreeMap<&'a Key, &'a str>,
    graph: Graph,
    rolls: BTreeMap<String, BTreeMap<String, Change>>,
    refusals: Vec<Refusal>,
    same: usize,
}

impl Planner<'_> {
    /// The value of a reference. What is absent since an update was cut off at it may be made anew otherwise.
    fn known(&self, reference: &Reference) -> Option<Value> {
        let key = &reference.resource;
        let pending = self.state.resources.get(key).is_some_and(|recorded| recorded.pending);
        let absent = matches!(self.inventory.resources.get(key), None | Some(Observed::Absent));
        if pending && absent { None } else { self.state.lookup(reference) }
    }

    /// Decides for one resource and puts down its step.
    fn decide(&mut self, key: &Key) {
        let recorded = self.state.resources.get(key);
        let declared =
            self.stack.resources.get(key).map(|d| resolve(&d.inputs, &|reference| self.known(reference)));
        let observed = self.inventory.resources.get(key).cloned().unwrap_or(Observed::Absent);
        let subject = Subject {
            key,
            declared: declared.as_ref(),
            recorded,
            observed: &observed,
            group: self.group_of(key),
        };
        let Some(kind) = self.registry.kind(&key.kind) else {
            self.refusals.push(Refusal {
                key: key.clone(),
                reason: format!("this program doesn't know the kind {}", key.kind),
                hint: "use the program that made it".into(),
            });
            return;
        };
        let decision = kind.decide(&subject);
        let before = recorded.map(|recorded| recorded.inputs.clone()).unwrap_or_default();
        let inputs = declared.unwrap_or_default();
        match decision {
            Decision::Same => self.same += 1,
            Decision::Refuse(refusal) => self.refusals.push(refusal),
            Decision::Create { reason, detail } => {
                self.graph.add(key, Action::Create { key: key.clone(), inputs, detail }, reason);
            }
            Decision::Delete { loses } => {
                self.graph.add(key, Action::Delete { key: key.clone(), before, loses }, String::new());
            }
            Decision::Forget { with } => {
                self.graph.add(key, Action::Forget { key: key.clone(), with }, String::new());
            }
            Decision::Update { changes, reason, disrupts } => {
                let change =
                    Change { key: key.clone(), before, after: inputs, changes, reason: reason.clone() };
                match disrupts {
                    Some(group) => {
                        self.rolls.entry(group).or_default().insert(key.name.clone(), change);
                    }
                    None => self.graph.add(key, Action::Update(change), reason),
                }
            }
        }
    }

    /// The group around a member or around what a group holds.
    fn group_of(&self, key: &Key) -> Option<GroupSubject<'_>> {
        if let Some(group) = self.member_of.get(key) {
            return self.groups.get(group).copied();
        }
        let inputs = match (self.stack.resources.get(key), self.state.resources.get(key)) {
            (Some(declared), _) => &declared.inputs,
            (None, recorded) => &recorded?.inputs,
        };
        let holder = self.registry.kind(&key.kind)?.held_by(inputs)?;
        self.groups.get(holder.as_str()).copied()
    }

    /// One step for each group that has running members to change.
    fn add_rolls(&mut self) {
        for (group, members) in std::mem::take(&mut self.rolls) {
            let names: BTreeSet<String> = members.keys().cloned().collect();
            let role = self.role_of(&group);
            let view = self.inventory.groups.get(&group);
            let predicted = match (role, view) {
                (Some(role), Some(view)) => roll::predict(role.as_ref(), &names, view),
                _ => Err(crate::role::NotSafe::NobodyAnswers),
            };
            let (predicted, waits) = match predicted {
                Ok(found) => found,
                Err(reason) => {
                    self.refusals.push(Refusal {
                        key: Key::new("group", &group),
                        reason: format!("can't be rolled: {reason}"),
                        hint: "raise the topic's replicas above its min.insync.replicas, \
                               or `octad stop` the stack and start it with the change"
                            .into(),
                    });
                    (names.into_iter().collect(), None)
                }
            };
            let reason = waits.map(|reason| format!("waits first: {reason}")).unwrap_or_default();
            let keys: Vec<Key> = members.values().map(|change| change.key.clone()).collect();
            let action = Action::Roll { group: group.clone(), members, predicted };
            self.graph.add_for_group(&group, &keys, action, reason);
        }
    }

    /// A gate behind the steps of each group, and for each group that isn't well although nothing is to be done.
    fn add_gates(&mut self) {
        for (name, group) in &self.stack.groups {
            let touched = group.members.iter().any(|member| self.graph.step_of(member).is_some());
            if touched || !self.is_healthy(name, group) {
                let reason = if touched { "" } else { "is not healthy at present" };
                self.graph.add_for_group(name, &[], Action::Gate { group: name.clone() }, reason.into());
            }
        }
    }

    fn is_healthy(&self, name: &str, group: &Group) -> bool {
        let members: Vec<NodeFacts> = group
            .members
            .iter()
            .filter_map(|member| self.state.resources.get(member))
            .filter_map(|recorded| serde_json::from_value(recorded.inputs.clone()).ok())
            .collect();
        match (self.role_of(name), self.inventory.groups.get(name)) {
            (Some(role), Some(view)) => role.health(view, &members) == Health::Healthy,
            _ => false,
        }
    }

    fn role_of(&self, group: &str) -> Option<std::sync::Arc<dyn crate::role::Role>> {
        let role = &self.stack.groups.get(group)?.role;
        self.registry.role_named(role).cloned()
    }

    /// Which step waits for which: what is made waits for what it needs, what is removed for what needs it.
    fn order(&mut self) {
        for (key, declared) in &self.stack.resources {
            let referred = crate::resource::references(&declared.inputs).into_iter().map(|r| r.resource);
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
        self.graph.close(&self.stack.groups);
    }
}
