//! The files in which a stack's state lies: a snapshot and the journal of what happened since. The only module that knows
//! them.
//!
//! A snapshot is never rewritten for a step: each step appends two journal records, and the journal is folded into a
//! new snapshot when an update begins and when it ends. There are two copies of it, written one after the other, so
//! that one that another hand or a disk spoils loses nothing.

use super::journal::{Journal, Record};
use super::lock;
use super::state::{State, StateError};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A stack's state with its files, held open by the one Octad that may write.
#[derive(Debug)]
pub struct Store {
    site: PathBuf,
    journal: Journal,
    state: State,
    guard: Guard,
    /// What was wrong with the snapshot, where its copy had to serve. The damaged file is kept beside it.
    pub damage: Option<StateError>,
}

/// The snapshot's files, in the order in which they are written: an intact copy is never older than the snapshot.
const COPY: &str = "state.copy.json";
const SNAPSHOT: &str = "state.json";
/// Where a damaged snapshot is put.
const DAMAGED: &str = "state.json.damaged";

impl Store {
    /// Reads a stack's state without the right to change it. A stack that was never made is empty.
    ///
    /// # Errors
    /// Where a file can't be read or understood.
    pub fn read(site: &Path, stack: &str) -> Result<State, StateError> {
        match recall(site, stack) {
            // An octad at work may have folded its journal between our looks at its two files.
            Err(StateError::Gap { .. }) => Ok(recall(site, stack)?.0),
            recalled => Ok(recalled?.0),
        }
    }

    /// Opens a stack's state for an update, which the caller's lock must cover. The journal is folded into the
    /// snapshot, so that it holds only what comes from now on.
    ///
    /// # Errors
    /// Where a file can't be read, understood or written.
    pub fn open(site: &Path, stack: &str) -> Result<Self, StateError> {
        let guard = Guard::of(site);
        let (state, damage) = recall(site, stack)?;
        if damage.is_some() {
            let (snapshot, kept) = (site.join(SNAPSHOT), site.join(DAMAGED));
            fs::rename(&snapshot, kept).map_err(StateError::io("put aside", &snapshot))?;
        }
        let mut store = Self { site: site.to_owned(), journal: Journal::open(site)?, state, guard, damage };
        if store.state.id.is_empty() {
            store.state.id = random_id();
        }
        store.fold()?;
        Ok(store)
    }

    /// What is known now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Appends one record; it is on the disk when this returns.
    ///
    /// # Errors
    /// Where it can't be written. The state in memory is then as before.
    pub fn append(&mut self, record: Record) -> Result<(), StateError> {
        self.guard.check()?;
        let serial = self.state.serial + 1;
        self.journal.append(serial, &record)?;
        self.state.fold(serial, record);
        Ok(())
    }

    /// Folds the journal into a new snapshot and empties it.
    ///
    /// # Errors
    /// Where a file can't be written. Nothing is lost then: the old snapshot and the journal still tell all.
    pub fn fold(&mut self) -> Result<(), StateError> {
        self.guard.check()?;
        let text = to_json(&self.state);
        write_atomically(&self.site.join(COPY), &text)?;
        write_atomically(&self.site.join(SNAPSHOT), &text)?;
        self.journal.clear()
    }
}

/// Tells whether the lock's file is still the one that was there when the store was opened: `octad unlock` takes it
/// away, and whoever held it must not write any more.
#[derive(Debug)]
struct Guard {
    lock: PathBuf,
    /// Device and inode; `None` where the caller needed no lock.
    file: Option<(u64, u64)>,
}

impl Guard {
    fn of(site: &Path) -> Self {
        let lock = lock::path(site);
        Self { file: lock::identity(fs::metadata(&lock)), lock }
    }

    fn check(&self) -> Result<(), StateError> {
        if self.file.is_none() || lock::identity(fs::metadata(&self.lock)) == self.file {
            return Ok(());
        }
        Err(StateError::LockTaken { lock: self.lock.clone() })
    }
}

/// The state that the files of a site tell, and what was wrong with the snapshot where its copy served.
fn recall(site: &Path, stack: &str) -> Result<(State, Option<StateError>), StateError> {
    let snapshot = |name| read_snapshot(&site.join(name), stack);
    let (state, damage) = match snapshot(SNAPSHOT) {
        Err(damage @ StateError::Damaged { .. }) => match snapshot(COPY) {
            Ok(Some(state)) => (Some(state), Some(damage)),
            _ => return Err(damage),
        },
        // Without a snapshot, somebody removed it, or Octad was cut off at the first.
        read => (read?.map_or_else(|| snapshot(COPY), |state| Ok(Some(state)))?, None),
    };
    let mut state = state.unwrap_or_else(|| State::new(stack));
    let (path, journal) = Journal::read(site)?;
    state.replay(&journal, &path)?;
    Ok((state, damage))
}

/// 64 bits that nobody else has, as text. They needn't be secret: a hash that is seeded anew for each process will do.
fn random_id() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn to_json(state: &State) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(state).expect("a state has only text keys");
    text.push(b'\n');
    text
}

fn read_snapshot(path: &Path, stack: &str) -> Result<Option<State>, StateError> {
    match fs::read(path) {
        Ok(text) => State::parse(&text, stack, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::io("read", path)(error)),
    }
}

/// Replaces a file so that after a crash either the old or the new one is there, whole.
fn write_atomically(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let fresh = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(StateError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outcome;
    use crate::model::Key;
    use serde_json::json;

    fn begin(name: &str) -> Record {
        let (key, inputs) = (Key::new("host", name), json!({}));
        Record::Begin { key, moved_from: None, inputs, needs: [].into(), renews: false }
    }

    fn applied(name: &str) -> Record {
        let outcome = Outcome::Applied { inputs: json!({}), outputs: json!({ "id": 1 }), needs: [].into() };
        Record::End { key: Key::new("host", name), outcome }
    }

    #[test]
    fn what_was_appended_is_there_after_a_crash() {
        let site = tempfile::tempdir().unwrap();
        let mut store = Store::open(site.path(), "s").unwrap();
        store.append(begin("a")).unwrap();
        store.append(applied("a")).unwrap();
        store.append(begin("b")).unwrap();
        drop(store);
        let state = Store::read(site.path(), "s").unwrap();
        assert!(!state.resources[&Key::new("host", "a")].is_pending());
        assert!(state.resources[&Key::new("host", "b")].is_pending());
    }

    #[test]
    fn a_record_cut_off_in_the_middle_is_as_if_it_had_never_begun() {
        let site = tempfile::tempdir().unwrap();
        let mut store = Store::open(site.path(), "s").unwrap();
        store.append(begin("a")).unwrap();
        let whole = fs::read(site.path().join("journal.ndjson")).unwrap();
        store.append(begin("b")).unwrap();
        let all = fs::read(site.path().join("journal.ndjson")).unwrap();
        drop(store);
        for cut in whole.len()..all.len() {
            fs::write(site.path().join("journal.ndjson"), &all[..cut]).unwrap();
            let state = Store::read(site.path(), "s").unwrap();
            assert_eq!(state.resources.len(), 1, "cut at {cut}");
        }
    }

    #[test]
    fn records_go_on_behind_a_record_cut_off_in_the_middle() {
        let site = tempfile::tempdir().unwrap();
        let mut store = Store::open(site.path(), "s").unwrap();
        store.append(begin("a")).unwrap();
        drop(store);
        let path = site.path().join("journal.ndjson");
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"serial\":9,\"rec");
        fs::write(&path, text).unwrap();
        let mut store = Store::open(site.path(), "s").unwrap();
        store.append(begin("c")).unwrap();
        drop(store);
        assert_eq!(Store::read(site.path(), "s").unwrap().resources.len(), 2);
    }

    #[test]
    fn records_that_the_snapshot_holds_already_are_not_taken_twice() {
        let site = tempfile::tempdir().unwrap();
        let mut store = Store::open(site.path(), "s").unwrap();
        store.append(begin("a")).unwrap();
        store.append(applied("a")).unwrap();
        let journal = fs::read(site.path().join("journal.ndjson")).unwrap();
        store.append(Record::End { key: Key::new("host", "a"), outcome: Outcome::Removed }).unwrap();
        store.fold().unwrap();
        drop(store);
        // Killed between the new snapshot and the emptying of the journal.
        fs::write(site.path().join("journal.ndjson"), journal).unwrap();
        assert!(Store::read(site.path(), "s").unwrap().is_empty());
    }

    #[test]
    fn a_state_from_the_future_is_told_from_a_damaged_one() {
        let site = tempfile::tempdir().unwrap();
        fs::write(site.path().join("state.json"), r#"{"format": 99, "new": true}"#).unwrap();
        assert!(matches!(Store::read(site.path(), "s"), Err(StateError::FromTheFuture { found: 99, .. })));
        fs::write(site.path().join("state.json"), r#"{"format": 1, "sta"#).unwrap();
        assert!(matches!(Store::read(site.path(), "s"), Err(StateError::Damaged { .. })));
    }
}
