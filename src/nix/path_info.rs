//! What a store knows of a path besides its contents.

use super::wire::{Reader, put_number, put_text, put_texts};
use super::{DaemonError, StorePath};
use tokio::io::AsyncRead;

/// What a store knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// What it was built by; empty where that isn't known.
    pub deriver: String,
    /// The SHA-256 of its NAR, in hexadecimal.
    pub nar_hash: String,
    /// The paths that it names, itself among them where it does.
    pub references: Vec<StorePath>,
    /// When it was registered, in seconds since 1970.
    pub registered: u64,
    /// The size of its NAR, in bytes.
    pub nar_size: u64,
    /// Signatures, each as the key's name, a colon, and base 64.
    pub signatures: Vec<String>,
    /// How its contents determine its name; empty where they don't.
    pub content_address: String,
}

impl PathInfo {
    /// Whether a daemon that trusts nobody may take it, where it trusts the key.
    pub fn is_vouched_for(&self) -> bool {
        !self.signatures.is_empty() || !self.content_address.is_empty()
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_text(out, &self.path);
        put_text(out, &self.deriver);
        put_text(out, &self.nar_hash);
        put_texts(out, self.references.iter());
        put_number(out, self.registered);
        put_number(out, self.nar_size);
        // Built by itself: a store believes that of itself only.
        put_number(out, 0);
        put_texts(out, self.signatures.iter());
        put_text(out, &self.content_address);
    }

    pub(super) async fn read<R: AsyncRead + Unpin>(
        from: &mut Reader<R>,
        path: StorePath,
    ) -> Result<Self, DaemonError> {
        let deriver = from.text().await?;
        let nar_hash = from.text().await?;
        let references = from.texts().await?;
        let references = references.iter().map(|reference| reference.parse());
        let references = references
            .collect::<Result<_, _>>()
            .map_err(|error: super::NotAStorePath| DaemonError::Protocol { what: error.to_string() })?;
        let registered = from.number().await?;
        let nar_size = from.number().await?;
        let _ultimate = from.number().await?;
        let signatures = from.texts().await?;
        let content_address = from.text().await?;
        Ok(Self { path, deriver, nar_hash, references, registered, nar_size, signatures, content_address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    #[tokio::test]
    async fn what_is_written_is_read_again() {
        let path = |name: &str| format!("/nix/store/{}-{name}", "a".repeat(32)).parse::<StorePath>().unwrap();
        let info = PathInfo {
            path: path("x"),
            deriver: String::new(),
            nar_hash: "0".repeat(64),
            references: vec![path("x"), path("y")],
            registered: 7,
            nar_size: 120,
            signatures: vec!["key:c2ln".into()],
            content_address: "text:sha256:0".into(),
        };
        let mut out = Vec::new();
        info.put(&mut out);
        let mut reader = Reader::new(BufReader::new(&out[..]));
        assert_eq!(reader.text().await.unwrap(), info.path.as_str());
        assert_eq!(PathInfo::read(&mut reader, path("x")).await.unwrap(), info);
    }
}
