//! Properties files, as Java reads them. Pure. `nix/java/properties.nix` is the other half: both write the same bytes.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(property("listeners", "PLAINTEXT://h:9092"), "listeners=PLAINTEXT://h:9092\n");
        assert_eq!(property("a", "1\nlog.dirs=/tmp"), "a=1\\nlog.dirs=/tmp\n");
        assert_eq!(property("a b", " x\\"), "a\\ b=\\ x\\\\\n");
    }
}
