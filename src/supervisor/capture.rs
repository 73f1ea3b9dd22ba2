//! From a unit's output to its log: lines get their time.

use std::{io, sync::Arc, time::SystemTime};

use tokio::{io::AsyncReadExt, net::unix::pipe};

use super::{journal::Journal, name::UnitName, rotate::RotatingFile, timestamp};

/// A longer line is split, so that a unit that never ends its line can't fill the supervisor's memory.
pub(super) const LINE_LIMIT: usize = 16 * 1024;

/// Bytes that one log file may hold.
pub(super) const FILE_LIMIT: u64 = 10 * 1024 * 1024;

/// Read at once. Small, since each unit has such a buffer and the supervisor shall stay small.
const READ_SIZE: usize = 8 * 1024;

/// Copies `output` into `log` until every holder of the pipe is gone.
///
/// A log that can't be written, as on a full disk, loses lines and never stops the unit.
pub(super) async fn capture(
    mut output: pipe::Receiver,
    mut log: RotatingFile,
    unit: UnitName,
    journal: Arc<Journal>,
) {
    let mut chunk = vec![0; READ_SIZE];
    let mut stamper = Stamper::default();
    let mut failing = false;
    let mut write = |lines: &[u8]| match log.write(lines) {
        Ok(()) => failing = false,
        Err(error) if !failing => {
            failing = true;
            journal.note(format_args!("{unit}: lines are lost, the log cannot be written: {error}"));
        }
        Err(_) => {}
    };
    loop {
        match output.read(&mut chunk).await {
            Ok(0) => break,
            Ok(length) => stamper.feed(&chunk[..length], SystemTime::now(), &mut write),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                journal.note(format_args!("{unit}: its output cannot be read any more: {error}"));
                break;
            }
        }
    }
    stamper.finish(&mut write);
}

/// Cuts bytes into lines and puts the time in front of each: that of the line's first byte.
#[derive(Debug, Default)]
struct Stamper {
    /// The unfinished line with its time; empty between lines.
    line: Vec<u8>,
    /// Finished lines not yet written.
    ready: Vec<u8>,
}

/// The time and the space after it.
const PREFIX: usize = timestamp::LENGTH + 1;

impl Stamper {
    /// Takes a chunk that was read at `now`. `write` gets whole lines, several at once.
    fn feed(&mut self, mut chunk: &[u8], now: SystemTime, write: &mut impl FnMut(&[u8])) {
        let prefix = format!("{} ", timestamp::format(now));
        while !chunk.is_empty() {
            if self.line.is_empty() {
                self.line.extend_from_slice(prefix.as_bytes());
            }
            let room = (PREFIX + LINE_LIMIT).saturating_sub(self.line.len());
            let within = &chunk[..chunk.len().min(room + 1)];
            match within.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.line.extend_from_slice(&chunk[..end]);
                    chunk = &chunk[end + 1..];
                    self.end_line(write);
                }
                None if chunk.len() > room => {
                    self.line.extend_from_slice(&chunk[..room]);
                    chunk = &chunk[room..];
                    self.split_line(prefix.as_bytes(), write);
                }
                None => {
                    self.line.extend_from_slice(chunk);
                    chunk = &[];
                }
            }
        }
        self.flush(write);
    }

    /// Ends a last line that has no newline.
    fn finish(mut self, write: &mut impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.end_line(write);
        }
        self.flush(write);
    }

    /// Ends a line that is full. A character that would be cut goes to the next one.
    fn split_line(&mut self, prefix: &[u8], write: &mut impl FnMut(&[u8])) {
        let cut = match str::from_utf8(&self.line[PREFIX..]) {
            Err(error) if error.error_len().is_none() => PREFIX + error.valid_up_to(),
            _ => self.line.len(),
        };
        let rest = self.line.split_off(cut);
        self.end_line(write);
        self.line.extend_from_slice(prefix);
        self.line.extend_from_slice(&rest);
    }

    fn end_line(&mut self, write: &mut impl FnMut(&[u8])) {
        self.ready.append(&mut self.line);
        self.ready.push(b'\n');
        if self.ready.len() >= LINE_LIMIT {
            self.flush(write);
        }
    }

    fn flush(&mut self, write: &mut impl FnMut(&[u8])) {
        if !self.ready.is_empty() {
            write(&self.ready);
            self.ready.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stamped(chunks: &[(&[u8], u64)]) -> String {
        let mut out = Vec::new();
        let mut write = |lines: &[u8]| {
            assert!(lines.ends_with(b"\n"), "a piece of a line was written");
            out.extend_from_slice(lines);
        };
        let mut stamper = Stamper::default();
        for (chunk, second) in chunks {
            stamper.feed(chunk, SystemTime::UNIX_EPOCH + Duration::from_secs(*second), &mut write);
        }
        stamper.finish(&mut write);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_in_pieces_has_the_time_of_its_first() {
        let log = stamped(&[(b"one\ntw", 1), (b"o", 2), (b"\n\nlast", 3)]);
        assert_eq!(
            log,
            "1970-01-01T00:00:01.000Z one\n1970-01-01T00:00:01.000Z two\n\
             1970-01-01T00:00:03.000Z \n1970-01-01T00:00:03.000Z last\n"
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_and_a_longer_one_is_split() {
        let whole = [vec![b'x'; LINE_LIMIT], b"\n".to_vec()].concat();
        assert_eq!(stamped(&[(&whole, 1)]).lines().count(), 1);
        let lengths: Vec<_> = stamped(&[(&vec![b'x'; LINE_LIMIT * 2 + 5], 1)])
            .lines()
            .map(|line| line.len() - PREFIX)
            .collect();
        assert_eq!(lengths, [LINE_LIMIT, LINE_LIMIT, 5]);
    }

    #[test]
    fn a_split_never_cuts_a_character() {
        let text = format!("x{}", "ä".repeat(LINE_LIMIT));
        let log = stamped(&[(text.as_bytes(), 1)]);
        let joined: String = log.lines().map(|line| &line[PREFIX..]).collect();
        assert_eq!(joined, text);
        assert!(log.lines().all(|line| line.len() <= PREFIX + LINE_LIMIT));
    }

    #[test]
    fn bytes_that_are_no_text_are_split_too() {
        let mut lines = 0;
        let mut stamper = Stamper::default();
        stamper.feed(&vec![0xff; LINE_LIMIT * 3], SystemTime::UNIX_EPOCH, &mut |_| lines += 1);
        assert_eq!(lines, 2);
    }
}
