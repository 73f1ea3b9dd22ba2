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

/// Bytes of a mark.
const MARK: usize = 20;

impl Mark {
    /// A record with this mark, padded to `size` bytes where that is longer.
    pub fn encode(&self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size.max(MARK));
        bytes.extend(self.run.to_be_bytes());
        bytes.extend(self.partition.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.resize(size.max(MARK), b'.');
        bytes
    }

    /// The mark of a record; `None` where no probe wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            run: u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
            partition: i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?),
            sequence: u64::from_be_bytes(bytes.get(12..MARK)?.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark { run: u64::MAX - 1, partition: 7, sequence: 1 << 40 };
        for size in [0, 20, 100] {
            assert_eq!(Mark::decode(&mark.encode(size)), Some(mark));
        }
        assert_eq!(mark.encode(100).len(), 100);
        assert_eq!(Mark::decode(b"hello"), None);
    }
}
