//! The history: who changed a stack, when, how, and what came of it. Two JSON lines for each update, one when it
//! begins and one when it ends, appended and synced, never rewritten. Nothing decides by it: it is for people.

use super::journal::end_of_whole_lines;
use super::lock::{Holder, holder, living_holder};
use super::state::StateError;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// An update that is under way, with its beginning on the disk.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: File,
    update: String,
}

/// One update, as the history tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Update {
    /// Identifies the update.
    pub id: String,
    /// When it began (RFC 3339).
    pub begun: String,
    /// Who began it, as `user@host`.
    pub by: String,
    /// The verb, such as `up`.
    pub verb: String,
    /// What was to be changed, such as `create node/broker-1`.
    pub changes: Vec<String>,
    /// When it ended; `None` where it hasn't or was cut off.
    pub ended: Option<String>,
    /// What came of it.
    pub result: Ending,
}

/// What came of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Ending {
    /// Every change was made.
    Ok,
    /// It failed.
    Failed {
        /// Why.
        why: String,
        /// The changes that were made by then.
        done: Vec<String>,
    },
    /// It was asked to stop.
    Interrupted {
        /// The changes that were made by then.
        done: Vec<String>,
    },
    /// It never said: its process is gone.
    CutOff,
    /// It is still at it.
    UnderWay,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Line {
    Begin { update: String, pid: u32, at: String, by: String, verb: String, changes: Vec<String> },
    End { update: String, at: String, ending: Ending },
}

fn path_in(site: &Path) -> PathBuf {
    site.join("history.ndjson")
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

impl History {
    /// Notes that an update begins. The caller holds the stack's lock.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn begin(site: &Path, verb: &str, changes: Vec<String>) -> Result<Self, StateError> {
        let path = path_in(site);
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            // A line that was cut off would swallow the next one.
            file.set_len(end_of_whole_lines(&fs::read(&path)?) as u64)?;
            Ok(file)
        };
        let file = open().map_err(StateError::io("open", &path))?;
        let Holder { id: update, pid, user, host, .. } = holder(verb);
        let mut history = Self { path, file, update: update.clone() };
        let by = format!("{user}@{host}");
        history.append(&Line::Begin { update, pid, at: now(), by, verb: verb.to_owned(), changes })?;
        Ok(history)
    }

    /// Notes what came of it.
    ///
    /// # Errors
    /// Where it can't be written: then the update will look cut off.
    pub fn end(mut self, ending: Ending) -> Result<(), StateError> {
        let update = self.update.clone();
        self.append(&Line::End { update, at: now(), ending })
    }

    fn append(&mut self, line: &Line) -> Result<(), StateError> {
        let mut text = serde_json::to_vec(line).expect("a line of the history has only text keys");
        text.push(b'\n');
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        written.map_err(StateError::io("append to", &self.path))
    }

    /// All updates of the stack at `site`, oldest first.
    ///
    /// # Errors
    /// Where it is there and can't be read or understood.
    pub fn read(site: &Path) -> Result<Vec<Update>, StateError> {
        let path = path_in(site);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::io("read", &path)(error)),
        };
        let holder = living_holder(site);
        let mut updates: Vec<Update> = Vec::new();
        let lines = text[..end_of_whole_lines(&text)].split(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
            let damaged = |source| StateError::Damaged { path: path.clone(), line: Some(index + 1), source };
            match serde_json::from_slice(line).map_err(damaged)? {
                Line::Begin { update: id, pid, at: begun, by, verb, changes } => {
                    let result = if holder == Some(pid) { Ending::UnderWay } else { Ending::CutOff };
                    updates.push(Update { id, begun, by, verb, changes, ended: None, result });
                }
                Line::End { update, at, ending } => {
                    if let Some(begun) = updates.iter_mut().rfind(|one| one.id == update) {
                        begun.ended = Some(at);
                        begun.result = ending;
                    }
                }
            }
        }
        Ok(updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Lock;

    fn results(site: &Path) -> Vec<Ending> {
        History::read(site).unwrap().into_iter().map(|update| update.result).collect()
    }

    #[test]
    fn an_update_whose_end_was_never_written_was_cut_off() {
        let site = tempfile::tempdir().unwrap();
        let changes = vec!["create host/a".to_owned()];
        History::begin(site.path(), "up", changes.clone()).unwrap().end(Ending::Ok).unwrap();
        let open = History::begin(site.path(), "destroy", vec![]).unwrap();
        assert_eq!(results(site.path()), [Ending::Ok, Ending::CutOff]);
        assert_eq!(History::read(site.path()).unwrap()[0].changes, changes);
        let lock = Lock::take(site.path(), "destroy").unwrap();
        assert_eq!(results(site.path()), [Ending::Ok, Ending::UnderWay]);
        drop(lock);
        let failed = Ending::Failed { why: "no".into(), done: vec![] };
        open.end(failed.clone()).unwrap();
        assert_eq!(results(site.path()), [Ending::Ok, failed]);
    }

    #[test]
    fn a_line_cut_off_at_any_byte_hides_nothing_before_or_behind_it() {
        let site = tempfile::tempdir().unwrap();
        let path = path_in(site.path());
        History::begin(site.path(), "up", vec![]).unwrap().end(Ending::Ok).unwrap();
        let first = fs::read(&path).unwrap();
        let _ = History::begin(site.path(), "stop", vec![]).unwrap();
        let all = fs::read(&path).unwrap();
        for cut in first.len()..all.len() {
            fs::write(&path, &all[..cut]).unwrap();
            assert_eq!(results(site.path()), [Ending::Ok], "cut at {cut}");
            History::begin(site.path(), "up", vec![]).unwrap().end(Ending::Ok).unwrap();
            assert_eq!(results(site.path()), [Ending::Ok, Ending::Ok], "cut at {cut}");
        }
    }
}
