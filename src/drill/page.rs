//! A report as one page of HTML: no script, nothing fetched. Pure.
//!
//! First all faults on one scale, then each run as a timeline: a row for each partition, whose bar has the colour of the
//! broker that leads it and is missing where no record was acknowledged. What a mouse rests on says what it is.

mod timeline;

use super::report::{Report, Skipped};
use super::trial::Trial;
use super::verdict::{Finding, Verdict};
use std::fmt::Write as _;
use std::time::Duration;
use timeline::picture;

/// Pixels of a picture, and of the column before it.
const WIDTH: f64 = 1100.0;
const HEAD: f64 = 46.0;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2430; --dim: #667085; --line: #d8dde5; --back: #fff; --row: #f1f3f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf0; --dim: #98a2b3; --line: #39414e; --back: #14181f; --row: #202631; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 1140px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { margin: 2.5rem 0 .2rem; } h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
p { margin: .2rem 0; } .dim { color: var(--dim); } .good { color: #1a7f37; } .bad { color: #d1242f; }
.unsure { color: #9a6700; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .6rem 1rem; margin: .8rem 0; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .dim { fill: var(--dim); } svg .grid { stroke: var(--line); } svg .row { fill: var(--row); }
svg .pause { fill: #d1242f; fill-opacity: .22; stroke: #d1242f; } svg .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
svg .lack { fill: #e0a100; } svg .breach { fill: #d1242f; }
";

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let title = format!("Drills of the stack {}", report.stack);
    let software: Vec<_> =
        report.software.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p class=\"dim\">{} · octad {} · {} · {} processors, \
         {} MiB, Linux {} · settings {} · seed {} · {} records a second to each partition</p>\n",
        escaped(&report.at),
        escaped(&report.octad),
        escaped(&software.join(", ")),
        report.machine.cpus,
        report.machine.memory_mib,
        escaped(&report.machine.kernel),
        escaped(&report.settings),
        report.seed,
        report.rate,
    );
    out.push_str(&overview(&report.faults));
    for verdict in &report.faults {
        out.push_str(&section(verdict));
    }
    out.push_str(&skipped(&report.skipped));
    out.push_str("</body></html>\n");
    out
}

/// What these hosts can't have.
fn skipped(all: &[Skipped]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let line = |one: &Skipped| format!("<li>{}: {}</li>", escaped(&one.fault), escaped(&one.reason));
    let lines: String = all.iter().map(line).collect();
    format!("<h2>Skipped</h2>\n<ul class=\"dim\">{lines}</ul>\n")
}

/// Every fault on one logarithmic scale: how long the worst partition waited, idle and in the fault, and how long it
/// may.
fn overview(faults: &[Verdict]) -> String {
    const FROM: f64 = 10.0;
    const TO: f64 = 100_000.0;
    let left = 220.0;
    let x = |millis: u64| {
        let millis = (millis as f64).clamp(FROM, TO);
        left + (WIDTH - left - 90.0) * (millis / FROM).ln() / (TO / FROM).ln()
    };
    let height = HEAD + faults.len() as f64 * 28.0;
    let mut svg = open(height, "The longest time without an acknowledgement, by fault");
    for (millis, name) in [(10, "10 ms"), (100, "100 ms"), (1000, "1 s"), (10_000, "10 s"), (60_000, "60 s")]
    {
        let at = x(millis);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.0}\" y2=\"{height:.0}\"/>\
             <text class=\"dim\" x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{name}</text>",
            HEAD - 12.0,
            HEAD - 18.0,
        );
    }
    for (place, verdict) in faults.iter().enumerate() {
        let y = HEAD + place as f64 * 28.0 + 8.0;
        let (sign, colour) = match verdict.finding {
            Finding::Passed => ("✓", "#1a7f37"),
            Finding::Inconclusive => ("?", "#9a6700"),
            Finding::Failed => ("✗", "#d1242f"),
        };
        let (idle, pause, objective) =
            (x(verdict.idle_ms), x(verdict.interruption_ms), x(verdict.objective_ms));
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{:.1}\"><tspan style=\"fill:{colour}\">{sign}</tspan> {}</text>\
             <line x1=\"{idle:.1}\" x2=\"{pause:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-width=\"6\" \
             stroke-linecap=\"round\"/>\
             <circle cx=\"{idle:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"var(--dim)\"><title>idle: {}</title></circle>\
             <circle cx=\"{pause:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"{colour}\"><title>in the fault: {}</title></circle>\
             <line x1=\"{objective:.1}\" x2=\"{objective:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"var(--ink)\" \
             stroke-width=\"2\"><title>objective: {}</title></line>\
             <text x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            y + 4.0,
            escaped(&verdict.fault),
            time(verdict.idle_ms),
            time(verdict.interruption_ms),
            y - 9.0,
            y + 9.0,
            time(verdict.objective_ms),
            y + 4.0,
            time(verdict.interruption_ms),
        );
    }
    for (place, verdict) in faults.iter().enumerate() {
        let (Some(stock), Some(ratio)) = (&verdict.stock, verdict.ratio()) else { continue };
        let y = HEAD + place as f64 * 28.0 + 8.0;
        let at = x(stock.interruption_ms);
        let _ = write!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"2\">\
             <title>with timeouts as shipped and no fence: {}, {ratio:.1} times as long</title></circle>",
            time(stock.interruption_ms),
        );
    }
    svg.push_str("</svg>\n");
    format!(
        "<h3>The longest time in which the worst partition took no record</h3>\n\
         <p class=\"dim\">Grey: just before, with nothing going wrong. Coloured: in the fault. Upright line: the objective. Ring: with \
         the timeouts of Kafka and ZooKeeper as shipped and no fence, where that was drilled too.</p>\n{svg}"
    )
}

fn section(verdict: &Verdict) -> String {
    let (class, word) = match verdict.finding {
        Finding::Passed => ("good", "✓ passed"),
        Finding::Inconclusive => ("unsure", "? inconclusive"),
        Finding::Failed => ("bad", "✗ missed"),
    };
    let mut out = format!(
        "<h2>{} <span class=\"{class}\">{word}</span></h2>\n<p>{}</p>\n",
        escaped(&verdict.fault),
        escaped(&verdict.about)
    );
    for missed in &verdict.missed {
        let _ = writeln!(out, "<p class=\"bad\">{}</p>", escaped(missed));
    }
    for unseen in &verdict.unseen {
        let _ = writeln!(out, "<p class=\"unsure\">{}</p>", escaped(unseen));
    }
    if let Some(caveat) = &verdict.caveat {
        let _ = writeln!(out, "<p class=\"dim\">{}</p>", escaped(caveat));
    }
    let confirmed = match verdict.unconfirmed() {
        None => "Kafka's own consumer finds the same in the log.".to_owned(),
        Some(reason) => format!("No second client has confirmed what is in the log: {reason}"),
    };
    let _ = writeln!(out, "<p class=\"dim\">{}</p>", escaped(&confirmed));
    for (number, trial) in (1..).zip(&verdict.trials) {
        if verdict.trials.len() > 1 {
            let _ = writeln!(out, "<h3>Run {number}</h3>");
        }
        out.push_str(&figures(trial));
        out.push_str(&evidence(trial));
        let timeline = &trial.timeline;
        let Some((fault, _)) = timeline.marks.first() else { continue };
        // Twice the longest pause, so that it is seen with what was before and after it.
        let pause = Duration::from_millis(trial.interruption.max_ms);
        let counted = timeline.counted_from;
        let near = (
            counted.saturating_sub(Duration::from_millis(500).max(pause / 4)),
            timeline.end.min(counted + Duration::from_millis(1500).max(pause * 2)),
        );
        let what = if counted > *fault { "its end, since when it counts" } else { "the fault" };
        let _ = writeln!(out, "<h3>Around {what}</h3>\n{}", picture(trial, *fault, near));
        let whole = (fault.saturating_sub(Duration::from_secs(3)), timeline.end);
        let _ = writeln!(out, "<h3>Until all was whole again</h3>\n{}", picture(trial, *fault, whole));
    }
    out
}

/// What others noticed of the fault.
fn evidence(trial: &Trial) -> String {
    let told = trial.evidence.iter().map(|evidence| match evidence.seen_after_ms {
        Some(after) => format!("{} after {}", escaped(&evidence.sign), time(after)),
        None => format!("not seen: {}", escaped(&evidence.sign)),
    });
    format!("<p class=\"dim\">{}</p>\n", told.collect::<Vec<_>>().join(" · "))
}

fn figures(trial: &Trial) -> String {
    let or_none = |figure: Option<u64>| figure.map_or("–".to_owned(), time);
    let account = &trial.account;
    let figures = [
        ("hit", escaped(&trial.target)),
        ("worst partition", time(trial.interruption.max_ms)),
        ("half the partitions", time(trial.interruption.median_ms)),
        ("idle, worst partition", time(trial.idle.max_ms)),
        ("of that: until noticed", or_none(trial.phases.detection_ms)),
        ("until elected", or_none(trial.phases.election_ms)),
        ("until the client was there", time(trial.phases.client_ms)),
        ("consumers waited", time(trial.consumers.pause.max_ms)),
        ("all in sync after", or_none(trial.replication.whole_after_ms)),
        ("acknowledged", account.acked.to_string()),
        ("lost", account.lost.to_string()),
        ("twice", account.duplicates.to_string()),
        ("out of order", account.reorders.to_string()),
        ("unknown outcome", account.unknown.to_string()),
        ("partitions under min ISR", trial.replication.under_min_isr.to_string()),
        ("unclean elections", trial.replication.unclean_elections.to_string()),
    ];
    let shipped = trial.as_shipped.iter().map(|(library, seen)| {
        let idle = time(seen.idle.max_ms);
        (format!("{library} as shipped"), format!("{} (idle {idle})", time(seen.interruption.max_ms)))
    });
    let figures = figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).chain(shipped);
    let told = figures.map(|(name, figure)| format!("<div><dt>{name}</dt><dd>{figure}</dd></div>"));
    format!("<dl>{}</dl>\n", told.collect::<String>())
}

fn open(height: f64, what: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{what}\">")
}

fn time(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_draws_each_run_and_fetches_nothing() {
        let page = page(&crate::drill::report::tests::report());
        // All faults on one scale, and two pictures of the one run.
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("no record acknowledged for 280 ms"), "{page}");
        assert!(page.contains("records acknowledged, led by broker 2"), "{page}");
        for foreign in ["<script", "http", "src=", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_page_tells_what_was_skipped() {
        let mut report = crate::drill::report::tests::report();
        assert!(!page(&report).contains("Skipped"));
        report.skipped.push(Skipped { fault: "cut-off".into(), reason: "there is <one> network".into() });
        assert!(page(&report).contains("<li>cut-off: there is &lt;one&gt; network</li>"));
    }

    #[test]
    fn foreign_text_can_not_become_markup() {
        assert_eq!(escaped("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }

    #[test]
    fn a_page_tells_what_was_seen_and_what_is_inconclusive() {
        let mut report = crate::drill::report::tests::report();
        let seen = page(&report);
        assert!(seen.contains("ZooKeeper ended the registration of broker-1 after 20 ms"), "{seen}");
        assert!(!seen.contains("inconclusive"), "{seen}");
        let mut blind = report.faults[0].trials[0].clone();
        blind.evidence[0].seen_after_ms = None;
        let objective = crate::drill::Objective::within(Duration::from_secs(1));
        report.faults = vec![Verdict::of("broker-crash", "", None, objective, vec![blind])];
        let unseen = page(&report);
        for told in ["? inconclusive", "not seen: ZooKeeper ended the registration of broker-1"] {
            assert!(unseen.contains(told), "{told}: {unseen}");
        }
    }
}
