//! What can be said of local hosts beside what all hosts have.

use crate::model::Options;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Options of a local host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalOptions {
    /// What keeps hosts of one machine apart. Default: nothing.
    #[serde(skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
    /// Size in MiB of the disk that each node has for its data. Default: it shares the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u32>,
}

impl LocalOptions {
    /// As they stand in a host's inputs.
    pub fn written(self) -> Options {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            other => unreachable!("options are an object: {other:?}"),
        }
    }

    pub(super) fn read(options: &Options) -> serde_json::Result<Self> {
        Self::deserialize(Value::Object(options.clone()))
    }
}

/// What keeps hosts of one machine apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Nothing: they share the machine's network.
    #[default]
    None,
    /// Each is a network namespace, with a cable to a switch of the stack: it can be cut off.
    Netns,
}

impl Isolation {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}
