//! `supervisor.log`: what the supervisor has to say, for people.

use std::{error::Error, fmt, path::Path, sync::Mutex, time::SystemTime};

use super::{error::SupervisorError, layout, rotate::RotatingFile, timestamp};

/// A restart every ten seconds writes about a megabyte a day.
const LIMIT: u64 = 1024 * 1024;
const FILES: usize = 3;

/// The open log. A line that can't be written is lost: there is nobody left to tell.
#[derive(Debug)]
pub(super) struct Journal {
    file: Mutex<RotatingFile>,
}

impl Journal {
    /// Opens the log of the host at `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, SupervisorError> {
        let path = layout::supervisor_log(dir);
        match RotatingFile::open(&path, LIMIT, FILES) {
            Ok(file) => Ok(Self { file: Mutex::new(file) }),
            Err(source) => Err(SupervisorError::File { action: "open", path, source }),
        }
    }

    /// Adds a line.
    pub(super) fn note(&self, text: impl fmt::Display) {
        let line = format!("{} {text}\n", timestamp::format(SystemTime::now()));
        if let Ok(mut file) = self.file.lock() {
            let _ = file.write(line.as_bytes());
        }
    }
}

/// An error and its causes on one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
