//! Paths of a Nix store.

use super::LocalError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where every store is: a store elsewhere has other hashes, and nothing can be pushed there.
pub const STORE: &str = "/nix/store";

/// The length of the hash before the name.
const HASH: usize = 32;

/// A path right below [`STORE`], such as `/nix/store/…-glibc-2.40`; whether it is there is another question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct StorePath(String);

impl StorePath {
    /// The store path that a file lies in, links followed, so that `./result` names what was built.
    ///
    /// # Errors
    /// Where the file isn't there, or not in the store.
    pub fn of(file: &Path) -> Result<Self, LocalError> {
        let real =
            file.canonicalize().map_err(|source| LocalError::Read { path: file.to_owned(), source })?;
        let outside = || LocalError::NotInStore { path: file.to_owned() };
        let name = real.strip_prefix(STORE).ok().and_then(|inside| inside.iter().next());
        let path = Path::new(STORE).join(name.ok_or_else(outside)?);
        path.to_str().and_then(|path| path.parse().ok()).ok_or_else(outside)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a path of the file system.
    pub fn to_path(&self) -> PathBuf {
        PathBuf::from(&self.0)
    }
}

impl FromStr for StorePath {
    type Err = NotAStorePath;

    fn from_str(text: &str) -> Result<Self, NotAStorePath> {
        let base = text.strip_prefix(STORE).and_then(|rest| rest.strip_prefix('/'));
        let hash_and_name = base.and_then(|base| base.split_at_checked(HASH));
        let is_path = hash_and_name.is_some_and(|(hash, name)| {
            hash.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
                && name.len() > 1
                && name.starts_with('-')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte))
        });
        if is_path { Ok(Self(text.to_owned())) } else { Err(NotAStorePath(text.to_owned())) }
    }
}

impl TryFrom<String> for StorePath {
    type Error = NotAStorePath;

    fn try_from(text: String) -> Result<Self, NotAStorePath> {
        text.parse()
    }
}

impl std::fmt::Display for StorePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<[u8]> for StorePath {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A text that is no store path.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a path of {STORE}")]
pub struct NotAStorePath(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hash_and_a_name_are_a_store_path() {
        let hash = "0123456789abcdfghijklmnpqrsvwxyz";
        let parsed = |text: String| text.parse::<StorePath>().is_ok();
        assert!(parsed(format!("/nix/store/{hash}-glibc-2.40+x")));
        for wrong in [
            format!("/nix/store/{hash}"),
            format!("/nix/store/{hash}-"),
            format!("/nix/store/{hash}-a b"),
            format!("/nix/store/{hash}-a;b"),
            format!("/nix/store/{hash}-a/b"),
            format!("/nix/store/x{hash}-a"),
            format!("/gnu/store/{hash}-a"),
            "/nix/store/ü".to_owned(),
            String::new(),
        ] {
            assert!(!parsed(wrong.clone()), "{wrong}");
        }
    }

    #[test]
    fn a_file_outside_of_the_store_is_refused() {
        assert!(matches!(StorePath::of(Path::new("/")), Err(LocalError::NotInStore { .. })));
        assert!(matches!(StorePath::of(Path::new("/nowhere")), Err(LocalError::Read { .. })));
    }
}
