//! The class path that a resolved set gives. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Absolute paths of a set's jars, each of which had its locked SHA-256 when the path was made.
///
/// Sorted as the lock is, by Maven coordinates, so that the same set in the same store always gives the same
/// argument: class-data archives are only valid for the class path they were made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassPath {
    jars: Vec<PathBuf>,
}

impl ClassPath {
    pub(super) fn new(jars: Vec<PathBuf>) -> Self {
        debug_assert!(jars.iter().all(|jar| jar.is_absolute()));
        Self { jars }
    }

    /// The jars, in class path order.
    pub fn jars(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.jars.iter().map(PathBuf::as_path)
    }

    /// The value of `java -cp`.
    pub fn to_arg(&self) -> OsString {
        let mut arg = OsString::new();
        for jar in &self.jars {
            if !arg.is_empty() {
                arg.push(":");
            }
            arg.push(jar);
        }
        arg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_joins_jars_with_colons() {
        let path = ClassPath::new(vec!["/s/a.jar".into(), "/s/b.jar".into()]);
        assert_eq!(path.to_arg(), "/s/a.jar:/s/b.jar");
    }
}
