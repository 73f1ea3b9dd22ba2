//! What one run of one fault gave. Pure data, and the arithmetic from what was noted to figures.

use super::accounting::{self, Account, Found};
use super::chronicle::Chronicle;
use super::pauses::{self, Pause, Spread, millis};
use super::phases::Phases;
use super::probe::{Delivered, Library, Written};
use super::sign::Evidence;
use super::watch::{Replication, Sample};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// What was hit.
    pub target: String,
    /// What others had to notice of the fault, and whether they did.
    pub evidence: Vec<Evidence>,
    /// What Octad did meanwhile that it mustn't, in words.
    pub not_kept: Vec<String>,
    /// The longest time that each partition went without an acknowledgement since the fault began, or since it was undone
    /// where only that counts, over all partitions.
    pub interruption: Spread,
    /// The same while nothing went wrong, just before.
    pub idle: Spread,
    /// What the interruption of the partition that waited longest is made of.
    pub phases: Phases,
    /// The books of all partitions, as librdkafka's consumer reads the log.
    pub account: Account,
    /// Why the probe's producer gave up for good, where it did: what it told after that is worth nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
    /// What another client makes of it.
    pub confirmation: Confirmation,
    /// What producers waited for with which nobody has set anything, by library; those that were asked for.
    pub as_shipped: BTreeMap<Library, AsShipped>,
    /// Leaders and replicas in sync.
    pub replication: Replication,
    /// What the consumer group saw.
    pub consumers: Consumers,
    /// Bytes a second of load that the cluster carried beside the probe, on average over the run.
    pub load: u64,
    /// What happened when, for a picture.
    #[serde(skip)]
    pub timeline: Timeline,
}

/// What a second client, which shares no code with the first, makes of the log.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// Kafka's own console consumer has read it too.
    Java {
        /// The books of all partitions, as it reads the log.
        account: Account,
        /// Offsets at which the two differ.
        disputed: u64,
    },
    /// No other client has read it.
    Nobody {
        /// Why not.
        reason: String,
    },
}

/// What a producer saw with which nobody has set anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AsShipped {
    /// As in [`Trial`].
    pub interruption: Spread,
    /// As in [`Trial`].
    pub idle: Spread,
    /// Records that were acknowledged.
    pub acked: u64,
}

/// What the consumer group saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Consumers {
    /// The longest time in which nothing came from each partition, over all partitions.
    pub pause: Spread,
    /// How often the group's partitions were dealt out again since the fault.
    pub rebalances: u64,
    /// From the end of writing until the group had all, in milliseconds; `None` where it never had.
    pub drained_after_ms: Option<u64>,
    /// Acknowledged records that never came to the group.
    pub undelivered: u64,
}

/// What happened when, counted from the begin of the run.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// What was done, by whom, at which moment; the fault is the first.
    pub marks: Vec<(Duration, String)>,
    /// When each partition's acknowledgements came.
    pub acks: Vec<Vec<Duration>>,
    /// From when on pauses count.
    pub counted_from: Duration,
    /// The longest pause of each partition since then.
    pub pauses: Vec<Pause>,
    /// What the cluster looked like.
    pub samples: Vec<Sample>,
    /// When writing ended.
    pub end: Duration,
}

/// All that was noted in one run.
pub(super) struct Notes {
    pub(super) target: String,
    pub(super) carried: u64,
    pub(super) run: u64,
    pub(super) marks: Vec<(Duration, String)>,
    /// From when on interruptions count; from the fault on where `None`.
    pub(super) counted_from: Option<Duration>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) not_kept: Vec<String>,
    pub(super) idle_from: Duration,
    pub(super) end: Duration,
    pub(super) written: Vec<Written>,
    pub(super) gave_up: Option<String>,
    pub(super) delivered: Vec<Delivered>,
    pub(super) rebalances: u64,
    pub(super) drained: Option<Duration>,
    /// The log as librdkafka's consumer reads it.
    pub(super) log: Vec<Vec<Found>>,
    /// The log as Kafka's own consumer reads it, or why it doesn't.
    pub(super) again: Result<Vec<Vec<Found>>, String>,
    pub(super) as_shipped: BTreeMap<Library, Vec<Written>>,
    pub(super) samples: Vec<Sample>,
    pub(super) chronicle: Chronicle,
}

impl Trial {
    /// The figures that the notes give.
    pub(super) fn of(notes: Notes) -> Self {
        let Notes {
            target,
            carried,
            run,
            marks,
            counted_from,
            evidence,
            not_kept,
            idle_from,
            end,
            written,
            gave_up,
            delivered,
            rebalances,
            drained,
            log,
            again,
            as_shipped,
            samples,
            chronicle,
        } = notes;
        let fault = marks.first().map_or(end, |(at, _)| *at);
        let counted = |written: &[Written]| match counted_from {
            None => longest(written, fault, end),
            Some(from) => written.iter().map(|one| pauses::longest_since(&one.acks, from, end)).collect(),
        };
        let (idle, since) = (longest(&written, idle_from, fault), counted(&written));
        let account = audited(run, &written, &log);
        let confirmation = match again {
            Ok(again) => Confirmation::Java {
                account: audited(run, &written, &again),
                disputed: log.iter().zip(&again).map(|(one, other)| accounting::disputed(one, other)).sum(),
            },
            Err(reason) => Confirmation::Nobody { reason },
        };
        let shipped = |written: Vec<Written>| AsShipped {
            interruption: spread(&counted(&written)),
            idle: spread(&longest(&written, idle_from, fault)),
            acked: written.iter().map(|written| written.acks.len() as u64).sum(),
        };
        let worst = (0..).zip(&since).max_by_key(|(_, pause)| pause.length());
        let came = |delivered: &Delivered| pauses::longest(&delivered.moments, fault, end);
        let consumers = Consumers {
            pause: spread(&delivered.iter().map(came).collect::<Vec<_>>()),
            rebalances,
            drained_after_ms: drained.map(millis),
            undelivered: written
                .iter()
                .zip(&delivered)
                .map(|(written, came)| undelivered(written, came))
                .sum(),
        };
        Self {
            target,
            evidence,
            not_kept,
            interruption: spread(&since),
            idle: spread(&idle),
            phases: worst
                .map(|(number, pause)| Phases::of(&chronicle, number, pause, counted_from.unwrap_or(fault)))
                .unwrap_or_default(),
            account,
            gave_up,
            confirmation,
            as_shipped: as_shipped
                .into_iter()
                .map(|(library, written)| (library, shipped(written)))
                .collect(),
            replication: Replication::of(&samples, &chronicle, fault),
            consumers,
            load: carried,
            timeline: Timeline {
                marks,
                acks: written.into_iter().map(|written| written.acks).collect(),
                counted_from: counted_from.unwrap_or(fault),
                pauses: since,
                samples,
                end,
            },
        }
    }
}

fn undelivered(written: &Written, came: &Delivered) -> u64 {
    let acked = (0..).zip(&written.outcomes).filter(|(_, outcome)| outcome.is_acked());
    acked.filter(|(sequence, _)| !came.sequences.contains(sequence)).count() as u64
}

/// The longest pause of each partition that touches a time.
fn longest(written: &[Written], from: Duration, to: Duration) -> Vec<Pause> {
    written.iter().map(|written| pauses::longest(&written.acks, from, to)).collect()
}

fn spread(pauses: &[Pause]) -> Spread {
    Spread::of(pauses.iter().map(Pause::length).collect())
}

/// The books of all partitions, for a reading of the log.
fn audited(run: u64, written: &[Written], log: &[Vec<Found>]) -> Account {
    let books = (0..).zip(written.iter().zip(log));
    books.map(|(partition, (written, log))| Account::of(run, partition, &written.outcomes, log)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Gone, Led, Mark, Outcome};

    const RUN: u64 = 3;

    /// One partition with a record every 10 ms, of which those between 100 and 400 ms are acknowledged only at 400.
    fn notes(log: usize) -> Notes {
        let ms = Duration::from_millis;
        let acks = (1..=60).map(|n| ms(if (100..400).contains(&(n * 10)) { 400 } else { n * 10 })).collect();
        let outcomes: Vec<Outcome> = (0..60).map(|offset| Outcome::Acked { offset: Some(offset) }).collect();
        let mark = |sequence| Some(Mark { run: RUN, partition: 0, sequence });
        let found = |place: u64| Found { offset: i64::try_from(place).unwrap(), mark: mark(place) };
        let led = |at, leader| Led { at: ms(at), partition: 0, leader, isr: vec![1, 2] };
        let log: Vec<Found> = (0..log as u64).map(found).collect();
        Notes {
            target: "broker-1".into(),
            carried: 0,
            run: RUN,
            marks: vec![(ms(95), "kill broker-1".into())],
            counted_from: None,
            evidence: vec![],
            not_kept: vec![],
            idle_from: ms(20),
            end: ms(600),
            written: vec![Written { outcomes, acks }],
            gave_up: None,
            delivered: vec![Delivered { moments: vec![ms(50), ms(550)], sequences: (0..58).collect() }],
            rebalances: 1,
            drained: None,
            again: Ok(vec![log.clone()]),
            log: vec![log],
            as_shipped: [(Library::Java, vec![Written { outcomes: vec![], acks: vec![ms(90), ms(590)] }])]
                .into(),
            samples: vec![],
            chronicle: Chronicle {
                gone: vec![Gone { at: ms(120), broker: Some(1) }],
                led: vec![led(0, Some(1)), led(150, None), led(250, Some(2))],
            },
        }
    }

    #[test]
    fn a_trial_tells_what_the_notes_hold() {
        let trial = Trial::of(notes(60));
        assert_eq!((trial.interruption.max_ms, trial.idle.max_ms), (310, 10));
        let phases = Phases { detection_ms: Some(25), election_ms: Some(130), client_ms: 150 };
        assert_eq!(trial.phases, phases);
        assert_eq!(trial.as_shipped[&Library::Java].interruption.max_ms, 500);
        assert!(
            matches!(&trial.confirmation, Confirmation::Java { account, disputed: 0 } if *account == trial.account)
        );
        assert_eq!((trial.account.acked, trial.account.lost), (60, 0));
        assert_eq!((trial.consumers.pause.max_ms, trial.consumers.undelivered), (500, 2));
    }

    #[test]
    fn what_counts_only_once_the_fault_is_undone_is_counted_from_then() {
        let undone = Duration::from_millis(250);
        let trial = Trial::of(Notes { counted_from: Some(undone), ..notes(60) });
        assert_eq!(trial.interruption.max_ms, 150);
        assert_eq!(trial.timeline.pauses[0].begun, undone);
    }

    #[test]
    fn a_log_that_lacks_the_end_has_lost_it() {
        assert_eq!(Trial::of(notes(55)).account.lost, 5);
    }

    #[test]
    fn a_second_reader_that_finds_less_disputes_the_first() {
        let whole = notes(60);
        let trial = Trial::of(Notes { again: Ok(notes(57).log), ..whole });
        assert_eq!(trial.account.lost, 0);
        let Confirmation::Java { account, disputed } = trial.confirmation else {
            panic!("it was read twice")
        };
        assert_eq!((account.lost, disputed), (3, 3));
    }
}
