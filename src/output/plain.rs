//! Events as plain lines, for pipes and logs.

use super::{Progress, Style};
use crate::engine::Event;
use std::io::Write as _;

pub(super) struct Plain {
    style: Style,
    /// What long work was last told of, in tenths: a pipe needs no more.
    told: Option<(String, u64)>,
}

impl Plain {
    pub(super) fn new(style: Style) -> Self {
        Self { style, told: None }
    }
}

/// What a step did, in the past tense, with its sign.
pub(super) fn finished(
    style: Style,
    action: &str,
    subject: &str,
    millis: u64,
    error: Option<&str>,
) -> String {
    let time = format!("({:.1} s)", millis as f64 / 1000.0);
    if let Some(error) = error {
        return format!("{} {subject} {}: {error}", style.bad("✗"), style.bad("failed"));
    }
    let (sign, done) = match action {
        "create" => (style.good("+"), "created"),
        "start" => (style.good("▸"), "started"),
        "update" => (style.changing("~"), "updated"),
        "delete" => (style.bad("-"), "deleted"),
        "roll" => (style.changing("~"), "rolled"),
        "stop" => (style.changing("~"), "stopped"),
        "gate" => (style.good("✓"), "healthy"),
        other => (" ".to_owned(), other),
    };
    format!("{sign} {subject} {done} {}", style.dim(&time))
}

impl Progress for Plain {
    fn event(&mut self, event: &Event) {
        let line = match event {
            // What is still missing is told by the message that comes with it.
            Event::Started { .. } | Event::StepStarted { .. } | Event::StepMember { .. } => return,
            Event::Progress { what, done, total } => {
                let tenth = (done * 10).checked_div(*total).unwrap_or(0);
                let now = Some((what.clone(), tenth));
                if self.told == now {
                    return;
                }
                self.told = now;
                if *total == 0 { format!("  {what}") } else { format!("  {what}: {done} of {total}") }
            }
            Event::StepMessage { message, .. } => format!("  {message}"),
            Event::StepFinished { action, subject, millis, error, .. } => {
                finished(self.style, action, subject, *millis, error.as_deref())
            }
            Event::Notice { message } => format!("{} {message}", self.style.hint("note:")),
            Event::Finished { millis, ok } => {
                format!("{} after {:.1} s", if *ok { "done" } else { "ended" }, *millis as f64 / 1000.0)
            }
        };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn text(&mut self, text: &str) {
        let _ = write!(std::io::stderr().lock(), "{text}");
    }
}
