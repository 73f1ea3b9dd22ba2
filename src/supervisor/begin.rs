//! Whether a server may begin with an empty disk. A disk that was lost, or replaced, looks like one that was never
//! written: only who formats it knows, and leaves a sign on it. That goes with the first start that finds the disk
//! written, so that the leave can't be used again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The sign on a freshly formatted disk that its server may begin with nothing.
pub const LEAVE_FILE: &str = "octad-fresh";

/// What tells a written disk from an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// There once the server has been of its group.
    pub written: PathBuf,
    /// The leave to begin with nothing.
    pub leave: PathBuf,
}

/// What a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Its server has written to it.
    Written,
    /// It is empty, and may be.
    Fresh,
    /// It is empty, and may not be.
    Lost,
}

impl Beginning {
    /// On a disk at `data`, whose server makes `written` there.
    pub fn on(data: &Path, written: &str) -> Self {
        Self { written: data.join(written), leave: data.join(LEAVE_FILE) }
    }

    /// What the disk is now; changes nothing.
    ///
    /// # Errors
    /// Where it can't be told.
    pub fn look(&self) -> io::Result<Begun> {
        Ok(if self.written.try_exists()? {
            Begun::Written
        } else if self.leave.try_exists()? {
            Begun::Fresh
        } else {
            Begun::Lost
        })
    }

    /// The same, for a start: leave that was used is taken back.
    ///
    /// # Errors
    /// Where it can't be told, or leave can't be taken back.
    pub fn take(&self) -> io::Result<Begun> {
        let begun = self.look()?;
        if begun == Begun::Written {
            match fs::remove_file(&self.leave) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(begun)
    }
}
