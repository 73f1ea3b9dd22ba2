//! Whether software takes the settings that a stack file gives it: by the lists that it comes with, before it is asked. Pure.

use crate::artifact::ArtifactSet;
use crate::kafka::trimmed;
use crate::model::Software;
use crate::stack::{Fault, Stack, nearest};
use std::collections::BTreeMap;

/// Tells of settings at `path` of the stack file that `software` doesn't take. Those of `what` (`broker`, `topic`, `server`) that
/// it doesn't know are warned of, but for `allowed` ones and all whose names go on from an allowed one with a dot: it would
/// start without them. A topic with such a setting it refuses, as it refuses values that can't be.
pub(super) fn check(
    stack: &mut Stack,
    path: &str,
    (software, what): (&Software, &str),
    settings: &BTreeMap<String, String>,
    allowed: &[String],
) {
    let Ok(set) = ArtifactSet::find(&software.name, &software.version) else { return };
    let known: BTreeMap<&str, &str> = set.settings(what).collect();
    let below = |name: &str, above: &str| name.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'));
    for (name, value) in settings {
        let at = format!("{path}.{name}");
        if let Some(values) = known.get(name.as_str()) {
            if let Some(right) = Values::of(values).and_then(|values| values.wanted_instead_of(value)) {
                stack.fault(Fault::new(at, format!("`{name}` can't be `{value}`"), format!("write {right}")));
            }
            continue;
        }
        let begins = |known: &&str| known.ends_with('.') && name.starts_with(known);
        let is_allowed = |allowed: &String| name == allowed || below(name, allowed);
        if known.keys().any(begins) || allowed.iter().any(is_allowed) {
            continue;
        }
        let whole = known.keys().copied().filter(|known| !known.ends_with('.'));
        let meant = nearest(name, whole).map(|nearest| format!("did you mean `{nearest}`?"));
        let told = format!("{set} knows no {what} setting `{name}`");
        if what == "topic" {
            stack.fault(Fault::new(at, told, meant.unwrap_or_else(|| "leave it away".into())));
        } else {
            let plugin = "`allow-unknown` names what only a plugin knows".to_owned();
            let hint = meant.into_iter().chain([plugin]).collect::<Vec<_>>().join(" ");
            stack.warn(Fault::new(at, told, hint));
        }
    }
}

/// What may stand in a setting.
#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    Boolean,
    Whole(i64, i64),
    Number(f64, f64),
    /// One of these words.
    Word(&'a str),
    /// Some of these words, with commas between them.
    Words(&'a str),
}

impl<'a> Values<'a> {
    /// As a list of settings says it: a type, and perhaps bounds or words. `None` where anything may stand there.
    fn of(values: &'a str) -> Option<Self> {
        let (kind, bounds) = values.split_once(' ').unwrap_or((values, ""));
        let (least, greatest) = bounds.split_once("..").unwrap_or_default();
        let whole = |of_type: (i64, i64)| {
            Self::Whole(least.parse().unwrap_or(of_type.0), greatest.parse().unwrap_or(of_type.1))
        };
        Some(match kind {
            "boolean" => Self::Boolean,
            "short" => whole((i16::MIN.into(), i16::MAX.into())),
            "int" => whole((i32::MIN.into(), i32::MAX.into())),
            "long" => whole((i64::MIN, i64::MAX)),
            "double" => Self::Number(
                least.parse().unwrap_or(f64::NEG_INFINITY),
                greatest.parse().unwrap_or(f64::INFINITY),
            ),
            "string" if !bounds.is_empty() => Self::Word(bounds),
            "list" if !bounds.is_empty() => Self::Words(bounds),
            _ => return None,
        })
    }

    /// What to write instead of a value that can't be.
    fn wanted_instead_of(self, value: &str) -> Option<String> {
        // Java reads digits of other scripts too, and so whoever writes such is let alone.
        let value = trimmed(value);
        if !value.is_ascii() {
            return None;
        }
        let among = |words: &str, value: &str| words.split(',').any(|word| word == value);
        let told = |words: &str| words.replace(',', ", ");
        let fits = match self {
            Self::Boolean => ["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)),
            Self::Whole(least, greatest) => {
                value.parse().is_ok_and(|value: i64| (least..=greatest).contains(&value))
            }
            Self::Number(least, greatest) => {
                value.parse().is_ok_and(|value: f64| (least..=greatest).contains(&value))
            }
            Self::Word(words) => among(words, value),
            Self::Words(words) => value.split(',').all(|one| among(words, one.trim())),
        };
        (!fits).then(|| match self {
            Self::Boolean => "true or false".into(),
            Self::Whole(least, greatest) => format!("a whole number from {least} to {greatest}"),
            Self::Number(least, greatest) => format!("a number from {least} to {greatest}"),
            Self::Word(words) => format!("one of {}", told(words)),
            Self::Words(words) => format!("some of {}, with commas between them", told(words)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(values: &str, value: &str) -> Option<String> {
        Values::of(values)?.wanted_instead_of(value)
    }

    #[test]
    fn values_are_what_the_list_says() {
        for (values, right) in [
            ("boolean", " True "),
            ("int", "\u{666}\u{660}\u{0} "),
            ("int", "60\u{1}"),
            ("int 1..", "3"),
            ("long -1..", "-1"),
            ("double 0..0.5", "0.5"),
            ("string a,b", "b"),
            ("list compact,delete", "delete, compact"),
            ("string", "anything"),
            ("password", ""),
        ] {
            assert_eq!(wanted(values, right), None, "{values}: {right}");
        }
        for (values, wrong) in [
            ("boolean", "maybe"),
            ("int 1..", "0"),
            ("int", "3000000000"),
            ("short", "many"),
            ("long -1..", "one week"),
            ("double 0..0.5", "0.6"),
            ("string a,b", "c"),
            ("list compact,delete", "compacted"),
        ] {
            assert!(wanted(values, wrong).is_some(), "{values}: {wrong}");
        }
        assert_eq!(wanted("short 1..", "x").as_deref(), Some("a whole number from 1 to 32767"));
    }
}
