//! What the documents show of a cluster that runs, beside what one says.

#[path = "../support/shown.rs"]
mod shown;

use crate::bench::{Run, Stack};
use shown::{LEFT_OUT, OF_A_RUN, shown};
use std::collections::BTreeSet;

/// What `docs/start.md` shows of a run is what octad says, but for figures. `first` and `again` are the `up` that made the
/// stack and the one behind it.
pub(crate) fn show_what_it_says(stack: &Stack, first: &Run, again: &Run) {
    let mut compared = Vec::new();
    for block in shown(include_str!("../../docs/start.md")) {
        let said = match block.source.as_str() {
            "octad up" => first.stderr.clone() + &first.stdout,
            "octad up, again" => again.stdout.clone(),
            "octad" => stack.octad(&[]).exits(0).stdout,
            "octad status" => stack.octad(&["status"]).exits(0).stdout,
            source => panic!("docs/start.md shows {source}"),
        };
        let said = said.replace(stack.name(), "ha");
        let forms: BTreeSet<String> = said.lines().map(form).collect();
        for line in block.lines.iter().map(|line| line.trim()).filter(|line| !depends(line)) {
            let found = match line.strip_prefix("./octad ") {
                // Behind the verb come the options by which the stack is found.
                Some(command) => {
                    let (words, does) = command.split_once("  ").unwrap_or((command, ""));
                    let words = format!("/octad {words} ");
                    said.lines().any(|line| line.contains(&words) && line.ends_with(does))
                }
                None => forms.contains(&form(line)),
            };
            assert!(found, "{}: docs/start.md shows\n{line}\nbut not so\n{said}", block.source);
        }
        compared.push(block.source);
    }
    assert_eq!(compared, OF_A_RUN);
}

/// Whether it depends on the run, or on what the machine has, if such a line is there at all.
fn depends(line: &str) -> bool {
    line.is_empty()
        || line == LEFT_OUT
        || ["waiting for ", "fetching ", "keeps "].iter().any(|begin| line.starts_with(begin))
}

/// What `docs/files.md` says to lie in a stack's directory is there.
pub(crate) fn tell_where_things_lie(stack: &Stack) {
    let mut seen = 0;
    for line in include_str!("../../docs/files.md").lines() {
        let Some(path) = line.strip_prefix("| `.octad/STACK/").and_then(|rest| rest.split('`').next()) else {
            continue;
        };
        let path = stack.site().join(path.replace("HOST", "broker-1").replace("NODE", "broker-1"));
        assert!(path.exists(), "{} is told of", path.display());
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}

/// A line by its form: what differs from run to run, figures and how many are listed, is left out.
fn form(line: &str) -> String {
    let mut form = String::new();
    for word in line.split_whitespace() {
        let mut digits = false;
        let mut said = String::new();
        for character in word.chars() {
            if !character.is_ascii_digit() {
                said.push(character);
            } else if !digits {
                said.push('#');
            }
            digits = character.is_ascii_digit();
        }
        // 1m 3s is as good as 12s.
        let said = said.replace("#m", "#s");
        if !form.ends_with(&format!(" {said}")) {
            form.push(' ');
            form.push_str(&said);
        }
    }
    form
}
