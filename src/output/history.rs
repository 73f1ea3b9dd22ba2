//! The history of a stack as text: an update a row.

use super::Style;
use crate::engine::{Ending, Update};

/// How many of an update's changes are shown; `--output json` has all.
const SHOWN: usize = 3;

/// The updates in the order given.
pub(super) fn text(updates: &[Update], style: Style) -> String {
    let mut out = String::new();
    for update in updates {
        let result = match &update.result {
            Ending::Ok => style.good("ok"),
            Ending::Failed { .. } => style.bad("failed"),
            Ending::Interrupted { .. } => style.changing("interrupted"),
            Ending::CutOff => style.bad("cut off"),
            Ending::UnderWay => style.changing("under way"),
        };
        let Update { begun, by, verb, changes, .. } = update;
        out.push_str(&format!("{begun}  {} by {by}: {result}\n", style.strong(verb)));
        out.push_str(&listed("  ", changes));
        match &update.result {
            Ending::Failed { why, done } => {
                out.push_str(&format!("  because {why}\n{}", listed("  done: ", done)));
            }
            Ending::Interrupted { done } => out.push_str(&listed("  done: ", done)),
            Ending::Ok | Ending::CutOff | Ending::UnderWay => {}
        }
    }
    out
}

fn listed(head: &str, changes: &[String]) -> String {
    match changes {
        [] => String::new(),
        few if few.len() <= SHOWN + 1 => format!("{head}{}\n", few.join(", ")),
        many => format!("{head}{} and {} more\n", many[..SHOWN].join(", "), many.len() - SHOWN),
    }
}
