//! Colours, where they are wanted.

use anstyle::{AnsiColor, Effects, Style as Ansi};
use clap::ValueEnum;
use std::io::IsTerminal;

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
        if self.colored { format!("{style}{text}{style:#}") } else { text.to_owned() }
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
