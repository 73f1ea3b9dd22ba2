//! What one run of one fault gave. Pure data, and the arithmetic from what was noted to figures.

use super::accounting::{Account, Found};
use super::pauses::{self, Pause, Spread, millis};
use super::probe::{Delivered, Written};
use super::watch::{Replication, Sample};
use serde::Serialize;
use std::time::Duration;

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// What was hit.
    pub target: String,
    /// The longest time that each partition went without an acknowledgement since the fault began, over all partitions.
    pub interruption: Spread,
    /// The same while nothing went wrong, just before.
    pub idle: Spread,
    /// From the fault until another broker was seen to lead the partition that waited longest, in milliseconds; `None`
    /// where none was. What is left of the interruption is the clients'.
    pub led_after_ms: Option<u64>,
    /// The books of all partitions.
    pub account: Account,
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
    /// The longest pause of each partition since the fault.
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
    pub(super) idle_from: Duration,
    pub(super) end: Duration,
    pub(super) written: Vec<Written>,
    pub(super) delivered: Vec<Delivered>,
    pub(super) rebalances: u64,
    pub(super) drained: Option<Duration>,
    pub(super) log: Vec<Vec<Found>>,
    pub(super) samples: Vec<Sample>,
}

impl Trial {
    /// The figures that the notes give.
    pub(super) fn of(notes: Notes) -> Self {
        let Notes {
            target,
            carried,
            run,
            marks,
            idle_from,
            end,
            written,
            delivered,
            rebalances,
            drained,
            log,
            samples,
        } = notes;
        let fault = marks.first().map_or(end, |(at, _)| *at);
        let acks: Vec<Vec<Duration>> = written.iter().map(|written| written.acks.clone()).collect();
        let longest =
            |from, to| -> Vec<Pause> { acks.iter().map(|acks| pauses::longest(acks, from, to)).collect() };
        let spread = |pauses: &[Pause]| Spread::of(pauses.iter().map(Pause::length).collect());
        let (idle, since) = (longest(idle_from, fault), longest(fault, end));
        let books = (0..).zip(written.iter().zip(&log));
        let account: Account = books
            .map(|(partition, (written, log))| Account::of(run, partition, &written.outcomes, log))
            .sum();
        let worst = (0..).zip(&since).max_by_key(|(_, pause)| pause.length()).map(|(number, _)| number);
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
            interruption: spread(&since),
            idle: spread(&idle),
            led_after_ms: worst.and_then(|number| led_after(&samples, number, fault)).map(millis),
            account,
            replication: Replication::of(&samples, fault),
            consumers,
            load: carried,
            timeline: Timeline { marks, acks, pauses: since, samples, end },
        }
    }
}

fn undelivered(written: &Written, came: &Delivered) -> u64 {
    let acked = (0..).zip(&written.outcomes).filter(|(_, outcome)| outcome.is_acked());
    acked.filter(|(sequence, _)| !came.sequences.contains(sequence)).count() as u64
}

/// From the fault until another leads the partition than before it.
fn led_after(samples: &[Sample], partition: i32, fault: Duration) -> Option<Duration> {
    let leader = |sample: &Sample| sample.partitions.get(&partition).and_then(|(leader, _)| *leader);
    let (before, after) = samples.split_at(samples.partition_point(|sample| sample.at < fault));
    let old = before.iter().rev().find_map(leader)?;
    let new = after.iter().find(|sample| leader(sample).is_some_and(|leader| leader != old))?;
    Some(new.at.saturating_sub(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Mark, Outcome};

    const RUN: u64 = 3;

    /// One partition with a record every 10 ms, of which those between 100 and 400 ms are acknowledged only at 400.
    fn notes(log: usize) -> Notes {
        let ms = Duration::from_millis;
        let acks = (1..=60).map(|n| ms(if (100..400).contains(&(n * 10)) { 400 } else { n * 10 })).collect();
        let outcomes: Vec<Outcome> = (0..60).map(|offset| Outcome::Acked { offset: Some(offset) }).collect();
        let mark = |sequence| Some(Mark { run: RUN, partition: 0, sequence });
        let found = |place: u64| Found { offset: i64::try_from(place).unwrap(), mark: mark(place) };
        let leader = |at, leader| Sample {
            at: ms(at),
            partitions: [(0, (leader, vec![1, 2]))].into(),
            ..Sample::default()
        };
        Notes {
            target: "broker-1".into(),
            carried: 0,
            run: RUN,
            marks: vec![(ms(95), "kill broker-1".into())],
            idle_from: ms(20),
            end: ms(600),
            written: vec![Written { outcomes, acks }],
            delivered: vec![Delivered { moments: vec![ms(50), ms(550)], sequences: (0..58).collect() }],
            rebalances: 1,
            drained: None,
            log: vec![(0..log as u64).map(found).collect()],
            samples: vec![leader(90, Some(1)), leader(150, None), leader(250, Some(2))],
        }
    }

    #[test]
    fn a_trial_tells_what_the_notes_hold() {
        let trial = Trial::of(notes(60));
        assert_eq!((trial.interruption.max_ms, trial.idle.max_ms), (310, 10));
        assert_eq!(trial.led_after_ms, Some(155));
        assert_eq!((trial.account.acked, trial.account.lost), (60, 0));
        assert_eq!((trial.consumers.pause.max_ms, trial.consumers.undelivered), (500, 2));
    }

    #[test]
    fn a_log_that_lacks_the_end_has_lost_it() {
        assert_eq!(Trial::of(notes(55)).account.lost, 5);
    }
}
