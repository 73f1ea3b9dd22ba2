//! Events as plain lines, for pipes and logs.

use super::push::{UnderWay, under_way};
use super::{Progress, Style, for_pipe};
use crate::engine::{Event, StepAction};
use crate::nix::Sent;
use std::collections::BTreeMap;
use std::io::Write as _;

pub(super) struct Plain {
    style: Style,
    /// What long work was last told of, in tenths: a pipe needs no more.
    told: Option<(String, u64)>,
    push: UnderWay,
    /// What was last told of that, in tenths, of each host and of all.
    pushed: BTreeMap<String, u64>,
}

impl Plain {
    pub(super) fn new(style: Style) -> Self {
        Self { style, told: None, push: UnderWay::default(), pushed: BTreeMap::new() }
    }
}

/// What a step did, in the past tense, with its sign.
pub(super) fn finished(
    style: Style,
    action: StepAction,
    subject: &str,
    millis: u64,
    error: Option<&str>,
) -> String {
    let time = format!("({:.1} s)", millis as f64 / 1000.0);
    if let Some(error) = error {
        return format!("{} {subject} {}: {error}", style.bad("✗"), style.bad("failed"));
    }
    let (sign, done) = match action {
        StepAction::Create => (style.good("+"), "created"),
        StepAction::Renew => (style.changing("±"), "made anew"),
        StepAction::Start => (style.good("▸"), "started"),
        StepAction::Update => (style.changing("~"), "updated"),
        StepAction::Delete => (style.bad("-"), "deleted"),
        StepAction::Discard => (style.bad("-"), "rid of what it took the place of"),
        StepAction::Roll => (style.changing("~"), "rolled"),
        StepAction::Confirm => (style.good("✓"), "confirmed"),
        StepAction::Stop => (style.changing("~"), "stopped"),
        StepAction::Gate => (style.good("✓"), "healthy"),
    };
    format!("{sign} {subject} {done} {}", style.dim(&time))
}

impl Progress for Plain {
    fn event(&mut self, event: &Event) {
        let line = match event {
            // What is still missing is told by the message that comes with it.
            Event::Started { phase, phases, .. } if *phases > 1 => format!("phase {phase} of {phases}"),
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
            Event::Pushed { of_paths: 0, .. } => return,
            Event::Pushed { host, paths, of_paths, bytes, of_bytes } => {
                let sent = Sent { paths: *paths, of_paths: *of_paths, bytes: *bytes, of_bytes: *of_bytes };
                let is_news = |(to, sent): &(String, Sent)| {
                    let tenth = (sent.bytes * 10).checked_div(sent.of_bytes).unwrap_or(10);
                    self.pushed.insert(to.clone(), tenth) != Some(tenth)
                };
                let news = self.push.note(host, sent).into_iter().filter(is_news);
                let lines: Vec<_> = news.map(|(to, sent)| format!("  {}", under_way(&to, sent))).collect();
                if lines.is_empty() {
                    return;
                }
                lines.join("\n")
            }
            Event::StepMessage { message, .. } => format!("  {message}"),
            Event::StepFinished { action, subject, millis, error, .. } => {
                finished(self.style, *action, subject, *millis, error.as_deref())
            }
            Event::Notice { message } => format!("{} {message}", self.style.hint("note:")),
            Event::Finished { millis, ok } => {
                format!("{} after {:.1} s", if *ok { "done" } else { "ended" }, *millis as f64 / 1000.0)
            }
        };
        let _ = writeln!(std::io::stderr().lock(), "{}", for_pipe(&line));
    }

    fn text(&mut self, text: &str) {
        let _ = write!(std::io::stderr().lock(), "{}", for_pipe(text));
    }
}
