//! Properties files, as Java reads them. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The line `name=value`, in Java's form of properties in Latin-1: whatever is in them, it stays one line and is read back
/// as it was given.
pub fn property(name: &str, value: &str) -> String {
    let mut line = String::new();
    for (at, character) in name.chars().enumerate() {
        match character {
            // They end a name, and these two begin a comment.
            ' ' | '=' | ':' => line.extend(['\\', character]),
            '#' | '!' if at == 0 => line.extend(['\\', character]),
            _ => escape(&mut line, character),
        }
    }
    line.push('=');
    for (at, character) in value.chars().enumerate() {
        match character {
            // Spaces before a value aren't part of it.
            ' ' if at == 0 => line.push_str("\\ "),
            _ => escape(&mut line, character),
        }
    }
    line.push('\n');
    line
}

/// A directory's path as it stands within a value.
pub(super) fn escaped(path: &str) -> String {
    let mut text = String::new();
    path.chars().for_each(|character| escape(&mut text, character));
    text
}

fn escape(line: &mut String, character: char) {
    match character {
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        ' '..='~' => line.push(character),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04X}");
            }
        }
    }
}

/// What is in a file of properties that anybody may have written, by name; the last one of a name counts.
pub fn properties(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']).map(|line| line.trim_start_matches(BLANK));
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while goes_on(&whole) {
            whole.pop();
            match lines.next() {
                Some(next) => whole.push_str(next),
                None => break,
            }
        }
        let (name, value) = whole.split_at(name_length(&whole));
        let value = value.trim_start_matches(BLANK);
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start_matches(BLANK);
        all.insert(unescaped(name), unescaped(value));
    }
    all
}

/// What Java takes for blank within a line.
const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// Whether a line goes on in the next one: its last backslash isn't escaped itself.
fn goes_on(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// Bytes up to what ends a name.
fn name_length(line: &str) -> usize {
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' => return at,
            blank if BLANK.contains(&blank) => return at,
            _ => {}
        }
    }
    line.len()
}

fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let mut meant = character;
        if let ('\\', Some(next)) = (character, rest.chars().next()) {
            rest = &rest[next.len_utf8()..];
            meant = match next {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\u{c}',
                other => other,
            };
            let unit = rest.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
            if let ('u', Some(unit)) = (next, unit) {
                units.push(unit);
                rest = &rest[4..];
                continue;
            }
        }
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(all in prop::collection::btree_map("(?s).+", "(?s).*", 0..4)) {
            let text: String = all.iter().map(|(name, value)| property(name, value)).collect();
            prop_assert_eq!(properties(&text), all);
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(property("listeners", "PLAINTEXT://h:9092"), "listeners=PLAINTEXT://h:9092\n");
        assert_eq!(property("a", "1\nlog.dirs=/tmp"), "a=1\\nlog.dirs=/tmp\n");
        assert_eq!(property("a b", " x\\"), "a\\ b=\\ x\\\\\n");
    }
}
