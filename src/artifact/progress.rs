//! What a resolve reports while it works. Pure.

use std::collections::HashSet;
use std::fmt;

use super::lockfile::Jar;

/// How far a resolve has come. Reported only while something has to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Missing jars that have arrived.
    pub done: usize,
    /// Jars that were missing.
    pub total: usize,
    /// What is happening.
    pub what: Activity,
}

/// What a resolve is doing. Its text completes a line such as `kafka 3.9.2: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Another octad fills the store; this one waits for it.
    Waiting,
    /// Maven was started.
    CallingMaven,
    /// Maven fetches the file, which may be one that Maven itself needs.
    Downloading(String),
    /// Maven has fetched the file.
    Downloaded(String),
    /// The file matches the lock and is in the store.
    Stored(String),
    /// Maven's local repository gave a jar that doesn't match the lock; all are fetched anew.
    FetchingAnew,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting for another octad to fill the store"),
            Self::CallingMaven => f.write_str("calling Maven"),
            Self::Downloading(file) => write!(f, "downloading {file}"),
            Self::Downloaded(file) => write!(f, "downloaded {file}"),
            Self::Stored(file) => write!(f, "stored {file}"),
            Self::FetchingAnew => f.write_str("fetching anew, Maven's local repository holds a wrong jar"),
        }
    }
}

/// Counts each missing jar once, be it downloaded or found in Maven's local repository.
pub(super) struct Tally<'a> {
    awaited: HashSet<String>,
    total: usize,
    report: &'a (dyn Fn(Progress) + Send + Sync),
}

impl<'a> Tally<'a> {
    pub(super) fn new(missing: &[Jar], report: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        let awaited: HashSet<_> = missing.iter().map(|jar| jar.file_name.clone()).collect();
        Self { total: awaited.len(), awaited, report }
    }

    pub(super) fn note(&mut self, what: Activity) {
        if let Activity::Downloaded(file) | Activity::Stored(file) = &what {
            self.awaited.remove(file);
        }
        (self.report)(Progress { done: self.total - self.awaited.len(), total: self.total, what });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_jar_downloaded_and_stored_counts_once_and_foreign_files_never() {
        let jar = |name: &str| Jar {
            digest: "a".repeat(64).parse().unwrap(),
            size: 1,
            coordinates: format!("g:{name}:1"),
            file_name: format!("{name}.jar"),
        };
        let seen = Mutex::new(Vec::new());
        let report = |progress: Progress| seen.lock().unwrap().push((progress.done, progress.total));
        let mut tally = Tally::new(&[jar("a"), jar("b")], &report);
        tally.note(Activity::Downloading("a.jar".into()));
        tally.note(Activity::Downloaded("a.jar".into()));
        tally.note(Activity::Downloaded("plugin.jar".into()));
        tally.note(Activity::Stored("a.jar".into()));
        tally.note(Activity::Stored("b.jar".into()));
        assert_eq!(*seen.lock().unwrap(), [(0, 2), (1, 2), (1, 2), (1, 2), (2, 2)]);
    }
}
