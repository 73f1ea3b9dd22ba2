//! Reading what a unit wrote, over its rotated files; with or without a supervisor.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{error::SupervisorError, layout, name::UnitName, timestamp};

/// One line of a unit's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When its first byte reached the supervisor.
    pub at: SystemTime,
    /// The line without its newline; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// The lines that `unit` of the host at `dir` has written, oldest first: those not older than `since`, and of
/// the last `tail` only. A unit that never wrote has none.
///
/// The files are opened at once, so a rotation while reading loses nothing.
pub fn unit_logs(
    dir: &Path,
    unit: &UnitName,
    since: Option<SystemTime>,
    tail: Option<usize>,
) -> Result<LogLines, SupervisorError> {
    let path = layout::unit_log(dir, unit);
    let mut files = open_newest_first(&path, |_| false).map_err(|source| read_error(&path, source))?;
    files.reverse();
    let start = tail.map(|lines| tail_start(&files, lines)).transpose();
    if let Some(start) = start.map_err(|source| read_error(&path, source))? {
        start.apply(&mut files).map_err(|source| read_error(&path, source))?;
    }
    let files = files.into_iter().map(|open| BufReader::new(open.file)).collect();
    Ok(LogLines { path, files, reader: LineReader::new(since) })
}

/// Gives what `from` has written to `to`. `from` is down and forgotten; where it has no log, nothing changes.
pub fn rename_logs(dir: &Path, from: &UnitName, to: &UnitName) -> Result<(), SupervisorError> {
    let (from, to) = (layout::unit_log(dir, from), layout::unit_log(dir, to));
    for index in 0..layout::LOG_FILES {
        let path = layout::rotated(&from, index);
        match fs::rename(&path, layout::rotated(&to, index)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(SupervisorError::File { action: "rename", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Iterator of [`unit_logs`].
#[derive(Debug)]
pub struct LogLines {
    path: PathBuf,
    files: VecDeque<BufReader<File>>,
    reader: LineReader,
}

impl Iterator for LogLines {
    type Item = Result<LogLine, SupervisorError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(file) = self.files.front_mut() {
            match self.reader.read(file) {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) => {
                    self.files.pop_front();
                    if let Some(line) = self.reader.finish() {
                        return Some(Ok(line));
                    }
                }
                Err(source) => {
                    self.files.clear();
                    return Some(Err(read_error(&self.path, source)));
                }
            }
        }
        None
    }
}

pub(super) fn read_error(path: &Path, source: io::Error) -> SupervisorError {
    SupervisorError::File { action: "read", path: path.to_owned(), source }
}

/// A file of a log and what tells it from the others, whatever its name is by now.
#[derive(Debug)]
pub(super) struct OpenLog {
    pub(super) file: File,
    pub(super) id: FileId,
}

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// Opens the files of the log at `path`, newest first, up to and without the one that `stop` knows.
///
/// In this order a rotation in between shows a file twice, which is noticed, and hides none.
pub(super) fn open_newest_first(path: &Path, stop: impl Fn(FileId) -> bool) -> io::Result<Vec<OpenLog>> {
    let mut files: Vec<OpenLog> = Vec::new();
    for index in 0..layout::LOG_FILES {
        let file = match File::open(layout::rotated(path, index)) {
            Ok(file) => file,
            // In the middle of a rotation any of them may be missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let id = FileId(metadata.dev(), metadata.ino());
        if stop(id) {
            break;
        }
        if files.iter().all(|known| known.id != id) {
            files.push(OpenLog { file, id });
        }
    }
    Ok(files)
}

/// Where the last lines of a log begin.
pub(super) struct TailStart {
    /// In files ordered oldest first.
    file: usize,
    offset: u64,
}

impl TailStart {
    /// Drops the files before it and moves the first one left to its place.
    pub(super) fn apply(self, files: &mut Vec<OpenLog>) -> io::Result<()> {
        files.drain(..self.file);
        match files.first_mut() {
            Some(first) => first.file.seek(SeekFrom::Start(self.offset)).map(drop),
            None => Ok(()),
        }
    }
}

/// Finds the last `lines` lines of `files`, ordered oldest first, reading no more than those.
pub(super) fn tail_start(files: &[OpenLog], lines: usize) -> io::Result<TailStart> {
    const BLOCK: u64 = 64 * 1024;
    let last = files.len().saturating_sub(1);
    if lines == 0 {
        let offset = files.last().map(|open| open.file.metadata()).transpose()?.map_or(0, |m| m.len());
        return Ok(TailStart { file: last, offset });
    }
    let mut missing = lines;
    let mut block = vec![0; BLOCK as usize];
    for (index, OpenLog { file, id: _ }) in files.iter().enumerate().rev() {
        let length = file.metadata()?.len();
        let mut end = length;
        while end > 0 {
            let start = end.saturating_sub(BLOCK);
            let block = &mut block[..(end - start) as usize];
            file.read_exact_at(block, start)?;
            for (position, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                let line_start = start + position as u64 + 1;
                // The newline at the end of the file begins no line.
                if line_start == length {
                    continue;
                }
                missing -= 1;
                if missing == 0 {
                    return Ok(TailStart { file: index, offset: line_start });
                }
            }
            end = start;
        }
        if length > 0 {
            missing -= 1;
            if missing == 0 {
                return Ok(TailStart { file: index, offset: 0 });
            }
        }
    }
    Ok(TailStart { file: 0, offset: 0 })
}

/// Makes lines of bytes, over the ends of files.
#[derive(Debug)]
pub(super) struct LineReader {
    since: Option<SystemTime>,
    /// A line whose end was not there yet.
    partial: Vec<u8>,
    /// The time of the last line, for one that has none of its own.
    at: SystemTime,
}

impl LineReader {
    pub(super) fn new(since: Option<SystemTime>) -> Self {
        Self { since, partial: Vec::new(), at: SystemTime::UNIX_EPOCH }
    }

    /// The next whole line that is not too old; `None` at the present end of `file`.
    pub(super) fn read(&mut self, file: &mut impl BufRead) -> io::Result<Option<LogLine>> {
        loop {
            file.read_until(b'\n', &mut self.partial)?;
            if self.partial.pop_if(|byte| *byte == b'\n').is_none() {
                return Ok(None);
            }
            let line = self.take();
            if self.is_wanted(&line) {
                return Ok(Some(line));
            }
        }
    }

    /// What is left at the end of a file: a line cut by a crash of the supervisor.
    pub(super) fn finish(&mut self) -> Option<LogLine> {
        if self.partial.is_empty() {
            return None;
        }
        let line = self.take();
        self.is_wanted(&line).then_some(line)
    }

    fn is_wanted(&self, line: &LogLine) -> bool {
        self.since.is_none_or(|since| line.at >= since)
    }

    fn take(&mut self) -> LogLine {
        let line = String::from_utf8_lossy(&self.partial);
        let stamped = line
            .split_at_checked(timestamp::LENGTH)
            .and_then(|(at, rest)| Some((timestamp::parse(at)?, rest.strip_prefix(' ')?)));
        let text = match stamped {
            Some((at, text)) => {
                self.at = at;
                text.to_owned()
            }
            None => line.into_owned(),
        };
        self.partial.clear();
        LogLine { at: self.at, text }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    /// A host whose unit `u` wrote the lines 0, 1, 2, … at that many seconds, spread over three files.
    fn host() -> (tempfile::TempDir, UnitName) {
        let dir = tempfile::tempdir().unwrap();
        let unit = UnitName::new("u").unwrap();
        let log = layout::unit_log(dir.path(), &unit);
        fs::create_dir(layout::logs(dir.path())).unwrap();
        for (index, seconds) in [(2, 0..3), (1, 3..6), (0, 6..8)] {
            let line = |second| format!("{} line {second}\n", timestamp::format(moment(second)));
            fs::write(layout::rotated(&log, index), seconds.map(line).collect::<String>()).unwrap();
        }
        (dir, unit)
    }

    fn moment(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn texts(since: Option<u64>, tail: Option<usize>) -> Vec<String> {
        let (dir, unit) = host();
        let lines = unit_logs(dir.path(), &unit, since.map(moment), tail).unwrap();
        lines.map(|line| line.unwrap().text).collect()
    }

    fn expected(seconds: std::ops::Range<u64>) -> Vec<String> {
        seconds.map(|second| format!("line {second}")).collect()
    }

    #[test]
    fn lines_come_oldest_first_over_all_files() {
        assert_eq!(texts(None, None), expected(0..8));
    }

    #[test]
    fn a_log_follows_its_unit_to_another_name() {
        let (dir, unit) = host();
        let other = UnitName::new("other").unwrap();
        // The second time there is nothing left to rename.
        for _ in 0..2 {
            rename_logs(dir.path(), &unit, &other).unwrap();
            let lines =
                |unit| unit_logs(dir.path(), unit, None, None).unwrap().map(|line| line.unwrap().text);
            assert_eq!(lines(&other).collect::<Vec<_>>(), expected(0..8));
            assert_eq!(lines(&unit).count(), 0);
        }
    }

    #[test]
    fn tail_counts_over_files() {
        for lines in 0..=8 {
            assert_eq!(texts(None, Some(lines as usize)), expected(8 - lines..8), "tail {lines}");
        }
        assert_eq!(texts(None, Some(100)), expected(0..8));
    }

    #[test]
    fn since_includes_its_moment_and_combines_with_tail() {
        assert_eq!(texts(Some(5), None), expected(5..8));
        assert_eq!(texts(Some(5), Some(1)), expected(7..8));
        assert_eq!(texts(Some(7), Some(5)), expected(7..8));
        assert_eq!(texts(Some(9), None), expected(0..0));
    }

    #[test]
    fn a_cut_line_is_shown_with_the_time_before_it() {
        let (dir, unit) = host();
        fs::write(layout::unit_log(dir.path(), &unit), "cut").unwrap();
        let last = unit_logs(dir.path(), &unit, None, None).unwrap().last().unwrap().unwrap();
        assert_eq!(last, LogLine { at: moment(5), text: "cut".into() });
    }

    #[test]
    fn a_unit_that_never_wrote_has_no_lines() {
        let dir = tempfile::tempdir().unwrap();
        let unit = UnitName::new("u").unwrap();
        assert_eq!(unit_logs(dir.path(), &unit, None, Some(3)).unwrap().count(), 0);
    }
}
