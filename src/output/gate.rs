//! Whether a node may be taken away, for people and for programs.

use super::Style;
use crate::engine::NotSpared;
use serde_json::{Value, json};

/// The answer of a gate.
#[derive(Debug)]
pub struct Gate<'a> {
    /// The node.
    pub node: &'a str,
    /// Its group.
    pub group: &'a str,
    /// Why it may not be taken away; it may where there is none.
    pub refusal: Option<NotSpared>,
}

impl Gate<'_> {
    pub(super) fn text(&self, style: Style) -> String {
        let node = style.strong(self.node);
        match &self.refusal {
            None => format!("{} {node} may be taken away: {} can do without it", style.good("✓"), self.group),
            Some(refusal) => format!("{} {node} may not be taken away: {refusal}", style.bad("✗")),
        }
    }

    pub(super) fn document(&self) -> Value {
        let not_safe = match &self.refusal {
            Some(NotSpared::NotSafe(reason)) => json!(reason),
            _ => Value::Null,
        };
        json!({
            "node": self.node, "group": self.group, "may": self.refusal.is_none(),
            "why": self.refusal.as_ref().map(ToString::to_string), "not_safe": not_safe,
        })
    }
}
