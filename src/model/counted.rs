//! How many of a thing, for people.

use std::fmt::Display;

/// A number with its thing in the singular or the plural.
///
/// ```
/// use octad::model::counted;
/// assert_eq!((counted(1, "replica"), counted(0, "replica")), ("1 replica".into(), "0 replicas".into()));
/// ```
pub fn counted(number: impl Display, thing: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
