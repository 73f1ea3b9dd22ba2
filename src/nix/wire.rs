//! How the daemon's protocol writes numbers and texts: 64 bits, little-endian; texts with their length before them and
//! zeros after them up to a multiple of eight. NARs are written the same way.

use super::DaemonError;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};

/// The longest text that a daemon is believed: a message of an error with its trace, by far.
const LONGEST_TEXT: u64 = 16 << 20;
/// The most texts or fields of a list that a daemon is believed: every path of a store, by far.
const LONGEST_LIST: u64 = 16 << 20;

/// How many zeros follow a text of this length.
pub(super) fn padding(length: u64) -> usize {
    (length.wrapping_neg() % 8) as usize
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
    out.extend_from_slice(&[0; 8][..padding(text.len() as u64)]);
}

pub(super) fn put_texts<Text: AsRef<[u8]>>(out: &mut Vec<u8>, texts: impl ExactSizeIterator<Item = Text>) {
    put_number(out, texts.len() as u64);
    texts.for_each(|text| put_text(out, text));
}

/// Reads what a daemon writes.
pub(super) struct Reader<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(from: BufReader<R>) -> Self {
        Self(from)
    }

    pub(super) async fn number(&mut self) -> Result<u64, DaemonError> {
        Ok(self.0.read_u64_le().await?)
    }

    /// How many things follow.
    pub(super) async fn count(&mut self) -> Result<u64, DaemonError> {
        match self.number().await? {
            count if count <= LONGEST_LIST => Ok(count),
            count => Err(DaemonError::Protocol { what: format!("a list of {count}") }),
        }
    }

    pub(super) async fn text(&mut self) -> Result<String, DaemonError> {
        let length = self.number().await?;
        if length > LONGEST_TEXT {
            return Err(DaemonError::Protocol { what: format!("a text of {length} bytes") });
        }
        let mut bytes = vec![0; length as usize + padding(length)];
        self.0.read_exact(&mut bytes).await?;
        bytes.truncate(length as usize);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) async fn texts(&mut self) -> Result<Vec<String>, DaemonError> {
        let mut texts = Vec::new();
        for _ in 0..self.count().await? {
            texts.push(self.text().await?);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_up_to_eight_bytes() {
        let mut out = Vec::new();
        put_text(&mut out, "nine byte");
        assert_eq!(out, b"\x09\0\0\0\0\0\0\0nine byte\0\0\0\0\0\0\0");
        out.clear();
        put_text(&mut out, "8 bytes.");
        assert_eq!(out, b"\x08\0\0\0\0\0\0\08 bytes.");
        out.clear();
        put_texts(&mut out, [""].iter());
        assert_eq!(out, b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_believed() {
        let reader = |bytes| Reader::new(BufReader::new(bytes));
        let long = u64::MAX.to_le_bytes();
        assert!(matches!(reader(&long[..]).text().await, Err(DaemonError::Protocol { .. })));
        assert!(matches!(reader(&long[..]).texts().await, Err(DaemonError::Protocol { .. })));
        assert!(matches!(reader(&long[..7]).number().await, Err(DaemonError::Ended { .. })));
    }
}
