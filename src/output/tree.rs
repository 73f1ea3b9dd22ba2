//! Events as a live tree on a terminal: what is done scrolls by, what is under way stays at the bottom.

use super::plain::finished;
use super::push::{UnderWay, under_way};
use super::{Progress, Style, for_terminal};
use crate::engine::{Event, StepAction};
use crate::nix::Sent;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often spinners turn.
const TICK: Duration = Duration::from_millis(100);

/// Under which name the bar is kept of a push to all hosts; no host is named so.
const ALL_HOSTS: &str = "";

pub(super) struct Tree {
    style: Style,
    all: MultiProgress,
    steps: BTreeMap<usize, ProgressBar>,
    /// Members that a step waits for, below it.
    members: BTreeMap<(usize, String), ProgressBar>,
    work: BTreeMap<String, ProgressBar>,
    push: UnderWay,
    overall: Option<ProgressBar>,
}

impl Tree {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            all: MultiProgress::new(),
            steps: BTreeMap::new(),
            members: BTreeMap::new(),
            work: BTreeMap::new(),
            push: UnderWay::default(),
            overall: None,
        }
    }

    fn say(&self, line: &str) {
        let _ = self.all.println(for_terminal(line));
    }

    fn add(&self, bar: ProgressBar, template: &str) -> ProgressBar {
        // What sums up stays the last.
        let bar = match self.work.get(ALL_HOSTS).or(self.overall.as_ref()) {
            Some(overall) => self.all.insert_before(overall, bar),
            None => self.all.add(bar),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        bar
    }
}

impl Progress for Tree {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { verb, stack, steps, phase, phases } => {
                if let Some(before) = self.overall.take() {
                    before.finish_and_clear();
                }
                let bar = self.all.add(ProgressBar::new(*steps as u64));
                if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {elapsed:>4}")
                {
                    bar.set_style(style);
                }
                let phase = if *phases > 1 { format!(", phase {phase} of {phases}") } else { String::new() };
                bar.set_prefix(for_terminal(&format!("{verb} {stack}{phase}")));
                bar.enable_steady_tick(TICK);
                self.overall = Some(bar);
            }
            Event::Progress { what, done, total } => {
                let bar = match self.work.get(what) {
                    Some(bar) => bar.clone(),
                    None => {
                        let template = if *total == 0 {
                            "{spinner} {msg}"
                        } else {
                            "{spinner} {msg} {bar:24} {pos}/{len}"
                        };
                        let bar = self.add(ProgressBar::new(*total), template);
                        bar.set_message(for_terminal(what));
                        self.work.insert(what.clone(), bar.clone());
                        bar
                    }
                };
                bar.set_position(*done);
                if *total > 0 && done >= total {
                    bar.finish_and_clear();
                }
            }
            Event::Pushed { host, paths, of_paths, bytes, of_bytes } => {
                let sent = Sent { paths: *paths, of_paths: *of_paths, bytes: *bytes, of_bytes: *of_bytes };
                for (number, (to, sent)) in self.push.note(host, sent).into_iter().enumerate() {
                    let name = if number == 0 { to.clone() } else { ALL_HOSTS.to_owned() };
                    let bar = match self.work.get(&name) {
                        Some(bar) => bar.clone(),
                        None => {
                            let bar = self.add(ProgressBar::new(sent.of_bytes), "{bar:24} {msg}");
                            self.work.insert(name, bar.clone());
                            bar
                        }
                    };
                    bar.set_length(sent.of_bytes);
                    bar.set_position(sent.bytes);
                    bar.set_message(for_terminal(&under_way(&to, sent)));
                }
            }
            Event::StepStarted { step, action, subject, .. } => {
                // What was prepared for the steps is done once the first of them begins.
                for bar in std::mem::take(&mut self.work).into_values() {
                    bar.finish_and_clear();
                }
                let sign = match *action {
                    StepAction::Create => self.style.good("+"),
                    StepAction::Start => self.style.good("▸"),
                    StepAction::Gate => self.style.dim("…"),
                    StepAction::Renew => self.style.changing("±"),
                    StepAction::Delete | StepAction::Discard => self.style.bad("-"),
                    StepAction::Update | StepAction::Roll | StepAction::Confirm | StepAction::Stop => {
                        self.style.changing("~")
                    }
                };
                let bar = self.add(ProgressBar::new_spinner(), "{prefix} {wide_msg}");
                bar.set_prefix(for_terminal(&format!("{sign} {subject}")));
                bar.set_message(for_terminal(&self.style.dim(&format!("{action}…"))));
                self.steps.insert(*step, bar);
            }
            Event::StepMessage { step, message } => {
                if let Some(bar) = self.steps.get(step) {
                    bar.set_message(for_terminal(&self.style.dim(message)));
                }
            }
            Event::StepMember { step, member, up, note, millis } => {
                let place = (*step, member.clone());
                if *up {
                    if let Some(bar) = self.members.remove(&place) {
                        bar.finish_and_clear();
                        let time = format!("({:.1} s)", *millis as f64 / 1000.0);
                        self.say(&format!(
                            "  {} {member} {note} {}",
                            self.style.good("✓"),
                            self.style.dim(&time)
                        ));
                    }
                } else {
                    let bar = match self.members.get(&place) {
                        Some(bar) => bar.clone(),
                        None => self.add(ProgressBar::new_spinner(), "  {spinner} {prefix} {wide_msg}"),
                    };
                    bar.set_prefix(for_terminal(member));
                    bar.set_message(for_terminal(&self.style.dim(note)));
                    self.members.insert(place, bar);
                }
            }
            Event::StepFinished { step, action, subject, millis, error } => {
                let waited: Vec<_> = self.members.keys().filter(|(s, _)| s == step).cloned().collect();
                for place in waited {
                    if let Some(bar) = self.members.remove(&place) {
                        bar.finish_and_clear();
                    }
                }
                if let Some(bar) = self.steps.remove(step) {
                    bar.finish_and_clear();
                }
                self.say(&finished(self.style, *action, subject, *millis, error.as_deref()));
                if let Some(overall) = &self.overall {
                    overall.inc(1);
                }
            }
            Event::Notice { message } => self.say(&format!("{} {message}", self.style.hint("note:"))),
            Event::Finished { millis, ok } => {
                self.finish();
                let word = if *ok { "done" } else { "ended" };
                self.say(&self.style.dim(&format!("{word} after {:.1} s", *millis as f64 / 1000.0)));
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.all.suspend(|| eprint!("{}", for_terminal(text)));
    }

    fn finish(&mut self) {
        let bars = std::mem::take(&mut self.steps).into_values();
        let work = std::mem::take(&mut self.work).into_values();
        let members = std::mem::take(&mut self.members).into_values();
        for bar in bars.chain(members).chain(work).chain(self.overall.take()) {
            bar.finish_and_clear();
        }
    }
}
