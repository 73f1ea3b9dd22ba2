//! The entry points of all targets; they stand with Octad's own tests, which call them as well.

#[path = "../../tests/support/parsers.rs"]
pub mod parsers;
