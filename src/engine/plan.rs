//! What is to be done: steps and the order among them. Data; `planner` makes it.

use super::{Selection, StepAction};
use crate::model::{Key, PropertyChange, Refusal};
use crate::resource::Loss;
use crate::role::{Absence, Group};
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

/// A stage in which a plan may be read from a file. A [`Checked`] one may not: only [`super::check()`] makes those.
///
/// ```
/// use octad::engine::{Draft, Plan};
/// fn read(text: &str) -> Plan<Draft> {
///     serde_json::from_str(text).unwrap()
/// }
/// ```
/// ```compile_fail,E0277
/// use octad::engine::{Checked, Plan};
/// fn read(text: &str) -> Plan<Checked> {
///     serde_json::from_str(text).unwrap()
/// }
/// ```
pub trait FromFile {}

impl FromFile for Draft {}

/// An immutable list of steps and the order among them. Only a [`Checked`] one can be applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = "Stage: FromFile"))]
pub struct Plan<Stage = Draft> {
    /// The stack's name.
    pub stack: String,
    /// Serial of the state that it was made from.
    pub serial: u64,
    /// What it is confined to.
    #[serde(default, skip_serializing_if = "Selection::is_all")]
    pub selection: Selection,
    /// Resources that go on under another name: the new one, and the one that the state has. What is to be done for it
    /// is among the steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moves: BTreeMap<Key, Key>,
    /// The steps; a step's number is its place.
    pub steps: Vec<Step>,
    /// What can't be done. A plan with refusals is not applied.
    pub refusals: Vec<Refusal>,
    /// What it lets go that is kept now, with consent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub losses: BTreeSet<Loss>,
    /// What differs from the declaration and is left as it is, a sentence each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_alone: BTreeMap<Key, Vec<String>>,
    /// Whether it is one phase of several: once it is carried out, what is left is seen and planned anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
    /// How many resources stay as they are.
    pub same: usize,
    /// Resources that would change or be refused, and that the selection leaves out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<Key>,
    /// What some resources come to, for people: those that are made or changed, and those that are to be told of anyhow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<Key, String>,
    /// The systems that hosts are to run which are changed as a whole, where they run others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub systems: BTreeMap<Key, String>,
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
        /// What it is, for people.
        #[serde(default)]
        what: String,
        /// The kind's instructions to itself.
        detail: Value,
    },
    /// Makes another instance of a resource beside the one that there is. What stands on it moves in a later phase.
    Renew(Change),
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
    /// Removes those that a resource took the place of, now that nothing stands on them any more.
    Discard {
        /// Which resource.
        key: Key,
        /// How many of them.
        outgoing: usize,
    },
    /// Forgets a resource that went with its group, or is gone already.
    Forget {
        /// Which.
        key: Key,
        /// The group.
        with: Option<String>,
        /// What is lost by it.
        #[serde(default)]
        loses: String,
    },
    /// Changes running members of a group, one at a time.
    Roll {
        /// The group.
        group: String,
        /// The changes, by node name.
        members: BTreeMap<String, Change>,
        /// The order to expect; the real one follows the controller and the leader as they move.
        predicted: Vec<String>,
        /// What the group is left with while each of them is away, as far as it can be told beforehand.
        #[serde(default)]
        absences: BTreeMap<String, Absence>,
        /// What the group holds that is interrupted by it, with consent.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        interrupts: BTreeSet<String>,
    },
    /// Changes hosts that have one configuration for all their nodes, one at a time. Each turn waits until every group that
    /// has a member on the host says that it may go; members on other hosts have turns of their own.
    RollHosts {
        /// What is changed of each of these groups, by name; those that only have members on the hosts are here too.
        groups: BTreeMap<String, GroupRoll>,
        /// The hosts that are changed as a whole, with the member of each group there.
        hosts: BTreeMap<Key, BTreeMap<String, Key>>,
        /// The order to expect, by the names of the hosts, and of members on others.
        predicted: Vec<String>,
    },
    /// Keeps a host's change that is on trial once these groups are whole, or takes it back.
    Confirm {
        /// The host.
        key: Key,
        /// The member of each group there.
        members: BTreeMap<String, Key>,
        /// What there is consent to interrupt where it is taken back.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        interrupts: BTreeSet<String>,
    },
    /// Waits until a group is healthy as a whole.
    Gate {
        /// The group.
        group: String,
    },
}

/// One group of those that a step rolls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rolled<'a> {
    pub(super) group: &'a str,
    pub(super) members: &'a BTreeMap<String, Change>,
    pub(super) interrupts: &'a BTreeSet<String>,
}

/// What is changed of one group where hosts are changed as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupRoll {
    /// The changes, by node name.
    pub members: BTreeMap<String, Change>,
    /// What the group is left with while each of them is away, as far as it can be told beforehand.
    #[serde(default)]
    pub absences: BTreeMap<String, Absence>,
    /// What the group holds that is interrupted by it, with consent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub interrupts: BTreeSet<String>,
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
    /// What it does, for events.
    pub fn does(&self) -> StepAction {
        match self {
            Self::Create { .. } => StepAction::Create,
            Self::Renew(_) => StepAction::Renew,
            Self::Discard { .. } => StepAction::Discard,
            // What differs is only that it doesn't run.
            Self::Update(change) if change.changes.is_empty() => StepAction::Start,
            Self::Update(_) => StepAction::Update,
            Self::Delete { .. } | Self::Forget { .. } => StepAction::Delete,
            Self::Roll { .. } | Self::RollHosts { .. } => StepAction::Roll,
            Self::Confirm { .. } => StepAction::Confirm,
            Self::Gate { .. } => StepAction::Gate,
        }
    }

    /// The verb for people.
    pub fn verb(&self) -> &'static str {
        self.does().name()
    }

    /// The resource, or the group where it is about one.
    pub fn subject(&self) -> String {
        match self {
            Self::Create { key, .. }
            | Self::Delete { key, .. }
            | Self::Forget { key, .. }
            | Self::Discard { key, .. }
            | Self::Confirm { key, .. }
            | Self::Renew(Change { key, .. })
            | Self::Update(Change { key, .. }) => key.to_string(),
            Self::Roll { group, .. } | Self::Gate { group } => format!("group/{group}"),
            Self::RollHosts { hosts, .. } => hosts.keys().map(Key::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// The one resource that it is about; `None` where it is about a group.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Create { key, .. }
            | Self::Delete { key, .. }
            | Self::Forget { key, .. }
            | Self::Discard { key, .. }
            | Self::Confirm { key, .. }
            | Self::Renew(Change { key, .. })
            | Self::Update(Change { key, .. }) => Some(key),
            Self::Roll { .. } | Self::RollHosts { .. } | Self::Gate { .. } => None,
        }
    }

    /// The resources that it makes or changes, with their inputs afterwards.
    pub fn makes(&self) -> Vec<(&Key, &Value)> {
        match self {
            Self::Create { key, inputs, .. } => vec![(key, inputs)],
            Self::Update(change) | Self::Renew(change) => vec![(&change.key, &change.after)],
            Self::Roll { .. } | Self::RollHosts { .. } => {
                self.restarts().map(|change| (&change.key, &change.after)).collect()
            }
            Self::Delete { .. }
            | Self::Forget { .. }
            | Self::Discard { .. }
            | Self::Confirm { .. }
            | Self::Gate { .. } => vec![],
        }
    }

    /// The groups of which it changes members turn by turn, with these and what it interrupts.
    pub(super) fn rolled(&self) -> Vec<Rolled<'_>> {
        match self {
            Self::Roll { group, members, interrupts, .. } => vec![Rolled { group, members, interrupts }],
            Self::RollHosts { groups, .. } => groups
                .iter()
                .map(|(group, GroupRoll { members, interrupts, .. })| Rolled { group, members, interrupts })
                .collect(),
            _ => vec![],
        }
    }

    /// What it may interrupt, with consent.
    pub(super) fn interrupts(&self) -> impl Iterator<Item = &String> {
        let taken_back = match self {
            Self::Confirm { interrupts, .. } => Some(interrupts),
            _ => None,
        };
        self.rolled().into_iter().map(|rolled| rolled.interrupts).chain(taken_back).flatten()
    }

    /// What it restarts turn by turn.
    pub(crate) fn restarts(&self) -> impl Iterator<Item = &Change> {
        self.rolled().into_iter().flat_map(|rolled| rolled.members.values())
    }
}

impl<Stage> Plan<Stage> {
    /// Whether there is nothing to do and nothing refused.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty()
    }

    /// What is to be changed, each step in a few words.
    pub fn changes(&self) -> Vec<String> {
        let changing = self.steps.iter().filter(|step| !matches!(step.action, Action::Gate { .. }));
        let changes = changing.map(|step| format!("{} {}", step.action.verb(), step.action.subject()));
        let moves = self.moves.iter().map(|(to, from)| format!("move {from} to {to}"));
        moves.chain(changes).collect()
    }

    /// Whether every step only waits: nothing will be changed.
    pub fn only_waits(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.action, Action::Gate { .. }))
    }

    /// How many resources it changes.
    pub fn change_count(&self) -> usize {
        let of = |step: &Step| match &step.action {
            Action::Gate { .. } => 0,
            Action::Roll { .. } | Action::RollHosts { .. } => step.action.restarts().count(),
            _ => 1,
        };
        self.steps.iter().map(of).sum()
    }

    /// What nothing is done with: changes that are left out, and what is left out by name.
    pub(super) fn out(&self) -> BTreeSet<Key> {
        match &self.selection {
            Selection::Without(keys) => &self.left_out | keys,
            _ => self.left_out.clone(),
        }
    }

    /// Whether a group is to be healthy once all is done. One with a change that is left out may be unable to, as may one
    /// of which a later phase changes a member.
    pub(super) fn is_to_leave_healthy(&self, name: &str, group: &Group) -> bool {
        let gate = |step: &Step| matches!(&step.action, Action::Gate { group } if group == name);
        !self.goes_on && group.members.is_disjoint(&self.left_out) || self.steps.iter().any(gate)
    }
}
