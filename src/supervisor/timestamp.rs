//! Moments as text: RFC 3339, UTC, milliseconds. Pure.

use std::{fmt, time::SystemTime};

/// Length of what [`format`] writes: `2026-01-31T23:59:59.123Z`.
pub(super) const LENGTH: usize = 24;

/// The moment as text, [`LENGTH`] bytes long.
pub(super) fn format(at: SystemTime) -> impl fmt::Display {
    humantime::format_rfc3339_millis(at)
}

/// Reads what [`format`] wrote; `None` for anything else.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// For `#[serde(with = …)]`.
pub(super) mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::supervisor) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&super::format(*at))
    }

    pub(in crate::supervisor) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}
