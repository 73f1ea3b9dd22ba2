//! The name of a unit. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A unit's name: 1 to 64 of `a-z A-Z 0-9 . _ @ -`, not starting with a dot or a dash.
///
/// It becomes part of file names, so it can hold no separator and name no hidden file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

/// Why a string is not a [`UnitName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no unit name: 1 to 64 of a-z A-Z 0-9 . _ @ -, not starting with a dot or a dash")]
pub struct InvalidUnitName {
    /// The string that was given.
    pub name: String,
}

impl UnitName {
    /// Checks `name`.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidUnitName> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
        let valid =
            (1..=64).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with(['.', '-']);
        if valid { Ok(Self(name)) } else { Err(InvalidUnitName { name }) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UnitName {
    type Error = InvalidUnitName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl std::str::FromStr for UnitName {
    type Err = InvalidUnitName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_directory() {
        for bad in ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a b", "ä", &"x".repeat(65)] {
            assert!(UnitName::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["broker", "zookeeper-1", "kafka@2", "a.b_c"] {
            assert!(UnitName::new(good).is_ok(), "{good:?} was refused");
        }
    }
}
