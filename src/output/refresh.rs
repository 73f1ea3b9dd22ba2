//! What another hand changed, as text.

use super::Style;
use super::preview::properties;
use crate::engine::Refresh;
use crate::resource::Drift;
use std::fmt::Write as _;

/// The resources that differ, and how.
pub(super) fn text(refresh: &Refresh, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "Drift of the stack {}\n", style.strong(&refresh.stack));
    for (key, drift) in &refresh.drifts {
        let (sign, what) = match drift {
            Drift::None => continue,
            Drift::Changed { .. } => (style.changing("~"), "was changed by another hand"),
            Drift::Gone => (style.bad("-"), "was deleted by another hand"),
            Drift::Impaired { how } => (style.changing("!"), how.as_str()),
            Drift::Unknown { why } => (style.bad("?"), why.as_str()),
        };
        let _ = writeln!(out, "  {sign} {:<5} {:<12} {what}", key.kind, key.name);
        if let Drift::Changed { changes, .. } = drift {
            properties(&mut out, changes, style);
        }
    }
    let differing = match refresh.drifts.len() {
        0 => "nothing differs".to_owned(),
        n => format!("\n{n} differ from the state"),
    };
    let _ = writeln!(out, "{differing}, {} as recorded", refresh.same);
    out
}
