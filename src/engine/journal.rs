//! The journal: one JSON record a line, appended and synced before and after each step. What a step costs doesn't
//! depend on how large the state is.

use super::state::StateError;
use crate::model::Key;
use crate::role::Group;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What is appended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// An update begins: the stack's groups and outputs as declared.
    Stack {
        /// The groups.
        groups: BTreeMap<String, Group>,
        /// The outputs, references not filled in.
        outputs: BTreeMap<String, Value>,
    },
    /// A resource is about to be made, changed or removed.
    Begin {
        /// Which.
        key: Key,
        /// Its name until now, where it goes on under another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved_from: Option<Key>,
        /// Its inputs after the change, or before it where it is removed.
        inputs: Value,
        /// The resources that it needs.
        needs: BTreeSet<Key>,
        /// Another instance is made in its place, and the one that there is stays until it is discarded.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        renews: bool,
    },
    /// What an operation under way has come to know of its resource, such as an id that the world has just given.
    Noted {
        /// Which resource.
        key: Key,
        /// Its outputs as far as known.
        outputs: Value,
    },
    /// All that is to be made or changed next was made ready beside what runs.
    Staged {
        /// Of these resources.
        keys: BTreeSet<Key>,
    },
    /// Somebody consented to a resource's removal by name, or took that back.
    Protect {
        /// Which resource.
        key: Key,
        /// Whether it is protected from now on.
        protected: bool,
    },
    /// A group was seen for the first time, with the id that it has of its own.
    Identity {
        /// The group.
        group: String,
        /// Its id.
        id: String,
    },
    /// What came of it.
    End {
        /// Which resource.
        key: Key,
        /// What came of it.
        outcome: Outcome,
    },
}

impl Record {
    /// The resource of which it tells what came of an operation.
    pub fn ended(&self) -> Option<&Key> {
        match self {
            Self::End { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// How an operation on a resource ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The resource is as its inputs say.
    Applied {
        /// Inputs, references filled in.
        inputs: Value,
        /// What the resource told of itself.
        outputs: Value,
        /// The resources that it needs.
        needs: BTreeSet<Key>,
    },
    /// The resource is gone.
    Removed,
    /// The oldest of those that it took the place of is gone.
    Discarded,
    /// It failed; the resource is in an unknown condition until it is observed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The journal's file, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

#[derive(Serialize, Deserialize)]
struct Line<R> {
    serial: u64,
    #[serde(flatten)]
    record: R,
}

impl Journal {
    fn path(site: &Path) -> PathBuf {
        site.join("journal.ndjson")
    }

    /// The text of a site's journal and where it lies.
    pub(super) fn read(site: &Path) -> Result<(PathBuf, Vec<u8>), StateError> {
        let path = Self::path(site);
        match fs::read(&path) {
            Ok(text) => Ok((path, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((path, Vec::new())),
            Err(error) => Err(StateError::io("read", &path)(error)),
        }
    }

    /// All whole records that come after the first `known`. A last line without its end was cut off while it was
    /// written, and what it would have said had not been begun. An empty line is a damaged one that somebody gave up.
    pub(super) fn parse(text: &[u8], path: &Path, known: u64) -> Result<Vec<(u64, Record)>, StateError> {
        let whole = &text[..end_of_whole_lines(text)];
        let lines = whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
        let mut records = Vec::new();
        for (index, line) in lines {
            let Line { serial, record }: Line<Record> = serde_json::from_slice(line).map_err(|source| {
                StateError::Damaged { path: path.to_owned(), line: Some(index + 1), source }
            })?;
            // The serial of the journal's first line, be it empty.
            let first = serial.saturating_sub(index as u64);
            if records.is_empty() && first > known + 1 {
                return Err(StateError::Gap { path: path.to_owned(), known, first });
            }
            records.push((serial, record));
        }
        records.retain(|(serial, _)| *serial > known);
        Ok(records)
    }

    pub(super) fn open(site: &Path) -> Result<Self, StateError> {
        let path = Self::path(site);
        let io = |action| StateError::io(action, &path);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io("open"))?;
        let text = fs::read(&path).map_err(io("read"))?;
        file.set_len(end_of_whole_lines(&text) as u64).map_err(io("mend"))?;
        Ok(Self { path, file })
    }

    pub(super) fn append(&mut self, serial: u64, record: &Record) -> Result<(), StateError> {
        let mut line = serde_json::to_vec(&Line { serial, record }).expect("a record has only text keys");
        line.push(b'\n');
        let write = |file: &mut File| {
            let end = file.metadata()?.len();
            let written = file.write_all(&line).and_then(|()| file.sync_data());
            if written.is_err() {
                // Half a record followed by a whole one would read as damage.
                file.set_len(end)?;
            }
            written
        };
        write(&mut self.file).map_err(StateError::io("append to", &self.path))
    }

    pub(super) fn clear(&mut self) -> Result<(), StateError> {
        self.file.set_len(0).and_then(|()| self.file.sync_all()).map_err(StateError::io("empty", &self.path))
    }
}

pub(super) fn end_of_whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
}
