//! What was built before, and of what: for each host a link, which this machine's garbage collector respects, and a note.

use super::{BuildError, Evaluated, Running, nix};
use crate::nix::StorePath;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) struct Remembered {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Note {
    /// See [`Locked::key`](super::Locked::key).
    key: String,
    system: String,
}

/// What a system turned out to be, before it was built.
#[derive(Serialize, Deserialize)]
struct Foreseen {
    key: String,
    #[serde(flatten)]
    evaluated: Evaluated,
}

impl Remembered {
    pub(super) fn at(directory: &Path) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Keep { path: directory.join("note"), source };
        fs::create_dir_all(directory).map_err(failed)?;
        // Before hours of building rather than after.
        let tried = directory.join(format!(".{}.new", std::process::id()));
        fs::write(&tried, "").and_then(|()| fs::remove_file(&tried)).map_err(failed)?;
        Ok(Self { directory: directory.canonicalize().map_err(failed)? })
    }

    fn note(&self, host: &str) -> PathBuf {
        self.directory.join(format!("{host}.json"))
    }

    /// The system that was built of this, where it is still there.
    pub(super) fn system(&self, host: &str, key: &str) -> Option<StorePath> {
        // A note that can't be read is none: the system is evaluated again.
        let note: Note = serde_json::from_slice(&fs::read(self.note(host)).ok()?).ok()?;
        let linked = fs::read_link(self.directory.join(host)).ok()?;
        let is_there = note.key == key && linked == Path::new(&note.system) && linked.exists();
        is_there.then(|| StorePath::of(&linked).ok()).flatten()
    }

    /// What was evaluated of this, where it is still known.
    pub(super) fn evaluated(&self, host: &str, key: &str) -> Option<Evaluated> {
        let note: Foreseen = serde_json::from_slice(&fs::read(self.foreseen(host)).ok()?).ok()?;
        (note.key == key).then_some(note.evaluated)
    }

    /// Takes note of what was evaluated.
    pub(super) fn note_evaluated(
        &self,
        host: &str,
        key: &str,
        evaluated: &Evaluated,
    ) -> Result<(), BuildError> {
        let note = Foreseen { key: key.to_owned(), evaluated: evaluated.clone() };
        self.write(host, &self.foreseen(host), &serde_json::json!(note).to_string())
    }

    /// No host's name has a dot.
    fn foreseen(&self, host: &str) -> PathBuf {
        self.directory.join(format!("{host}.evaluated.json"))
    }

    /// Two builds at once each write their own.
    fn write(&self, host: &str, note: &Path, text: &str) -> Result<(), BuildError> {
        let failed = |path: PathBuf| move |source| BuildError::Keep { path, source };
        let new = self.directory.join(format!(".{host}.{}.new", std::process::id()));
        fs::write(&new, text).map_err(failed(new.clone()))?;
        fs::rename(&new, note).map_err(failed(note.to_owned()))
    }

    /// Keeps a system, in place of the one before. May be repeated: a directory that was moved holds nothing until then.
    pub(super) async fn keep(&self, host: &str, key: &str, system: &StorePath) -> Result<(), BuildError> {
        let failed = |path: PathBuf| move |source| BuildError::Keep { path, source };
        let (link, note) = (self.directory.join(host), self.note(host));
        let mut command = nix("nix-store");
        command.arg("--realise").arg(system.as_str()).arg("--add-root").arg(&link);
        let rooted = Running::start("nix-store", &mut command)?.ended("", &|_| {}).await?;
        if !rooted.status.success() {
            return Err(failed(link)(std::io::Error::other(rooted.said)));
        }
        // The link alone says nothing of what it was made of: the note comes after it, and whole.
        let text = serde_json::json!(Note { key: key.to_owned(), system: system.to_string() }).to_string();
        if !system.to_path().exists() {
            return Err(BuildError::Gone { path: system.to_string() });
        }
        self.write(host, &note, &text)
    }
}
