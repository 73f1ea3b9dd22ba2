//! Colours, where they are wanted, and control characters, which a terminal gets from nobody but us.

use anstyle::{AnsiColor, Effects, Style as Ansi};
use clap::ValueEnum;
use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::io::IsTerminal;
use std::sync::LazyLock;

/// What our own colours begin with until they are written: a parameter that nothing from outside can know, and that
/// doesn't count for a text's width.
static OURS: LazyLock<String> = LazyLock::new(|| {
    let number = RandomState::new().hash_one("ours") % 1_000_000_000;
    format!("{CSI}{number:09};")
});

/// What every colour begins with.
const CSI: &str = "\x1b[";

/// A text for a terminal: control characters that aren't our own colours are shown as `\u{1b}`, and so are those that
/// have the rest of a line read backwards. Lines and tabs stay.
pub(super) fn for_terminal(text: &str) -> String {
    let parts: Vec<String> = text.split(OURS.as_str()).map(escaped).collect();
    parts.join(CSI)
}

fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.extend(character.escape_unicode()),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

/// A text for a pipe: as it is.
pub(super) fn for_pipe(text: &str) -> Cow<'_, str> {
    if text.contains(OURS.as_str()) { text.replace(OURS.as_str(), CSI).into() } else { text.into() }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Paints texts, or leaves them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colored: bool,
}

impl Style {
    /// The style for a stream.
    pub fn of(choice: ColorChoice, stream: &impl IsTerminal) -> Self {
        let wanted = || {
            std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        };
        let colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stream.is_terminal() && wanted(),
        };
        Self { colored }
    }

    /// Without colours.
    pub fn plain() -> Self {
        Self { colored: false }
    }

    /// Whether texts are painted.
    pub fn is_colored(self) -> bool {
        self.colored
    }

    fn paint(self, style: Ansi, text: &str) -> String {
        let ours = |code: String| self.ours(code);
        if self.colored {
            format!("{}{text}{}", ours(style.to_string()), ours(format!("{style:#}")))
        } else {
            text.to_owned()
        }
    }

    /// A text that was painted elsewhere, with nothing from outside in it that controls a terminal.
    pub(super) fn ours(self, painted: String) -> String {
        if self.colored { painted.replace(CSI, &OURS) } else { painted }
    }

    fn in_color(self, color: AnsiColor, text: &str) -> String {
        self.paint(Ansi::new().fg_color(Some(color.into())), text)
    }

    /// Something that matters.
    pub fn strong(self, text: &str) -> String {
        self.paint(Ansi::new().effects(Effects::BOLD), text)
    }

    /// Something beside the point.
    pub fn dim(self, text: &str) -> String {
        self.paint(Ansi::new().effects(Effects::DIMMED), text)
    }

    /// Something that is new or well.
    pub fn good(self, text: &str) -> String {
        self.in_color(AnsiColor::Green, text)
    }

    /// Something that changes or waits.
    pub fn changing(self, text: &str) -> String {
        self.in_color(AnsiColor::Yellow, text)
    }

    /// Something that goes or is wrong.
    pub fn bad(self, text: &str) -> String {
        self.in_color(AnsiColor::Red, text)
    }

    /// The word before a failure.
    pub fn error(self, text: &str) -> String {
        self.paint(Ansi::new().fg_color(Some(AnsiColor::Red.into())).effects(Effects::BOLD), text)
    }

    /// The word before a hint.
    pub fn hint(self, text: &str) -> String {
        self.in_color(AnsiColor::Cyan, text)
    }

    /// A node's name before its log lines, in a colour of its own.
    pub fn node(self, name: &str, width: usize) -> String {
        const COLORS: [AnsiColor; 6] = [
            AnsiColor::Cyan,
            AnsiColor::Green,
            AnsiColor::Yellow,
            AnsiColor::Blue,
            AnsiColor::Magenta,
            AnsiColor::Red,
        ];
        let sum: usize = name.bytes().map(usize::from).sum();
        self.in_color(COLORS[sum % COLORS.len()], &format!("{name:width$} |"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: &str = "\x1b]0;title\x07\x1b[31mred\x1b[0m\r\u{9b}2J\u{202e}\ttab\nline";

    #[test]
    fn a_terminal_gets_no_control_but_ours() {
        let painted = Style { colored: true }.bad(LOUD);
        let shown = for_terminal(&painted);
        assert_eq!(
            shown,
            "\x1b[31m\\u{1b}]0;title\\u{7}\\u{1b}[31mred\\u{1b}[0m\\r\\u{9b}2J\\u{202e}\ttab\nline\x1b[0m"
        );
        assert_eq!(for_terminal("plain, Größe ✓"), "plain, Größe ✓");
    }

    #[test]
    fn a_pipe_gets_it_as_it_is() {
        assert_eq!(for_pipe(LOUD), LOUD);
        assert_eq!(for_pipe(&Style { colored: true }.bad(LOUD)), format!("\x1b[31m{LOUD}\x1b[0m"));
    }
}
