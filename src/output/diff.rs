//! Changed files as unified diffs, as `diff -u` and git write them. What is the same for several nodes is told once.

use super::Style;
use crate::engine::FileChanges;
use serde_json::{Value, json};
use similar::TextDiff;
use std::fmt::Write as _;

/// Lines around a change, as everywhere.
const CONTEXT: usize = 3;

/// One diff, and the resources that it is true of.
struct Shared {
    what: String,
    diff: String,
    of: Vec<String>,
}

fn shared(changes: &[FileChanges]) -> Vec<Shared> {
    let mut all: Vec<Shared> = Vec::new();
    let mut add = |what: &str, diff: String, of: &str| match all
        .iter_mut()
        .find(|one| one.what == what && one.diff == diff)
    {
        Some(same) => same.of.push(of.to_owned()),
        None => all.push(Shared { what: what.to_owned(), diff, of: vec![of.to_owned()] }),
    };
    for change in changes {
        match &change.files {
            Err(why) => add(why, String::new(), &change.key.name),
            Ok(files) => {
                for file in files {
                    let (before, after) = (file.before.as_deref(), file.after.as_deref());
                    let diff = TextDiff::from_lines(before.unwrap_or(""), after.unwrap_or(""));
                    let diff =
                        diff.unified_diff().context_radius(CONTEXT).missing_newline_hint(false).to_string();
                    add(&file.name, diff, &change.key.name);
                }
            }
        }
    }
    all
}

/// The diffs for people; empty where no file changes.
pub(super) fn text(changes: &[FileChanges], style: Style) -> String {
    let mut out = String::new();
    for Shared { what, diff, of } in shared(changes) {
        let _ = writeln!(out, "{} {}", style.strong(&what), style.dim(&format!("({})", of.join(", "))));
        for line in diff.lines() {
            let line = match line.as_bytes().first() {
                Some(b'+') => style.good(line),
                Some(b'-') => style.bad(line),
                Some(b'@') => style.dim(line),
                _ => line.to_owned(),
            };
            let _ = writeln!(out, "  {}", line.trim_end());
        }
        out.push('\n');
    }
    out
}

/// The diffs for scripts, one for each file.
pub(super) fn json(changes: &[FileChanges]) -> Value {
    let told = shared(changes).into_iter().map(|Shared { what, diff, of }| match diff.is_empty() {
        true => json!({ "unknown": what, "nodes": of }),
        false => json!({ "file": what, "diff": diff, "nodes": of }),
    });
    told.collect()
}
