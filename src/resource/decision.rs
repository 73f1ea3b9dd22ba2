//! What a kind decides for one resource when the declared, the recorded and the observed are laid side by side. Pure.

use super::Kind;
use crate::host::SystemChange;
use crate::model::{Key, ProcessSeen, PropertyChange, Refusal};
use crate::role::GroupView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// One instance of a resource: what it was made from, and what it told of itself then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Inputs, references filled in.
    pub inputs: Value,
    /// What it told of itself: generated ids, addresses. Nothing where it was never made for certain.
    pub outputs: Value,
    /// The idempotency token of the operation that was to make it, where that has no recorded end: by it a backend finds
    /// what may have been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

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
    /// An operation began and no end was recorded: Octad was killed in between, and what exists must be observed. The
    /// serial of the first of its beginnings, which all tries of it have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Somebody consented to its removal by name, although its kind protects what it holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unprotected: bool,
    /// The inputs that operations without a recorded end were to bring it to: they may have come so far or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempted: Vec<Value>,
    /// Its instances that were replaced and still exist, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outgoing: Vec<Instance>,
}

impl Recorded {
    /// Whether it may or may not be there: an operation on it began and has no recorded end.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

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
    /// Somebody consented, by its host's name, to formatting the disk that its data is to be on, where that is blank.
    pub format: bool,
    /// Somebody asked to have it restarted as it is.
    pub restart: bool,
    /// How the system of the host that it is, or stands on, differs from the one that this is to run.
    pub system: Option<&'a SystemChange>,
    /// Somebody consented to bringing that host what it may be lost by.
    pub lockout: bool,
    /// Somebody asked to have hosts boot that run less than all of their system until then.
    pub reboot: bool,
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
    /// Start it as it is, which is not as declared: what that takes can only be done once it runs.
    Start {
        /// Why, for people.
        reason: String,
    },
    /// Make another instance in its place. What stands on it moves there in a later phase, and then the old one goes.
    Renew {
        /// Which inputs change.
        changes: Vec<PropertyChange>,
        /// Why, for people.
        reason: String,
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
    /// Confirm the change that is on trial since an `up` was cut off, once the groups of all that stands on it are whole, or
    /// take it back. Nothing else is done until then.
    Confirm {
        /// Why, for people.
        reason: String,
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
