//! How things stand at a glance: each stack in a line, and what to do next. Pure.

use super::{StackStatus, Style};
use crate::model::counted;
use crate::report::Invocation;
use serde::Serialize;

/// All stacks of one place, and the commands to try next.
#[derive(Debug, Serialize)]
pub struct Overview {
    stacks: Vec<StackLine>,
    next: Vec<Suggestion>,
}

#[derive(Debug, Serialize)]
struct StackLine {
    stack: String,
    nodes: usize,
    condition: Condition,
    /// Why it isn't well; empty where it is.
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Condition {
    Healthy,
    Stopped,
    CutOff,
    Unhealthy,
}

#[derive(Debug, Serialize)]
struct Suggestion {
    command: String,
    does: &'static str,
}

impl Overview {
    /// No stack so far; `invocation` puts the commands for the one that is meant where none is named.
    pub fn new(invocation: &Invocation) -> Self {
        let mut overview = Self { stacks: Vec::new(), next: Vec::new() };
        overview.suggest(invocation, "preview", "what `up` would make");
        overview.suggest(invocation, "up", "make it");
        overview.suggest(&Invocation { flags: String::new(), ..invocation.clone() }, "--help", "all verbs");
        overview
    }

    /// Adds a stack. `cut_off`: a change of it began and didn't end; `there` puts the commands for it.
    pub fn add(&mut self, status: &StackStatus, cut_off: bool, there: &Invocation) {
        let runs = status.nodes.iter().any(|node| node.process == "running");
        let sick = status.groups.iter().find_map(|(name, group)| Some((name, group.reason.as_ref()?)));
        let condition = match (cut_off, runs, status.healthy) {
            (true, ..) => Condition::CutOff,
            (_, false, _) => Condition::Stopped,
            (_, _, true) => Condition::Healthy,
            (_, _, false) => Condition::Unhealthy,
        };
        let reason = match condition {
            Condition::Unhealthy => {
                sick.map(|(name, reason)| format!("{name}: {reason}")).unwrap_or_default()
            }
            Condition::CutOff => "an earlier change was cut off".into(),
            Condition::Healthy | Condition::Stopped => String::new(),
        };
        if self.stacks.is_empty() {
            self.next.clear();
        }
        let (verb, does) = match condition {
            Condition::Healthy => ("status", "every node, and who leads"),
            Condition::Stopped => ("up", "start it"),
            Condition::CutOff => ("up", "go on from there"),
            Condition::Unhealthy => ("status", "what is wrong with it"),
        };
        self.suggest(there, verb, does);
        self.stacks.push(StackLine {
            stack: status.stack.clone(),
            nodes: status.nodes.len(),
            condition,
            reason,
        });
    }

    fn suggest(&mut self, there: &Invocation, words: &str, does: &'static str) {
        self.next.push(Suggestion { command: there.command(words), does });
    }

    pub(super) fn text(&self, style: Style) -> String {
        let mut text = String::new();
        if self.stacks.is_empty() {
            text.push_str("No stack has been made here yet.\n");
        }
        let width = self.stacks.iter().map(|line| line.stack.len()).max().unwrap_or(0);
        for StackLine { stack, nodes, condition, reason } in &self.stacks {
            let (sign, word) = match condition {
                Condition::Healthy => (style.good("✓"), style.good("healthy")),
                Condition::Stopped => (style.dim("-"), "stopped".to_owned()),
                Condition::CutOff => (style.changing("~"), style.changing("unfinished")),
                Condition::Unhealthy => (style.bad("✗"), style.bad("not healthy")),
            };
            text.push_str(&format!("{sign} {stack:width$}  {}, {word}", counted(nodes, "node")));
            text.push_str(&if reason.is_empty() { "\n".to_owned() } else { format!(": {reason}\n") });
        }
        text.push_str("\nNext:\n");
        let width = self.next.iter().map(|next| next.command.len()).max().unwrap_or(0);
        for Suggestion { command, does } in &self.next {
            text.push_str(&format!("  {command:width$}  {}\n", style.dim(does)));
        }
        text
    }
}
