//! The systems that were built, for people and for programs.

use crate::nix::Built;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A system a line, by which it is handed on to other programs; its name has the host's in it.
pub(super) fn text(built: &BTreeMap<String, Built>) -> String {
    built.values().map(|built| format!("{}\n", built.system)).collect()
}

pub(super) fn document(built: &BTreeMap<String, Built>) -> Value {
    let told = |(host, Built { system, remembered }): (&String, &Built)| json!({ "host": host, "system": system.as_str(), "remembered": remembered });
    json!({ "hosts": built.iter().map(told).collect::<Vec<_>>() })
}
