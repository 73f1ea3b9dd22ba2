//! Figures against objectives.

use super::accounting::Account;
use super::fault::{Objective, Since};
use super::pauses::millis;
use super::probe::Library;
use super::trial::{AsShipped, Confirmation, Trial};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a drill has shown. The worst of several is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Every objective was met.
    Passed,
    /// Every objective was met, and nobody saw that the fault had its effect: nothing was shown.
    Inconclusive,
    /// An objective was missed.
    Failed,
}

/// What came of one fault.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Its name.
    pub fault: String,
    /// What it has shown.
    pub finding: Finding,
    /// What happens in it.
    pub about: String,
    /// What a reader should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caveat: Option<String>,
    /// The longest interruption that counts as passed, in milliseconds.
    pub objective_ms: u64,
    /// From when on an interruption counts.
    pub counted_since: Since,
    /// The longest time that the worst partition went without an acknowledgement, in milliseconds: the median of the
    /// runs.
    pub interruption_ms: u64,
    /// The same in the idle time before each fault.
    pub idle_ms: u64,
    /// The books of all runs.
    pub account: Account,
    /// The same for producers with which nobody has set anything, by library; those that were asked for. They don't count
    /// for passing.
    pub as_shipped: BTreeMap<Library, Medians>,
    /// Which objectives were missed, in words; some where it failed.
    pub missed: Vec<String>,
    /// What was to be noticed of the fault and wasn't, in words; some where it is inconclusive.
    pub unseen: Vec<String>,
    /// The same fault on the same machine with timeouts as shipped and without the fence, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<Stock>,
    /// The runs.
    pub trials: Vec<Trial>,
}

/// What one sort of clients waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Medians {
    /// As in [`Verdict`].
    pub interruption_ms: u64,
    /// As in [`Verdict`].
    pub idle_ms: u64,
}

/// What a fault costs with the timeouts of Kafka and ZooKeeper as shipped.
#[derive(Debug, Serialize)]
pub struct Stock {
    /// As in [`Verdict`].
    pub interruption_ms: u64,
    /// As in [`Verdict`].
    pub idle_ms: u64,
    /// As in [`Verdict`].
    pub account: Account,
    /// As in [`Verdict`].
    pub as_shipped: BTreeMap<Library, Medians>,
    /// The runs.
    pub trials: Vec<Trial>,
}

impl Verdict {
    /// What came of it in a line, for who waits for others.
    pub fn in_a_line(&self) -> String {
        let found = match self.finding {
            Finding::Passed => "passed",
            Finding::Inconclusive => "inconclusive",
            Finding::Failed => "failed",
        };
        let seconds = |millis: u64| millis as f64 / 1000.0;
        let Account { lost, duplicates, reorders, .. } = &self.account;
        format!(
            "{found}, {:.2} s (at most {:.2} s), lost {lost}, twice {duplicates}, out of order {reorders}",
            seconds(self.interruption_ms),
            seconds(self.objective_ms),
        )
    }

    /// Holds the figures of some runs of a fault against its objective for interruptions, and against those that are
    /// the same for all: nothing lost, nothing twice, nothing out of order.
    pub fn of(
        fault: &str,
        about: &str,
        caveat: Option<&str>,
        objective: Objective,
        trials: Vec<Trial>,
    ) -> Self {
        let of_all = |figure: fn(&Trial) -> u64| median(trials.iter().map(figure));
        let libraries = trials.iter().flat_map(|trial| trial.as_shipped.keys().copied());
        let shipped = |library: Library| {
            let seen = trials.iter().filter_map(|trial| trial.as_shipped.get(&library));
            let figure = |figure: fn(&AsShipped) -> u64| median(seen.clone().map(figure));
            let interruption_ms = figure(|seen| seen.interruption.max_ms);
            (library, Medians { interruption_ms, idle_ms: figure(|seen| seen.idle.max_ms) })
        };
        let mut verdict = Self {
            fault: fault.to_owned(),
            about: about.to_owned(),
            finding: Finding::Passed,
            caveat: caveat.map(str::to_owned),
            objective_ms: millis(objective.interruption),
            counted_since: objective.since,
            interruption_ms: of_all(|trial| trial.interruption.max_ms),
            idle_ms: of_all(|trial| trial.idle.max_ms),
            as_shipped: libraries.map(shipped).collect(),
            account: trials.iter().map(|trial| trial.account).sum(),
            missed: Vec::new(),
            unseen: Vec::new(),
            stock: None,
            trials,
        };
        verdict.missed = verdict.judge(objective.keeps_min_isr);
        verdict.unseen = verdict.unseen();
        verdict.finding = match (verdict.missed.is_empty(), verdict.unseen.is_empty()) {
            (false, _) => Finding::Failed,
            (true, false) => Finding::Inconclusive,
            (true, true) => Finding::Passed,
        };
        verdict
    }

    /// The same, beside what `stock` gave. That doesn't count for passing.
    #[must_use]
    pub fn beside(mut self, stock: Self) -> Self {
        let Self { interruption_ms, idle_ms, account, as_shipped, trials, .. } = stock;
        self.stock = Some(Stock { interruption_ms, idle_ms, account, as_shipped, trials });
        self
    }

    /// How many times as long the interruption is with everything as shipped.
    pub fn ratio(&self) -> Option<f64> {
        // Less than a millisecond can't be told from none.
        self.stock.as_ref().map(|stock| stock.interruption_ms as f64 / self.interruption_ms.max(1) as f64)
    }

    /// Why no second client has confirmed what was found in the log; `None` where one has in every run.
    pub fn unconfirmed(&self) -> Option<&str> {
        self.trials.iter().find_map(|trial| match &trial.confirmation {
            Confirmation::Nobody { reason } => Some(reason.as_str()),
            Confirmation::Java { .. } => None,
        })
    }

    /// The run whose interruption is the one that counts.
    pub fn typical(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.interruption.max_ms == self.interruption_ms)
    }

    /// What nobody saw in any of the runs.
    fn unseen(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        for (number, trial) in (1..).zip(&self.trials) {
            let run = if self.trials.len() > 1 { format!(" in run {number}") } else { String::new() };
            if trial.evidence.is_empty() {
                unseen.push(format!("nothing was to be noticed of it{run}"));
            }
            let missing = trial.evidence.iter().filter(|evidence| evidence.seen_after_ms.is_none());
            unseen.extend(missing.map(|evidence| format!("not seen{run}: {}", evidence.sign)));
        }
        unseen
    }

    fn judge(&self, keeps_min_isr: bool) -> Vec<String> {
        let mut missed = Vec::new();
        if self.interruption_ms > self.objective_ms {
            missed.push(format!(
                "the worst partition took no record for {} ms, the objective is {} ms",
                self.interruption_ms, self.objective_ms
            ));
        }
        let sum = |figure: fn(&Trial) -> u64| self.trials.iter().map(figure).sum::<u64>();
        let account = &self.account;
        let faults = [
            (account.lost, "records acknowledged and lost"),
            (account.duplicates, "records in the log twice"),
            (account.reorders, "records out of order"),
            (account.gaps, "offsets without a record"),
            (account.moved, "records at another offset than was acknowledged"),
            (account.failed_written, "records in the log that were said to have failed"),
            (account.foreign, "records in the log that are not the probe's"),
            (
                sum(|trial| trial.consumers.undelivered),
                "records acknowledged that never came to the consumers",
            ),
            (
                sum(|trial| trial.replication.unclean_elections as u64),
                "leaders elected that were not in sync",
            ),
        ];
        let under_min_isr = sum(|trial| trial.replication.under_min_isr as u64);
        let disputed = sum(|trial| match trial.confirmation {
            Confirmation::Java { disputed, .. } => disputed,
            Confirmation::Nobody { .. } => 0,
        });
        let faults = faults.into_iter().chain([
            (disputed, "offsets at which a second client reads something else"),
            (
                if keeps_min_isr { under_min_isr } else { 0 },
                "partitions that were under their min.insync.replicas at once",
            ),
        ]);
        let found = faults.filter(|(count, _)| *count > 0);
        missed.extend(found.map(|(count, what)| format!("{what}: {count}")));
        missed.extend(self.trials.iter().flat_map(|trial| trial.not_kept.iter().cloned()));
        let gave_up = self.trials.iter().filter_map(|trial| trial.gave_up.as_ref());
        missed.extend(gave_up.map(|reason| format!("the probe's producer gave up: {reason}")));
        // A probe that wrote nothing has found nothing.
        if account.acked == 0 {
            missed.push("no record was acknowledged at all".into());
        }
        missed
    }
}

/// Of an even number the worse of the middle ones; 0 of none.
fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut figures: Vec<u64> = figures.collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::drill::trial::Consumers;
    use crate::drill::{Evidence, Pause, Phases, Replication, Sample, Sign, Spread, Timeline};
    use std::time::Duration;

    /// A run in which one partition with a record every 20 ms waited so long, from the fault at 1 s on.
    pub(crate) fn trial(interruption: u64) -> Trial {
        let ms = Duration::from_millis;
        let pause = Pause { begun: ms(1000), ended: ms(1000 + interruption) };
        let acks =
            (0..200).map(|number| ms(number * 20)).filter(|ack| *ack <= pause.begun || *ack >= pause.ended);
        let leader = |at, leader| Sample {
            at: ms(at),
            controller: Some(3),
            partitions: [(0, (Some(leader), vec![1, 2]))].into(),
            ..Sample::default()
        };
        let account = Account { attempted: 100, acked: 100, ..Account::default() };
        Trial {
            target: "broker-1".into(),
            evidence: vec![seen()],
            not_kept: vec![],
            interruption: Spread { max_ms: interruption, p99_ms: interruption, median_ms: 30 },
            idle: Spread { max_ms: 25, p99_ms: 25, median_ms: 22 },
            phases: Phases {
                detection_ms: Some(20),
                election_ms: Some(60),
                client_ms: interruption.saturating_sub(80),
            },
            account,
            gave_up: None,
            confirmation: Confirmation::Java { account, disputed: 0 },
            as_shipped: BTreeMap::new(),
            replication: Replication { whole_after_ms: Some(8000), ..Replication::default() },
            consumers: Consumers::default(),
            load: 0,
            timeline: Timeline {
                marks: vec![(ms(1000), "kill broker-1".into())],
                acks: vec![acks.collect()],
                counted_from: ms(1000),
                pauses: vec![pause],
                samples: vec![leader(0, 1), leader(1120, 2)],
                end: ms(4000),
            },
        }
    }

    fn seen() -> Evidence {
        let ms = Duration::from_millis;
        Evidence::of(&Sign::Unregistered("broker-1".into()), ms(1000), Some(ms(1020)))
    }

    pub(crate) fn judged(trials: Vec<Trial>) -> Verdict {
        Verdict::of("broker-crash", "", None, Objective::within(Duration::from_millis(300)), trials)
    }

    #[test]
    fn the_median_of_the_runs_is_held_against_the_objective() {
        let verdict = judged(vec![trial(200), trial(5000), trial(280)]);
        assert_eq!((verdict.interruption_ms, verdict.finding), (280, Finding::Passed));
        let verdict = judged(vec![trial(200), trial(400)]);
        assert_eq!(
            verdict.missed,
            ["the worst partition took no record for 400 ms, the objective is 300 ms"]
        );
    }

    #[test]
    fn a_comparison_changes_no_verdict() {
        let verdict = judged(vec![trial(200)]).beside(judged(vec![trial(18_000)]));
        assert_eq!((verdict.finding, verdict.ratio()), (Finding::Passed, Some(90.0)));
    }

    #[test]
    fn a_single_lost_record_in_any_run_fails() {
        let mut bad = trial(200);
        bad.account.lost = 1;
        assert_eq!(judged(vec![trial(200), bad]).missed, ["records acknowledged and lost: 1"]);
    }

    #[test]
    fn two_readers_that_differ_fail_and_one_alone_is_told_of() {
        let mut bad = trial(200);
        bad.confirmation = Confirmation::Java { account: bad.account, disputed: 2 };
        assert_eq!(judged(vec![bad]).missed, ["offsets at which a second client reads something else: 2"]);
        let mut alone = trial(200);
        assert_eq!(judged(vec![alone.clone()]).unconfirmed(), None);
        alone.confirmation = Confirmation::Nobody { reason: "no Java".into() };
        let verdict = judged(vec![trial(200), alone]);
        assert_eq!((verdict.finding, verdict.unconfirmed()), (Finding::Passed, Some("no Java")));
    }

    #[test]
    fn clients_at_their_defaults_have_medians_of_their_own() {
        let with = |interruption| {
            let spread = Spread { max_ms: interruption, ..Spread::default() };
            let seen = AsShipped { interruption: spread, ..AsShipped::default() };
            Trial { as_shipped: [(Library::Java, seen)].into(), ..trial(200) }
        };
        let verdict = judged(vec![with(900), with(700), with(5000)]);
        assert_eq!(verdict.as_shipped[&Library::Java], Medians { interruption_ms: 900, idle_ms: 0 });
        assert_eq!(verdict.finding, Finding::Passed, "only the probe is held against the objective");
    }

    #[test]
    fn a_probe_whose_producer_gave_up_has_not_passed() {
        let mut bad = trial(200);
        bad.gave_up = Some("it could not go on".into());
        assert_eq!(judged(vec![bad]).missed, ["the probe's producer gave up: it could not go on"]);
    }

    #[test]
    fn a_probe_that_wrote_nothing_has_not_passed() {
        let mut idle = trial(10);
        idle.account = Account::default();
        assert_eq!(judged(vec![idle]).finding, Finding::Failed);
    }

    #[test]
    fn a_fault_that_nobody_saw_is_inconclusive_however_well_all_went() {
        let unseen = Evidence { seen_after_ms: None, ..seen() };
        let blind = Trial { evidence: vec![seen(), unseen.clone()], ..trial(20) };
        let verdict = judged(vec![blind]);
        assert_eq!(verdict.finding, Finding::Inconclusive);
        assert_eq!(verdict.unseen, ["not seen: ZooKeeper ended the registration of broker-1"]);
        let forgetful = Trial { evidence: vec![], ..trial(20) };
        let verdict = judged(vec![trial(20), forgetful]);
        assert_eq!(verdict.finding, Finding::Inconclusive);
        assert_eq!(verdict.unseen, ["nothing was to be noticed of it in run 2"]);
        // What was lost was lost.
        let mut bad = Trial { evidence: vec![unseen], ..trial(20) };
        bad.account.lost = 1;
        assert_eq!(judged(vec![bad]).finding, Finding::Failed);
    }

    #[test]
    fn what_octad_does_itself_and_must_not_is_missed() {
        let mut under = trial(20);
        under.replication.under_min_isr = 2;
        let of = |objective| Verdict::of("roll", "", None, objective, vec![under.clone()]).missed;
        let objective = Objective::within(Duration::from_secs(1));
        assert_eq!(of(objective), [""; 0]);
        let told = "partitions that were under their min.insync.replicas at once: 2";
        assert_eq!(of(objective.keeping_min_isr()), [told]);
        let hasty = Trial { not_kept: vec!["it didn't wait".into()], ..trial(20) };
        assert_eq!(judged(vec![hasty]).missed, ["it didn't wait"]);
    }
}
