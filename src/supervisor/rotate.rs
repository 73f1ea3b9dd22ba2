//! A log file that is rotated by size.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::layout::rotated;

/// Appends to a file; a full one becomes `.1`, `.1` becomes `.2`, and the oldest goes.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    /// Bytes that a file may hold.
    limit: u64,
    /// Files kept, the current one included.
    files: usize,
    file: File,
    size: u64,
}

impl RotatingFile {
    /// Opens the log at `path`. A line that an earlier writer left unfinished is ended first.
    pub(super) fn open(path: &Path, limit: u64, files: usize) -> io::Result<Self> {
        let (mut file, mut size) = append_to(path)?;
        if size > 0 && !ends_with_newline(&mut file)? {
            file.write_all(b"\n")?;
            size += 1;
        }
        Ok(Self { path: path.to_owned(), limit, files, file, size })
    }

    /// Appends `lines`, which are whole. They stay in one file.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        if self.size > 0 && self.size + length > self.limit {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.size += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for index in (0..self.files.saturating_sub(1)).rev() {
            match fs::rename(rotated(&self.path, index), rotated(&self.path, index + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        (self.file, self.size) = append_to(&self.path)?;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().create(true).read(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.log");
        let mut log = RotatingFile::open(&path, 10, 3).unwrap();
        for i in 0..8 {
            log.write(format!("line{i}\n").as_bytes()).unwrap();
        }
        let content = |index| fs::read_to_string(rotated(&path, index)).ok();
        assert_eq!(content(0).as_deref(), Some("line7\n"));
        assert_eq!(content(1).as_deref(), Some("line6\n"));
        assert_eq!(content(2).as_deref(), Some("line5\n"));
        assert_eq!(content(3), None);
    }

    #[test]
    fn a_reopened_log_is_continued_and_counts_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.log");
        RotatingFile::open(&path, 10, 3).unwrap().write(b"first\n").unwrap();
        let mut log = RotatingFile::open(&path, 10, 3).unwrap();
        log.write(b"a\n").unwrap();
        log.write(b"second\n").unwrap();
        assert_eq!(fs::read_to_string(rotated(&path, 1)).unwrap(), "first\na\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
    }

    #[test]
    fn a_line_cut_by_a_crash_does_not_swallow_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.log");
        fs::write(&path, "cut").unwrap();
        RotatingFile::open(&path, 100, 3).unwrap().write(b"whole\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "cut\nwhole\n");
    }
}
