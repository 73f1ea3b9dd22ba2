//! How two inputs of a resource differ. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// An input that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropertyChange {
    /// Dotted path within the inputs.
    pub path: String,
    /// Before; `None` where it is new.
    pub before: Option<Value>,
    /// After; `None` where it is gone.
    pub after: Option<Value>,
}

/// Lists the leaves at which two inputs differ, in path order.
pub fn compare(before: &Value, after: &Value) -> Vec<PropertyChange> {
    let mut changes = Vec::new();
    collect("", Some(before), Some(after), &mut changes);
    changes
}

fn collect(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<PropertyChange>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, old.get(name), new.get(name), changes);
            }
        }
        (before, after) => changes.push(PropertyChange {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_leaves_that_differ_are_listed() {
        let before = json!({ "a": 1, "s": { "x": "1", "y": "2" }, "list": [1] });
        let after = json!({ "a": 1, "s": { "x": "1", "y": "3", "z": "4" }, "list": [1, 2] });
        let paths: Vec<_> = compare(&before, &after).into_iter().map(|c| c.path).collect();
        assert_eq!(paths, ["list", "s.y", "s.z"]);
    }

    #[test]
    fn equal_inputs_have_no_changes() {
        let inputs = json!({ "a": { "b": [1, { "c": null }] } });
        assert!(compare(&inputs, &inputs).is_empty());
    }
}
