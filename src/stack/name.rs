//! Names as the field restricts them. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name of a stack, host, node or group: a DNS label (RFC 1123), since it becomes host names, directory names and
/// systemd instance names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A name of a topic as Kafka allows it: 1 to 249 letters, digits, dots, underscores or hyphens, but not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(String);

/// A text that is not such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a [`Name`].
    #[error(
        "`{0}` is not a name: 1 to 63 lower-case letters, digits or hyphens, with a letter or digit at both ends"
    )]
    Label(String),
    /// Not a [`TopicName`].
    #[error(
        "`{0}` is not a topic name: 1 to 249 letters, digits, dots, underscores or hyphens, not `.` or `..`"
    )]
    Topic(String),
}

macro_rules! name {
    ($type:ident, $error:path, $valid:expr) => {
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err($error(text.to_owned())) }
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(Name, NameError::Label, |text| {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
});
name!(TopicName, NameError::Topic, |text| {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&text.len()) && text.bytes().all(inner) && text != "." && text != ".."
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for text in ["", ".", "..", "a/b", "-a", "a-", "A", "a_b", &"a".repeat(64)] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        for text in ["", ".", "..", "a/b", "a b", &"a".repeat(250)] {
            assert!(text.parse::<TopicName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_usual_names_are_allowed() {
        for text in ["ha", "broker-1", "8", &"a".repeat(63)] {
            assert!(text.parse::<Name>().is_ok(), "{text}");
        }
        for text in ["activity", "user.activity_v1", "_schemas", "-", &"a".repeat(249)] {
            assert!(text.parse::<TopicName>().is_ok(), "{text}");
        }
    }
}
