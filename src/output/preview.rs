//! A plan as text: what changes, why, in which order, and what it means for those who use the stack.

use super::Style;
use crate::engine::{Action, Change, GroupRoll, Plan, Step, refusals};
use crate::model::{Key, PropertyChange, counted};
use crate::role::{Absence, InSync};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How many resources there are of each sort of change, by what is said of them.
type Counts = BTreeMap<&'static str, usize>;

/// The preview of a plan, and of those that are foreseen to follow it.
pub(super) fn text<S>(plan: &Plan<S>, later: &[Plan], style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "Preview of the stack {}\n", style.strong(&plan.stack));
    let mut counts = Counts::new();
    let of = later.len() + 1;
    if of > 1 {
        let _ = writeln!(out, "  {}", style.strong(&format!("phase 1 of {of}")));
    }
    changes(&mut out, &mut counts, plan, style);
    for (number, phase) in (2..).zip(later) {
        let head = format!("phase {number} of {of}, looked at again before it begins");
        let _ = writeln!(out, "  {}", style.strong(&head));
        changes(&mut out, &mut counts, phase, style);
    }
    untouched(&mut out, plan, style);
    for refusal in refusals(plan, later) {
        let _ = writeln!(out, "  {} {}  {}", style.bad("✗"), refusal.key, refusal.reason);
        let _ = writeln!(out, "      {} {}", style.hint("hint:"), refusal.hint);
    }
    let mut summary: Vec<String> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    let refused = refusals(plan, later).count();
    if refused > 0 {
        summary.push(style.bad(&format!("{refused} refused")));
    }
    if plan.same > 0 && later.is_empty() {
        summary.push(format!("{} unchanged", plan.same));
    }
    if !plan.left_out.is_empty() {
        summary.push(outside(plan.left_out.len()));
    }
    if plan.is_empty() {
        summary.insert(0, "nothing to change".into());
    }
    if !plan.is_empty() || !plan.left_alone.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary.join(", "));
    out
}

/// What one plan changes.
fn changes<S>(out: &mut String, counts: &mut Counts, plan: &Plan<S>, style: Style) {
    for (to, from) in &plan.moves {
        *counts.entry("to move").or_default() += 1;
        let what = format!("→ {}", to.name);
        line(out, &style.changing("↷"), from, &what, "keeps all that it holds", style);
    }
    for step in &plan.steps {
        match &step.action {
            Action::Create { key, what, .. } => {
                *counts.entry("to create").or_default() += 1;
                line(out, &style.good("+"), key, what, &step.reason, style);
                told(out, plan.told.get(key), style);
            }
            Action::Renew(change) => {
                *counts.entry("to make anew").or_default() += 1;
                let what = "is made anew beside the one that there is";
                line(out, &style.changing("±"), &change.key, what, &step.reason, style);
                properties(out, &change.changes, style);
            }
            Action::Update(change) => {
                let (count, sign) = match change.changes.is_empty() {
                    true => ("to start", style.good("▸")),
                    false => ("to change", style.changing("~")),
                };
                *counts.entry(count).or_default() += 1;
                line(out, &sign, &change.key, "", &step.reason, style);
                properties(out, &change.changes, style);
                told(out, plan.told.get(&change.key), style);
            }
            Action::Delete { key, loses, .. } => {
                *counts.entry("to delete").or_default() += 1;
                let loses = if loses.is_empty() { String::new() } else { format!("loses {loses}") };
                line(out, &style.bad("-"), key, &style.bad(&loses), &step.reason, style);
            }
            Action::Discard { key, .. } => {
                *counts.entry("to discard").or_default() += 1;
                let what = style.bad("the one before goes: all that lay on it has moved");
                line(out, &style.bad("-"), key, &what, &step.reason, style);
            }
            Action::Forget { key, with, loses } => {
                *counts.entry("to delete").or_default() += 1;
                let loses = if loses.is_empty() { String::new() } else { format!(", loses {loses}") };
                let how = match with {
                    Some(group) => format!("goes with {group}{loses}"),
                    None => "is gone already".into(),
                };
                line(out, &style.bad("-"), key, &style.bad(&how), "", style);
            }
            Action::Roll { members, .. } => {
                *counts.entry("to restart").or_default() += members.len();
                roll(out, step, style);
            }
            Action::RollHosts { .. } => {
                *counts.entry("to restart").or_default() += step.action.restarts().count();
                roll_hosts(out, step, style);
            }
            Action::Confirm { key, .. } => {
                *counts.entry("to confirm").or_default() += 1;
                let what = "its change is kept once what it runs is well, else taken back";
                line(out, &style.changing("?"), key, what, &step.reason, style);
            }
            Action::Gate { group } if !step.reason.is_empty() => {
                let _ = writeln!(out, "  {} {group} {}", style.changing("…"), step.reason);
            }
            Action::Gate { .. } => {}
        }
    }
    for loss in &plan.losses {
        let _ = writeln!(out, "  {} {}  {}", style.bad("!"), loss.of, style.bad(&loss.what));
    }
    for (key, left) in &plan.left_alone {
        for what in left {
            let _ = writeln!(out, "  {} {key}  {what}", style.dim("·"));
        }
    }
}

fn told(out: &mut String, what: Option<&String>, style: Style) {
    if let Some(what) = what {
        let _ = writeln!(out, "      {}", style.dim(what));
    }
}

/// What is to be told of resources with which nothing is done; what several have in common once.
fn untouched<S>(out: &mut String, plan: &Plan<S>, style: Style) {
    let touched: BTreeSet<&Key> = plan.steps.iter().filter_map(|step| step.action.key()).collect();
    let mut alike: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (key, what) in plan.told.iter().filter(|(key, _)| !touched.contains(key)) {
        alike.entry((what, &key.kind)).or_default().push(&key.name);
    }
    for ((what, kind), names) in alike {
        let verb = if names.len() == 1 { "" } else { ", each" };
        let shown = names.iter().copied().take(TOLD_BY_NAME).collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(TOLD_BY_NAME) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(out, "  {} {kind} {shown}{more}{verb} {what}", style.changing("…"));
    }
}

/// How many of several that are alike are told by name.
const TOLD_BY_NAME: usize = 3;

/// How many changes the selection leaves out.
pub(super) fn outside(left_out: usize) -> String {
    match left_out {
        1 => "1 more change is outside the target".into(),
        n => format!("{n} more changes are outside the target"),
    }
}

/// What is left while one of a roll's members is away: the worst over all of them.
fn absence(absences: &BTreeMap<String, Absence>) -> Option<String> {
    let one = absences.len() == 1;
    let count = |n: usize| format!("{}{}", if one { "" } else { "up to " }, counted(n, "partition"));
    let mut told = BTreeSet::new();
    let mut led = 0;
    let mut in_sync: BTreeMap<(usize, usize, u32), usize> = BTreeMap::new();
    for absence in absences.values() {
        match absence {
            Absence::Interruption => drop(told.insert("nobody else serves, and clients wait".to_owned())),
            Absence::Quorum { left, size, needed } => {
                let holds = if left >= needed { "the quorum holds" } else { "the quorum is lost" };
                told.insert(format!("{left} of {size} serve, {needed} are needed: {holds}"));
            }
            Absence::Replicas { leads, in_sync: alike } => {
                led = led.max(*leads);
                for InSync { before, meanwhile, min_insync, partitions } in alike {
                    let most = in_sync.entry((*before, *meanwhile, *min_insync)).or_default();
                    *most = (*most).max(*partitions);
                }
            }
        }
    }
    let mut told: Vec<String> = told.into_iter().collect();
    for ((before, meanwhile, min_insync), partitions) in &in_sync {
        let verdict = if *meanwhile < *min_insync as usize { "falls short" } else { "holds" };
        told.push(format!(
            "{} from {before} to {meanwhile} in sync, min.insync.replicas={min_insync} {verdict}",
            count(*partitions)
        ));
    }
    if led > 0 {
        told.push(format!("{} led by another", count(led)));
    }
    let who = if one { "it" } else { "one" };
    if told.is_empty() { None } else { Some(format!("while {who} restarts: {}", told.join("; "))) }
}

fn line(out: &mut String, sign: &str, key: &Key, what: &str, reason: &str, style: Style) {
    let mut text = format!("  {sign} {:<5} {:<12}", key.kind, key.name);
    if !what.is_empty() {
        let _ = write!(text, " {what}");
    }
    if !reason.is_empty() {
        let _ = write!(text, " {}", style.dim(&format!("({reason})")));
    }
    let _ = writeln!(out, "{}", text.trim_end());
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.trim_end().contains('\n') => text.clone(),
        Value::String(text) => counted(text.lines().count(), "line"),
        Value::Object(fields) if fields.contains_key("$ref") || fields.contains_key("$format") => {
            "(known after up)".into()
        }
        other => other.to_string(),
    }
}

fn changed(change: &PropertyChange, style: Style) -> String {
    if let (Some(Value::String(before)), Some(Value::String(after))) = (&change.before, &change.after)
        && [before, after].iter().any(|text| text.trim_end().contains('\n'))
    {
        let diff = TextDiff::from_lines(before, after);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
        let (removed, added) = (count(ChangeTag::Delete), count(ChangeTag::Insert));
        return format!(
            "{}: {} of its lines, {} (`preview --diff` shows them)",
            change.path,
            style.bad(&format!("-{removed}")),
            style.good(&format!("+{added}"))
        );
    }
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "(none)".to_owned(), plain);
    format!("{}: {} → {}", change.path, style.bad(&side(&change.before)), style.good(&side(&change.after)))
}

pub(super) fn properties(out: &mut String, changes: &[PropertyChange], style: Style) {
    for change in changes {
        let _ = writeln!(out, "      {}", changed(change, style));
    }
}

fn roll(out: &mut String, step: &Step, style: Style) {
    let Action::Roll { group, members, predicted, absences, interrupts } = &step.action else { return };
    let _ = writeln!(
        out,
        "  {} roll  {group:<12} {} restart one at a time: {}",
        style.changing("~"),
        members.len(),
        predicted.join(", ")
    );
    if !step.reason.is_empty() {
        let _ = writeln!(out, "      {}", style.changing(&step.reason));
    }
    restarts(out, members, absences, interrupts, style);
    let _ = writeln!(
        out,
        "      {}",
        style.dim(
            "each turn waits until the whole group is healthy again; the order follows the leader as it moves"
        )
    );
}

/// Hosts that are changed as a whole, with what is restarted there.
fn roll_hosts(out: &mut String, step: &Step, style: Style) {
    let Action::RollHosts { groups, hosts, predicted } = &step.action else { return };
    let changed = |key: &&Key| groups.values().any(|group| group.members.contains_key(&key.name));
    let told = |name: &String| match hosts.iter().find(|(host, _)| host.name == *name) {
        Some((_, members)) => {
            let names: Vec<&str> = members.values().filter(changed).map(|key| key.name.as_str()).collect();
            format!("{name} ({})", names.join(", "))
        }
        None => name.clone(),
    };
    let _ = writeln!(
        out,
        "  {} {}: {}",
        style.changing("~"),
        match hosts.len() {
            1 => "1 host changes as a whole".to_owned(),
            n => format!("{n} hosts change as a whole, one at a time"),
        },
        predicted.iter().map(told).collect::<Vec<_>>().join(", ")
    );
    if !step.reason.is_empty() {
        let _ = writeln!(out, "      {}", style.changing(&step.reason));
    }
    for (name, GroupRoll { members, absences, interrupts }) in groups {
        if members.is_empty() {
            let _ = writeln!(out, "    {name} is asked: it has a member there");
            may_interrupt(out, interrupts, style);
            continue;
        }
        let _ = writeln!(out, "    {name}");
        restarts(out, members, absences, interrupts, style);
    }
    let _ = writeln!(
        out,
        "      {}",
        style.dim("each turn waits until every group there says that its member may go, and is kept once all are healthy")
    );
}

/// What is changed of members of a group, and what that means for those who use it.
fn restarts(
    out: &mut String,
    members: &BTreeMap<String, Change>,
    absences: &BTreeMap<String, Absence>,
    interrupts: &BTreeSet<String>,
    style: Style,
) {
    // What all have in common is told once.
    let mut told: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, change) in members {
        for property in &change.changes {
            told.entry(changed(property, style)).or_default().push(name);
        }
        if !change.reason.is_empty() {
            told.entry(change.reason.clone()).or_default().push(name);
        }
    }
    for (what, who) in told {
        if who.len() == members.len() {
            let _ = writeln!(out, "      {what}");
        } else {
            let _ = writeln!(out, "      {what} {}", style.dim(&format!("({})", who.join(", "))));
        }
    }
    if let Some(absence) = absence(absences) {
        let _ = writeln!(out, "      {absence}");
    }
    may_interrupt(out, interrupts, style);
}

fn may_interrupt(out: &mut String, interrupts: &BTreeSet<String>, style: Style) {
    if !interrupts.is_empty() {
        let names: Vec<&str> = interrupts.iter().map(String::as_str).collect();
        let told = format!(
            "interrupted with your consent, while a member that holds it restarts: {}",
            names.join(", ")
        );
        let _ = writeln!(out, "      {}", style.bad(&told));
    }
}
