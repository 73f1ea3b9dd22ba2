//! An error with its causes, for places where an error is data (in a view, an event, a record) and nobody will walk
//! its sources. Pure.

use std::error::Error;

/// An error and its causes, outermost first, none told twice.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !all.last().is_some_and(|last| last.ends_with(&text)) {
            all.push(text);
        }
        next = error.source();
    }
    all
}

/// An error and its causes in one line.
pub fn with_causes(error: &dyn Error) -> String {
    causes(error).join(": ")
}
