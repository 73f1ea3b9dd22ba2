//! What a kind decides for one resource when the declared, the recorded and the observed are laid side by side. Pure.

use super::{Key, Kind};
use crate::role::GroupView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// A resource as the state has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Inputs as last applied, references filled in.
    pub inputs: Value,
    /// What the resource told of itself when it was made: generated ids, addresses.
    pub outputs: Value,
    /// The resources that this one needs, so that it can be deleted before them without its program.
    #[serde(default)]
    pub needs: BTreeSet<Key>,
    /// An operation began and no end was recorded: Octad was killed in between, and what exists must be observed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// Somebody consented to its removal by name, although its kind protects what it holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unprotected: bool,
    /// The inputs that operations without a recorded end were to bring it to: they may have come so far or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempted: Vec<Value>,
}

impl Recorded {
    /// Whether it holds what must not go only because it is no longer declared, and nobody consented to that.
    pub fn is_protected(&self, kind: &dyn Kind) -> bool {
        !self.unprotected && kind.protects(self)
    }
}

/// A resource as found outside just now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Observed {
    /// It does not exist.
    Absent,
    /// It exists. `detail` is the kind's own description, `status` a word or two for people (`running`, `stopped`).
    Present {
        /// For people.
        status: String,
        /// The kind's own description.
        detail: Value,
        /// What its process does, as its host says. One without a process can't be missed, whatever its service still
        /// believes.
        process: ProcessSeen,
        /// Why it won't come to work by itself, where that is so.
        broken: Option<String>,
    },
    /// It could not be asked for, and why.
    Unknown(String),
}

impl Observed {
    /// What its process does; `None` where that could not be asked for. What doesn't exist has none.
    pub fn process(&self) -> Option<ProcessSeen> {
        match self {
            Self::Absent => Some(ProcessSeen::Gone),
            Self::Present { process, .. } => Some(*process),
            Self::Unknown(_) => None,
        }
    }
}

/// What a resource's process does, as the host says that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessSeen {
    /// There is none, or one that was asked to end: nobody can miss it.
    Gone,
    /// It is there and stands still.
    Still,
    /// It was started a short while ago, and may be reading its data before it serves anybody.
    Young,
    /// It runs, or what it stands for needs no process.
    Runs,
}

/// All that a kind may use to decide.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Which resource.
    pub key: &'a Key,
    /// Inputs as declared, references filled in as far as known. `None`: no longer declared.
    pub declared: Option<&'a Value>,
    /// What the state has. `None`: never made by us.
    pub recorded: Option<&'a Recorded>,
    /// What was found.
    pub observed: &'a Observed,
    /// The group that it is a member of or is held by, where there is one.
    pub group: Option<GroupSubject<'a>>,
    /// What is recorded as needing it, where it is no longer declared.
    pub needed_by: Vec<(&'a Key, &'a Recorded)>,
    /// Somebody consented, by its name, to have it filled again by the others where its data is gone.
    pub refill: bool,
    /// Somebody asked to have it restarted as it is.
    pub restart: bool,
}

/// The group around a subject.
#[derive(Debug, Clone, Copy)]
pub struct GroupSubject<'a> {
    /// The group's name.
    pub name: &'a str,
    /// The group as seen over the wire.
    pub view: Option<&'a GroupView>,
    /// How many members are certain to exist.
    pub recorded: usize,
    /// How many members are declared.
    pub declared: usize,
}

/// What is to be done with one resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing.
    Same,
    /// Make it. `detail` is what the kind wants to be told again when it does so.
    Create {
        /// Why, where it isn't simply new.
        reason: String,
        /// The kind's own instructions to itself.
        detail: Value,
    },
    /// Change it where it stands.
    Update {
        /// Which inputs change; empty where only the run state does.
        changes: Vec<PropertyChange>,
        /// Why, for people.
        reason: String,
        /// The change stops a healthy member of this group for a while: it is done within a roll.
        disrupts: Option<String>,
    },
    /// Remove it.
    Delete {
        /// What is lost by it, for people; empty where nothing is.
        loses: String,
    },
    /// Forget it: it goes with the group that holds it, once that is gone, or is gone already.
    Forget {
        /// The group.
        with: Option<String>,
        /// What is lost by it, for people.
        loses: String,
    },
    /// It can't be done safely, and the plan is not to be applied.
    Refuse(Refusal),
}

/// A resource that exists and that the state is to know from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    /// Its inputs as found.
    pub inputs: Value,
    /// What it tells of itself.
    pub outputs: Value,
}

/// How a recorded resource differs from what is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "drift", rename_all = "snake_case")]
pub enum Drift {
    /// Not at all.
    None,
    /// Another hand changed it.
    Changed {
        /// What differs.
        changes: Vec<PropertyChange>,
        /// Its inputs as found.
        #[serde(skip)]
        inputs: Value,
        /// What it tells of itself now.
        #[serde(skip)]
        outputs: Value,
    },
    /// Another hand removed it, and nothing of it is left to care for.
    Gone,
    /// It is not as it should be, in a way that the state doesn't hold: stopped, a file altered, its data gone.
    Impaired {
        /// How, for people.
        how: String,
    },
    /// It can't be asked for.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What a change lets go that was kept before: data may be deleted sooner, or lost where it was not. It is made only
/// where somebody consented to it by the name of what holds the data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Loss {
    /// What holds the data: a resource, or `group/NAME`.
    pub of: Key,
    /// What may be lost, for people.
    pub what: String,
}

/// An input that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropertyChange {
    /// Dotted path within the inputs.
    pub path: String,
    /// Before; `None` where it is new.
    pub before: Option<Value>,
    /// After; `None` where it is gone.
    pub after: Option<Value>,
}

/// Why something is not done, and what would help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The resource concerned.
    pub key: Key,
    /// What was asked for and why it is not done.
    pub reason: String,
    /// The next step.
    pub hint: String,
}

/// Lists the leaves at which two inputs differ, in path order.
pub fn compare(before: &Value, after: &Value) -> Vec<PropertyChange> {
    let mut changes = Vec::new();
    collect("", Some(before), Some(after), &mut changes);
    changes
}

fn collect(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<PropertyChange>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, old.get(name), new.get(name), changes);
            }
        }
        (before, after) => changes.push(PropertyChange {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_leaves_that_differ_are_listed() {
        let before = json!({ "a": 1, "s": { "x": "1", "y": "2" }, "list": [1] });
        let after = json!({ "a": 1, "s": { "x": "1", "y": "3", "z": "4" }, "list": [1, 2] });
        let paths: Vec<_> = compare(&before, &after).into_iter().map(|c| c.path).collect();
        assert_eq!(paths, ["list", "s.y", "s.z"]);
    }

    #[test]
    fn equal_inputs_have_no_changes() {
        let inputs = json!({ "a": { "b": [1, { "c": null }] } });
        assert!(compare(&inputs, &inputs).is_empty());
    }
}
