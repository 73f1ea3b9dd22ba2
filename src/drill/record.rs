//! What a probe's record says of itself, so that it is known again in the log. Pure.

/// Which record of which run this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The run that wrote it.
    pub run: u64,
    /// The partition that it was meant for.
    pub partition: i32,
    /// Its place among that run's records for that partition, from 0 without a hole.
    pub sequence: u64,
}

/// What every record of a probe begins with.
const WORD: &str = "octad-drill";

impl Mark {
    /// A record with this mark, padded to `size` bytes where that is longer: one line of text, so that any client can
    /// show it.
    pub fn encode(&self, size: usize) -> Vec<u8> {
        let Self { run, partition, sequence } = self;
        let mut bytes = format!("{WORD} {run} {partition} {sequence} ").into_bytes();
        bytes.resize(size.max(bytes.len()), b'.');
        bytes
    }

    /// The mark of a record; `None` where no probe wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.strip_prefix(WORD)?.strip_prefix(' ')?.split(' ');
        Some(Self {
            run: words.next()?.parse().ok()?,
            partition: words.next()?.parse().ok()?,
            sequence: words.next()?.parse().ok()?,
        })
        // What was cut off within a number would pass for another record.
        .filter(|_| words.next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark { run: u64::MAX - 1, partition: 7, sequence: 1 << 40 };
        for size in [0, 60, 100] {
            assert_eq!(Mark::decode(&mark.encode(size)), Some(mark));
        }
        assert_eq!(mark.encode(100).len(), 100);
        assert_eq!(
            String::from_utf8(Mark { run: 5, ..mark }.encode(0)).unwrap(),
            "octad-drill 5 7 1099511627776 "
        );
        for other in [&b"hello"[..], b"octad-drill 5 7 12", b"octad-drill 5 x 12 "] {
            assert_eq!(Mark::decode(other), None, "{}", other.escape_ascii());
        }
    }
}
