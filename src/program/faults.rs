//! The faults of a stack file, each with the place where it stands, as people and scripts read them. Pure.

use crate::stack::Fault;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};
use std::fmt;
use std::ops::Range;

/// Everything that is wrong with one stack file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFaults {
    /// The file, for people.
    pub origin: String,
    /// The file's text.
    pub text: String,
    /// Each fault, in the order in which they stand in the file.
    pub faults: Vec<Located>,
}

/// A fault and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What is wrong.
    pub fault: Fault,
    /// Bytes of the text; `None` where it is about the file as a whole.
    pub span: Option<Range<usize>>,
}

impl StackFaults {
    /// The faults with the lines that they stand in, one paragraph each.
    pub fn render(&self, colored: bool) -> String {
        let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
        let rendered = self.faults.iter().map(|located| renderer.render(&self.report(located)));
        rendered.map(|text| text + "\n").collect::<Vec<_>>().join("\n")
    }

    fn report<'a>(&'a self, located: &'a Located) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(located.subject());
        let text = Snippet::source(self.text.as_str()).path(self.origin.as_str());
        let whole = || Origin::path(self.origin.as_str());
        let mut groups = vec![match located.span.clone() {
            Some(span) => title.element(text.annotation(AnnotationKind::Primary.span(span))),
            None => title.element(whole()),
        }];
        if !located.fault.hint.is_empty() {
            groups.push(Group::with_title(Level::HELP.secondary_title(located.fault.hint.as_str())));
        }
        groups
    }

    /// The faults for scripts.
    pub fn to_json(&self) -> Value {
        let faults = self.faults.iter().map(|located| {
            let place = located.span.as_ref().map(|span| self.place(span.start));
            let (line, column) = place.unzip();
            json!({
                "file": self.origin, "line": line, "column": column, "path": located.fault.path,
                "value": located.span.clone().and_then(|span| self.text.get(span)),
                "message": located.fault.message, "hint": located.fault.hint,
            })
        });
        faults.collect()
    }

    /// Line and column (in characters) of a byte, from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        (line, before.chars().rev().take_while(|character| *character != '\n').count() + 1)
    }
}

impl Located {
    fn subject(&self) -> String {
        match self.fault.path.as_str() {
            "" => self.fault.message.clone(),
            path => format!("{path}: {}", self.fault.message),
        }
    }
}

impl fmt::Display for StackFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}
