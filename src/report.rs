//! What a failure tells people and scripts: message, causes, hint and exit code. Data; what decides them lives beside the
//! verbs.

use crate::program::StackFaults;

/// Exit codes, as docs/commands.md lists them.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// It failed.
    pub const FAILED: u8 = 1;
    /// `preview --detailed-exitcode`: there are changes.
    pub const CHANGES: u8 = 2;
    /// `drill`: nobody saw that a fault had its effect, so that nothing was shown.
    pub const INCONCLUSIVE: u8 = 3;
    /// Cancelled by ^C.
    pub const CANCELLED: u8 = 8;
    /// A gate refused or timed out.
    pub const REFUSED: u8 = 10;
    /// A node did not come back from its change and was put back to what it was.
    pub const PUT_BACK: u8 = 11;
    /// Another Octad holds the stack.
    pub const LOCKED: u8 = 12;
    /// The command line or the stack file is wrong, or consent is missing.
    pub const USAGE: u8 = 64;
    /// A defect of Octad itself.
    pub const DEFECT: u8 = 255;
}

/// A failure, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was tried and failed.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// The faults of the stack file, where it is that which can't be used.
    pub faults: Option<StackFaults>,
    /// What has changed by then, and what hasn't; empty where that goes without saying.
    pub effect: Vec<String>,
    /// The next command or step.
    pub hint: Option<String>,
    /// The exit code.
    pub code: u8,
}

/// How this process was called, so that commands to try next can be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program as it was written: `octad`, `target/release/octad`.
    pub program: String,
    /// The flags that name the stack, with a space before each; without them a command would be meant for another.
    pub flags: String,
}

impl Default for Invocation {
    fn default() -> Self {
        Self { program: "octad".into(), flags: String::new() }
    }
}

impl Invocation {
    /// A command, from its verb on.
    pub fn command(&self, words: &str) -> String {
        let flags = if words.contains("--stack") { "" } else { &self.flags };
        format!("{} {words}{flags}", self.program)
    }

    /// `text` with each `octad …` between backquotes as it would have to be written.
    pub(crate) fn in_text(&self, text: &str) -> String {
        let parts = text.split('`').enumerate().map(|(place, part)| match part.strip_prefix("octad ") {
            Some(words) if place % 2 == 1 => self.command(words),
            _ => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("`")
    }
}
