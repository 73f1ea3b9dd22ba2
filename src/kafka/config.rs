//! Settings as Kafka tells them, with where they come from. Pure data.

use serde::{Deserialize, Serialize};

/// A setting with its effective value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// `None` when Kafka keeps it back as sensitive, or it has none.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// Which layer a setting comes from; the earlier ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// Set on this topic.
    DynamicTopic,
    /// Set on this broker while it ran.
    DynamicBroker,
    /// Set on all brokers while they ran.
    DynamicDefaultBroker,
    /// The broker's properties file.
    StaticBroker,
    /// Kafka's own default.
    Default,
    /// A layer this Octad has no name for, by Kafka's number.
    Other(i8),
}
