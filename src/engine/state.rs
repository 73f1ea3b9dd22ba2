//! What Octad remembers of a stack, and how each record of the journal changes that. Pure.

use super::format::format_of;
use super::journal::{Journal, Outcome, Record};
use crate::model::Key;
use crate::resource::{Instance, Recorded};
use crate::role::Group;
use crate::stack::{Declaration, Declared, Name, Needs, ValidStack};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the snapshot's and the journal's form.
pub const STATE_FORMAT: u32 = 4;

/// What is known of a stack between two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`STATE_FORMAT`] of the writer.
    pub format: u32,
    /// The stack's name.
    pub stack: String,
    /// Number of the last journal record that is folded in.
    pub serial: u64,
    /// Every resource that exists or may exist.
    pub resources: BTreeMap<Key, Recorded>,
    /// The groups that the nodes form.
    pub groups: BTreeMap<String, Group>,
    /// The stack's outputs, references not filled in.
    pub outputs: BTreeMap<String, Value>,
    /// What tells this stack from others of its name, wherever: a part of the tokens that the world knows operations by.
    #[serde(default)]
    pub id: String,
    /// The ids that groups have of their own, as they were first seen: whether it is still the same one that answers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identities: BTreeMap<String, String>,
}

/// Why the state can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file isn't what it should be.
    #[error("{} is damaged{}", path.display(), line.map(|l| format!(" at line {l}")).unwrap_or_default())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, where the file has several records.
        line: Option<usize>,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Records between snapshot and journal are missing: one of them was put back or taken away.
    #[error("{} begins with record {first}, and the snapshot beside it ends with record {known}", path.display())]
    Gap {
        /// The journal.
        path: PathBuf,
        /// The last record in the snapshot.
        known: u64,
        /// The first in the journal.
        first: u64,
    },
    /// `octad unlock` or a person took the lock of the Octad that writes.
    #[error("{} was taken away from this process, and another octad may work on the stack by now", lock.display())]
    LockTaken {
        /// The lock's file.
        lock: PathBuf,
    },
    /// A newer Octad wrote it.
    #[error("{} has format {found}, and this Octad knows formats up to {STATE_FORMAT}", path.display())]
    FromTheFuture {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// An older Octad wrote it, in a form that this one no longer reads.
    #[error("{} has format {found}, and this Octad reads format {STATE_FORMAT}", path.display())]
    FromThePast {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It belongs to another stack.
    #[error("{} belongs to the stack `{found}`, not to `{wanted}`", path.display())]
    OtherStack {
        /// Which file.
        path: PathBuf,
        /// The stack that it names.
        found: String,
        /// The stack that was asked for.
        wanted: String,
    },
}

impl StateError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl State {
    /// The state of a stack that was never made.
    pub fn new(stack: &str) -> Self {
        Self {
            format: STATE_FORMAT,
            stack: stack.to_owned(),
            serial: 0,
            resources: BTreeMap::new(),
            groups: BTreeMap::new(),
            outputs: BTreeMap::new(),
            id: String::new(),
            identities: BTreeMap::new(),
        }
    }

    /// The idempotency token of the operation on a resource that has no recorded end; `None` where there is none.
    pub fn token(&self, key: &Key) -> Option<String> {
        let serial = self.resources.get(key)?.pending?;
        Some(format!("octad-{}-{serial}", self.id))
    }

    /// A recorded resource as its kind is to find it.
    pub fn instance(&self, key: &Key) -> Option<Instance> {
        let recorded = self.resources.get(key)?;
        let (inputs, outputs) = (recorded.inputs.clone(), recorded.outputs.clone());
        Some(Instance { inputs, outputs, token: self.token(key) })
    }

    /// Whether nothing exists.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Takes one record in. Pure.
    pub fn fold(&mut self, serial: u64, record: Record) {
        self.serial = serial;
        match record {
            Record::Stack { groups, outputs } => {
                self.groups = groups;
                self.outputs = outputs;
            }
            Record::Begin { key, moved_from, inputs, needs, renews } => {
                if let Some(from) = moved_from {
                    self.rename(&from, &key);
                }
                let token = self.token(&key);
                let recorded = self.resources.entry(key).or_insert_with(|| Recorded {
                    inputs: inputs.clone(),
                    outputs: Value::Null,
                    needs: needs.clone(),
                    pending: None,
                    unprotected: false,
                    attempted: Vec::new(),
                    outgoing: Vec::new(),
                });
                if renews {
                    let outputs = std::mem::take(&mut recorded.outputs);
                    let inputs = std::mem::replace(&mut recorded.inputs, inputs.clone());
                    // One whose operation has no recorded end may exist all the same.
                    recorded.outgoing.push(Instance { inputs, outputs, token });
                    recorded.pending = None;
                }
                recorded.pending.get_or_insert(serial);
                if inputs != recorded.inputs && !recorded.attempted.contains(&inputs) {
                    recorded.attempted.push(inputs);
                }
            }
            Record::End { key, outcome: Outcome::Applied { inputs, outputs, needs } } => {
                let before = self.resources.remove(&key);
                let unprotected = before.as_ref().is_some_and(|recorded| recorded.unprotected);
                let outgoing = before.map(|recorded| recorded.outgoing).unwrap_or_default();
                let (pending, attempted) = (None, Vec::new());
                let recorded = Recorded { inputs, outputs, needs, pending, unprotected, attempted, outgoing };
                self.resources.insert(key, recorded);
            }
            Record::End { key, outcome: Outcome::Removed } => {
                self.resources.remove(&key);
                for group in self.groups.values_mut() {
                    group.members.remove(&key);
                }
                self.groups.retain(|_, group| !group.members.is_empty());
                // Once nothing of it is left, another may be made in its place.
                let exists = |group: &str| {
                    let members = self.groups.get(group).map(|group| &group.members);
                    members.is_some_and(|members| members.iter().any(|key| self.resources.contains_key(key)))
                };
                self.identities.retain(|group, _| exists(group));
            }
            Record::End { key, outcome: Outcome::Discarded } => {
                if let Some(outgoing) = self.resources.get_mut(&key).map(|recorded| &mut recorded.outgoing)
                    && !outgoing.is_empty()
                {
                    outgoing.remove(0);
                }
            }
            Record::Noted { key, outputs } => {
                if let Some(recorded) = self.resources.get_mut(&key) {
                    recorded.outputs = outputs;
                }
            }
            // Nothing of the state depends on it: what is staged is looked for again.
            Record::Staged { .. } => {}
            Record::Identity { group, id } => drop(self.identities.insert(group, id)),
            Record::Protect { key, protected } => {
                if let Some(recorded) = self.resources.get_mut(&key) {
                    recorded.unprotected = !protected;
                }
            }
            // It stays pending: what exists must be observed.
            Record::End { outcome: Outcome::Failed { .. }, .. } => {}
        }
    }

    /// The state that a snapshot's text tells. Pure; `path` is for the error.
    ///
    /// # Errors
    /// Where the text is not a snapshot of this stack, or of another form.
    pub fn parse(text: &[u8], stack: &str, path: &Path) -> Result<Self, StateError> {
        let damaged = |source| StateError::Damaged { path: path.to_owned(), line: None, source };
        let found = format_of(text).map_err(damaged)?;
        match found.cmp(&STATE_FORMAT) {
            Ordering::Greater => return Err(StateError::FromTheFuture { path: path.to_owned(), found }),
            Ordering::Less => return Err(StateError::FromThePast { path: path.to_owned(), found }),
            Ordering::Equal => {}
        }
        let state: Self = serde_json::from_slice(text).map_err(damaged)?;
        if state.stack == stack {
            return Ok(state);
        }
        Err(StateError::OtherStack { path: path.to_owned(), found: state.stack, wanted: stack.to_owned() })
    }

    /// A stack that declares what is recorded: applying it changes nothing but what another hand changed.
    pub fn as_stack(&self, name: Name) -> ValidStack {
        let declared = |recorded: &Recorded| Declared {
            inputs: recorded.inputs.clone(),
            needs: recorded.needs.iter().cloned().map(Needs::Resource).collect(),
        };
        let resources =
            self.resources.iter().map(|(key, recorded)| (key.clone(), declared(recorded))).collect();
        let (groups, outputs) = (self.groups.clone(), self.outputs.clone());
        let declaration = Declaration { resources, groups, outputs, ..Declaration::default() };
        ValidStack::recorded(name, self.serial, declaration)
    }

    /// The same stack for the next phase of a change: what is recorded by now, where that is what it declares, but for what it has
    /// in place of that.
    pub fn again(&self, stack: &ValidStack) -> ValidStack {
        match stack.recorded_at() {
            Some(_) => self.as_stack(stack.name().clone()).with_instead(stack.instead()),
            None => stack.clone(),
        }
    }

    /// Takes a journal's text in. Records that the snapshot has already are passed over. Pure; `path` is for the error.
    ///
    /// # Errors
    /// Where a line is not a record, or records are missing between the snapshot and the first line.
    pub fn replay(&mut self, text: &[u8], path: &Path) -> Result<(), StateError> {
        for (serial, record) in Journal::parse(text, path, self.serial)? {
            self.fold(serial, record);
        }
        Ok(())
    }

    /// Has a recorded resource go on under another name. Its inputs stay as they were made.
    pub(super) fn rename(&mut self, from: &Key, to: &Key) {
        let Some(recorded) = self.resources.remove(from) else { return };
        self.resources.insert(to.clone(), recorded);
        let needs = self.resources.values_mut().map(|recorded| &mut recorded.needs);
        for keys in needs.chain(self.groups.values_mut().map(|group| &mut group.members)) {
            if keys.remove(from) {
                keys.insert(to.clone());
            }
        }
    }

    /// The field of a resource's outputs that a reference names, where it is known.
    pub fn lookup(&self, reference: &crate::model::Reference) -> Option<Value> {
        self.resources.get(&reference.resource)?.outputs.get(&reference.field).cloned()
    }
}
