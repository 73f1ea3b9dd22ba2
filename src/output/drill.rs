//! What drills gave, for people, and which faults there are.

use super::Style;
use crate::drill::{Finding, Library, Medians, Trial, Verdict, all_faults};
use crate::host::Ability;
use comfy_table::{Cell, ColumnConstraint, Table, presets};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) use crate::drill::Report as Drills;

/// The faults, one a line, with what some want of the hosts.
pub(super) fn list(style: Style) -> String {
    let faults = all_faults();
    let width = faults.iter().map(|fault| fault.name().len()).max().unwrap_or(0);
    let line = |fault: &dyn crate::drill::Fault| {
        let name = style.strong(&format!("{:width$}", fault.name()));
        let needs = fault.needs().map(|ability| style.dim(&format!("; takes {}", ability.needs())));
        format!("{name}  {}{}\n", fault.about(), needs.unwrap_or_default())
    };
    faults.iter().map(|fault| line(fault.as_ref())).collect()
}

pub(super) fn list_document() -> Value {
    let faults = all_faults();
    let told = |fault: &dyn crate::drill::Fault| json!({ "fault": fault.name(), "about": fault.about(), "needs": fault.needs().map(Ability::needs) });
    faults.iter().map(|fault| told(fault.as_ref())).collect()
}

/// What stands above the columns.
const HEADER: [&str; 14] = [
    "",
    "FAULT",
    "INTERRUPTION",
    "OBJECTIVE",
    "STOCK",
    "IDLE",
    "MEDIAN",
    "ACKED",
    "LOST",
    "TWICE",
    "DISORDER",
    "UNKNOWN",
    "WHOLE AFTER",
    "CONSUMERS",
];

/// The column that is of use only where something is compared.
const STOCK: usize = 4;

/// The figures of each fault in a line, then what was missed and what should be known.
pub(super) fn table(report: &Drills, style: Style) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let shipped = |verdict: &Verdict| verdict.as_shipped.keys().copied().collect::<BTreeSet<_>>();
    let libraries: BTreeSet<Library> = report.faults.iter().flat_map(shipped).collect();
    let names = libraries.iter().map(|library| format!("{library} AS SHIPPED").to_uppercase());
    table.set_header(HEADER.into_iter().map(str::to_owned).chain(names));
    for verdict in &report.faults {
        let shipped = libraries.iter().map(|library| {
            let seen = verdict.as_shipped.get(library);
            let told = |seen: &Medians| {
                format!("{} (idle {})", seconds(seen.interruption_ms), seconds(seen.idle_ms))
            };
            Cell::new(seen.map_or("-".to_owned(), told))
        });
        table.add_row(row(verdict).into_iter().chain(shipped));
    }
    let compared = report.faults.iter().any(|verdict| verdict.stock.is_some());
    if let Some(column) = table.column_mut(STOCK).filter(|_| !compared) {
        column.set_constraint(ColumnConstraint::Hidden);
    }
    // A table takes colours for width.
    let painted = |line: String| match line.trim_start().chars().next() {
        Some(PASSED) => line.replacen(PASSED, &style.good("✓"), 1),
        Some(INCONCLUSIVE) => line.replacen(INCONCLUSIVE, &style.strong("?"), 1),
        Some(FAILED) => line.replacen(FAILED, &style.bad("✗"), 1),
        _ => line,
    };
    let lines: Vec<_> = table.lines().map(|line| painted(line.trim_end().to_owned())).collect();
    let mut out = lines.join("\n") + "\n";
    for verdict in &report.faults {
        for missed in &verdict.missed {
            out.push_str(&format!("\n{} {}: {missed}", style.bad("✗"), verdict.fault));
        }
        for unseen in &verdict.unseen {
            out.push_str(&format!("\n{} {}: {unseen}", style.strong("?"), verdict.fault));
        }
    }
    for skipped in &report.skipped {
        out.push_str(&format!(
            "\n{}",
            style.dim(&format!("- {}: skipped, {}", skipped.fault, skipped.reason))
        ));
    }
    for verdict in &report.faults {
        if let Some(trial) = verdict.typical() {
            out.push_str(&format!("\n{}", style.dim(&format!("{}: {}", verdict.fault, phases(trial)))));
        }
    }
    if let Some(reason) = report.faults.iter().find_map(Verdict::unconfirmed) {
        let told = format!("no second client has confirmed what is in the log: {reason}");
        out.push_str(&format!("\n{}", style.strong(&told)));
    }
    for verdict in &report.faults {
        if let Some(caveat) = &verdict.caveat {
            out.push_str(&format!("\n{}", style.dim(&format!("{}: {caveat}", verdict.fault))));
        }
    }
    out
}

/// The signs of the findings.
const PASSED: char = '✓';
const INCONCLUSIVE: char = '?';
const FAILED: char = '✗';

fn row(verdict: &Verdict) -> Vec<Cell> {
    let worst = |figure: fn(&crate::drill::Trial) -> Option<u64>| {
        let figures = verdict.trials.iter().map(figure).collect::<Option<Vec<_>>>();
        figures.and_then(|figures| figures.into_iter().max()).map_or("-".to_owned(), seconds)
    };
    let account = &verdict.account;
    let sign = match verdict.finding {
        Finding::Passed => PASSED,
        Finding::Inconclusive => INCONCLUSIVE,
        Finding::Failed => FAILED,
    };
    let stock = match (&verdict.stock, verdict.ratio()) {
        (Some(stock), Some(ratio)) => format!("{} (×{ratio:.1})", seconds(stock.interruption_ms)),
        _ => "-".to_owned(),
    };
    let median = verdict.trials.iter().map(|trial| trial.interruption.median_ms).max().unwrap_or(0);
    vec![
        Cell::new(sign),
        Cell::new(&verdict.fault),
        Cell::new(seconds(verdict.interruption_ms)),
        Cell::new(format!("≤ {}", seconds(verdict.objective_ms))),
        Cell::new(stock),
        Cell::new(seconds(verdict.idle_ms)),
        Cell::new(seconds(median)),
        Cell::new(account.acked),
        Cell::new(account.lost),
        Cell::new(account.duplicates),
        Cell::new(account.reorders),
        Cell::new(account.unknown),
        Cell::new(worst(|trial| trial.replication.whole_after_ms)),
        Cell::new(worst(|trial| Some(trial.consumers.pause.max_ms))),
    ]
}

/// What the interruption of the worst partition is made of.
fn phases(trial: &Trial) -> String {
    let parts = [
        (trial.phases.detection_ms, "until noticed"),
        (trial.phases.election_ms, "until elected"),
        (Some(trial.phases.client_ms), "until the client was there"),
    ];
    let parts = parts.iter().filter_map(|(length, what)| Some(format!("{} {what}", seconds((*length)?))));
    let whole = seconds(trial.interruption.max_ms);
    format!("{whole} of the worst partition: {}", parts.collect::<Vec<_>>().join(", "))
}

/// Milliseconds as seconds, as exact as they can be told apart.
fn seconds(millis: u64) -> String {
    let seconds = std::time::Duration::from_millis(millis).as_secs_f64();
    if millis < 10_000 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Confirmation, Objective, Skipped, report, trial};
    use std::time::Duration;

    #[test]
    fn figures_stand_in_a_line_and_misses_below() {
        let mut report = report();
        let mut lossy = trial(12_345);
        lossy.account.lost = 7;
        let objective = Objective::within(Duration::from_millis(800));
        let caveat = Some("it was bound to happen");
        report.faults.push(Verdict::of("controller-crash", "", caveat, objective, vec![lossy]));
        report.skipped.push(Skipped { fault: "cut-off".into(), reason: "there is one network".into() });
        insta::assert_snapshot!(table(&report, Style::plain()), @"
            FAULT             INTERRUPTION  OBJECTIVE  IDLE    MEDIAN  ACKED  LOST  TWICE  DISORDER  UNKNOWN  WHOLE AFTER  CONSUMERS
         ✓  broker-crash      0.28 s        ≤ 0.30 s   0.03 s  0.03 s  100    0     0      0         0        8.00 s       0.00 s
         ✗  controller-crash  12.3 s        ≤ 0.80 s   0.03 s  0.03 s  100    7     0      0         0        8.00 s       0.00 s

        ✗ controller-crash: the worst partition took no record for 12345 ms, the objective is 800 ms
        ✗ controller-crash: records acknowledged and lost: 7
        - cut-off: skipped, there is one network
        broker-crash: 0.28 s of the worst partition: 0.02 s until noticed, 0.06 s until elected, 0.20 s until the client was there
        controller-crash: 12.3 s of the worst partition: 0.02 s until noticed, 0.06 s until elected, 12.3 s until the client was there
        controller-crash: it was bound to happen
        ");
        report.faults.remove(1);
        let mut blind = trial(20);
        blind.evidence[0].seen_after_ms = None;
        report.faults.push(Verdict::of("broker-stop", "", None, objective, vec![blind]));
        report.skipped.clear();
        insta::assert_snapshot!(table(&report, Style::plain()), @"
            FAULT         INTERRUPTION  OBJECTIVE  IDLE    MEDIAN  ACKED  LOST  TWICE  DISORDER  UNKNOWN  WHOLE AFTER  CONSUMERS
         ✓  broker-crash  0.28 s        ≤ 0.30 s   0.03 s  0.03 s  100    0     0      0         0        8.00 s       0.00 s
         ?  broker-stop   0.02 s        ≤ 0.80 s   0.03 s  0.03 s  100    0     0      0         0        8.00 s       0.00 s

        ? broker-stop: not seen: ZooKeeper ended the registration of broker-1
        broker-crash: 0.28 s of the worst partition: 0.02 s until noticed, 0.06 s until elected, 0.20 s until the client was there
        broker-stop: 0.02 s of the worst partition: 0.02 s until noticed, 0.06 s until elected, 0.00 s until the client was there
        ");
        let stock = Verdict::of("broker-crash", "", None, objective, vec![trial(18_200)]);
        let mut ours = report.faults.remove(0).beside(stock);
        ours.as_shipped.insert(Library::Java, Medians { interruption_ms: 910, idle_ms: 20 });
        ours.trials[0].confirmation = Confirmation::Nobody { reason: "there is no Java".into() };
        report.faults = vec![ours];
        insta::assert_snapshot!(table(&report, Style::plain()), @"
            FAULT         INTERRUPTION  OBJECTIVE  STOCK           IDLE    MEDIAN  ACKED  LOST  TWICE  DISORDER  UNKNOWN  WHOLE AFTER  CONSUMERS  JAVA AS SHIPPED
         ✓  broker-crash  0.28 s        ≤ 0.30 s   18.2 s (×65.0)  0.03 s  0.03 s  100    0     0      0         0        8.00 s       0.00 s     0.91 s (idle 0.02 s)

        broker-crash: 0.28 s of the worst partition: 0.02 s until noticed, 0.06 s until elected, 0.20 s until the client was there
        no second client has confirmed what is in the log: there is no Java
        ");
    }
}
