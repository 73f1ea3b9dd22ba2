//! The address of a resource within a stack: its kind and its name. Pure.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Kind and name of a resource, written `kind/name` (`node/broker-1`). Unique within a stack, and the key of the
/// resource in state, plan, journal and events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind's name, such as `host`.
    pub kind: String,
    /// The resource's own name within its kind.
    pub name: String,
}

impl Key {
    /// The key of `name` within `kind`. Neither is checked here: names are checked where they are declared.
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A text that is not of the form `kind/name`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a resource: expected kind/name, such as node/broker-1")]
pub struct NotAKey(String);

impl FromStr for Key {
    type Err = NotAKey;
    fn from_str(text: &str) -> Result<Self, NotAKey> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _ => Err(NotAKey(text.to_owned())),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_written() {
        let key = Key::new("topic", "user.activity_v1");
        assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
    }

    #[test]
    fn a_text_without_both_parts_is_refused() {
        for text in ["broker-1", "/broker-1", "node/", ""] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }
}
