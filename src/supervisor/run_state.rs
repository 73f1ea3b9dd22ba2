//! Which units are wanted up, kept in `run.json` across supervisors.

use std::{collections::BTreeMap, fs, io, path::Path, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{error::SupervisorError, layout, name::UnitName, replace::replace};

/// What a unit's owner wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Started, and started again however it ends and when the supervisor starts.
    Up,
    /// Left down until a start is asked for. Also the state of a unit never started.
    Down,
}

/// The desired run state of each unit that was ever asked for.
#[derive(Debug)]
pub(super) struct RunState {
    path: PathBuf,
    units: BTreeMap<UnitName, Desired>,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Raised when an older supervisor could not read the file rightly any more.
    version: u32,
    units: BTreeMap<UnitName, Desired>,
}

impl RunState {
    /// Reads the run state of the host at `dir`; a host without one wants nothing up.
    pub(super) fn load(dir: &Path) -> Result<Self, SupervisorError> {
        let path = layout::run_state(dir);
        let units = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<Stored>(&bytes) {
                Ok(stored) => stored.units,
                Err(source) => return Err(SupervisorError::Malformed { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(SupervisorError::File { action: "read", path, source }),
        };
        Ok(Self { path, units })
    }

    /// What is wanted of `unit`.
    pub(super) fn desired(&self, unit: &UnitName) -> Desired {
        self.units.get(unit).copied().unwrap_or(Desired::Down)
    }

    /// The units on record.
    pub(super) fn units(&self) -> impl Iterator<Item = (&UnitName, Desired)> {
        self.units.iter().map(|(name, desired)| (name, *desired))
    }

    /// Records what is wanted of `unit`, on disk before in memory.
    pub(super) fn set(&mut self, unit: &UnitName, desired: Desired) -> io::Result<()> {
        self.change(|units| units.insert(unit.clone(), desired) != Some(desired))
    }

    /// Forgets `unit`.
    pub(super) fn forget(&mut self, unit: &UnitName) -> io::Result<()> {
        self.change(|units| units.remove(unit).is_some())
    }

    fn change(&mut self, edit: impl FnOnce(&mut BTreeMap<UnitName, Desired>) -> bool) -> io::Result<()> {
        let mut units = self.units.clone();
        if !edit(&mut units) {
            return Ok(());
        }
        let stored = Stored { version: 1, units };
        replace(&self.path, &serde_json::to_vec_pretty(&stored)?)?;
        self.units = stored.units;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_back_and_what_is_unknown_is_down() {
        let dir = tempfile::tempdir().unwrap();
        let (broker, other) = (UnitName::new("broker").unwrap(), UnitName::new("other").unwrap());
        let mut state = RunState::load(dir.path()).unwrap();
        state.set(&broker, Desired::Up).unwrap();
        let again = RunState::load(dir.path()).unwrap();
        assert_eq!((again.desired(&broker), again.desired(&other)), (Desired::Up, Desired::Down));
    }

    #[test]
    fn a_state_that_cannot_be_written_does_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let broker = UnitName::new("broker").unwrap();
        let mut state = RunState::load(&dir.path().join("gone")).unwrap();
        assert!(state.set(&broker, Desired::Up).is_err());
        assert_eq!(state.desired(&broker), Desired::Down);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.json"), "{").unwrap();
        assert!(matches!(RunState::load(dir.path()), Err(SupervisorError::Malformed { .. })));
    }
}
