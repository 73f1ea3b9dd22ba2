//! Following a unit's log as it grows, over rotations.

use std::{
    collections::VecDeque,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::{
    error::SupervisorError,
    layout,
    logs::{FileId, LineReader, LogLine, OpenLog, open_newest_first, read_error, tail_start},
    name::UnitName,
};

/// Between looks at the file: quick for a reader's eye, cheap for the machine.
const POLL: Duration = Duration::from_millis(100);

/// The lines of a unit, those that are there and those to come. It never ends by itself.
///
/// It survives rotations, restarts of the unit and of the supervisor, and waits for a log that isn't there
/// yet. Lines are lost only if all the files of the log are rotated away between two looks.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    reader: LineReader,
    current: Option<(BufReader<File>, FileId)>,
    /// Files newer than the current one, oldest first. If there are any, nothing is added to the current one.
    newer: VecDeque<OpenLog>,
}

impl LogFollower {
    /// Follows `unit` of the host at `dir`, beginning with the lines that
    /// [`unit_logs`](super::unit_logs) gives for `since` and `tail`.
    pub fn new(
        dir: &Path,
        unit: &UnitName,
        since: Option<SystemTime>,
        tail: Option<usize>,
    ) -> Result<Self, SupervisorError> {
        let path = layout::unit_log(dir, unit);
        let open = || {
            let mut files = open_newest_first(&path, |_| false)?;
            files.reverse();
            if let Some(lines) = tail {
                tail_start(&files, lines)?.apply(&mut files)?;
            }
            Ok(files.into())
        };
        let newer = open().map_err(|source| read_error(&path, source))?;
        let mut follower = Self { path, reader: LineReader::new(since), current: None, newer };
        follower.advance();
        Ok(follower)
    }

    /// The next line; waits for it. May be dropped and called again without losing a line.
    pub async fn next(&mut self) -> Result<LogLine, SupervisorError> {
        loop {
            if let Some((file, _)) = &mut self.current {
                let read = self.reader.read(file).map_err(|source| read_error(&self.path, source))?;
                if let Some(line) = read {
                    return Ok(line);
                }
            }
            if !self.newer.is_empty() {
                self.advance();
                if let Some(line) = self.reader.finish() {
                    return Ok(line);
                }
            } else if !self.look_for_newer()? {
                sleep(POLL).await;
            }
        }
    }

    fn advance(&mut self) {
        if let Some(OpenLog { file, id }) = self.newer.pop_front() {
            self.current = Some((BufReader::new(file), id));
        }
    }

    /// Whether the current file was rotated. It is then read once more to its end, which is final now.
    fn look_for_newer(&mut self) -> Result<bool, SupervisorError> {
        let current = self.current.as_ref().map(|(_, id)| *id);
        let found = open_newest_first(&self.path, |id| Some(id) == current);
        self.newer = found.map_err(|source| read_error(&self.path, source))?.into();
        self.newer.make_contiguous().reverse();
        Ok(!self.newer.is_empty())
    }
}
