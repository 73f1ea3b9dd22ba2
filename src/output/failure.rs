//! A failure as people read it, and as programs do.

use super::Style;
use crate::program::StackFaults;
use crate::report::Report;
use serde_json::{Value, json};

pub(super) fn text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    if let Some(faults) = &report.faults {
        text = style.ours(faults.render(style.is_colored())) + "\n";
    }
    text.push_str(&format!("{} {}\n", style.error("error:"), report.message));
    for cause in &report.causes {
        text.push_str(&format!("  because {}\n", cause.replace('\n', "\n  ")));
    }
    for effect in &report.effect {
        text.push_str(&format!("  {effect}\n"));
    }
    if let Some(hint) = &report.hint {
        text.push_str(&format!("{} {hint}\n", style.hint("hint:")));
    }
    text
}

pub(super) fn document(report: &Report) -> Value {
    json!({
        "message": report.message, "causes": report.causes, "effect": report.effect,
        "hint": report.hint, "code": report.code, "faults": report.faults.as_ref().map(StackFaults::to_json),
    })
}
