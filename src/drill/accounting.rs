//! The books of a probe: what was handed over and what became of it, against what the log holds. Pure.

use super::record::Mark;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the producer was told of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The cluster has it.
    Acked {
        /// At this offset; `None` where the acknowledgement didn't say: a broker that is handed a record again tells that
        /// it has it already, and no longer where.
        offset: Option<i64>,
    },
    /// It certainly was not sent.
    Failed,
    /// Nothing is known: the cluster may have it or not.
    Unknown,
}

impl Outcome {
    /// Whether the cluster has acknowledged it.
    pub fn is_acked(self) -> bool {
        matches!(self, Self::Acked { .. })
    }
}

/// A record as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: i64,
    /// What it says of itself; `None` where no probe wrote it.
    pub mark: Option<Mark>,
}

/// What came of one partition's records, or of several partitions' added up. All figures are numbers of records, apart
/// from `gaps`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Handed to the producer.
    pub attempted: u64,
    /// Acknowledged.
    pub acked: u64,
    /// Certainly not written, as the producer says.
    pub failed: u64,
    /// Without a known outcome.
    pub unknown: u64,
    /// Acknowledged, and not in the log.
    pub lost: u64,
    /// In the log once more than they should: each further copy counts.
    pub duplicates: u64,
    /// In the log behind one that was handed over later.
    pub reorders: u64,
    /// Offsets between the first record and the last that hold no record.
    pub gaps: u64,
    /// Acknowledged with an offset at which the log has something else, though it holds the record.
    pub moved: u64,
    /// In the log although the producer said that they failed.
    pub failed_written: u64,
    /// Without a known outcome, and in the log.
    pub unknown_written: u64,
    /// In the log, and not of this run and partition.
    pub foreign: u64,
}

impl Account {
    /// The books of one partition: `outcomes` by sequence number, `log` by offset, from offset 0.
    pub fn of(run: u64, partition: i32, outcomes: &[Outcome], log: &[Found]) -> Self {
        let mut account = Self { attempted: outcomes.len() as u64, ..Self::default() };
        let mut first_at: BTreeMap<u64, i64> = BTreeMap::new();
        let (mut expected, mut highest) = (0, None);
        for found in log {
            account.gaps += u64::try_from(found.offset - expected).unwrap_or(0);
            expected = found.offset + 1;
            let ours = |mark: &Mark| {
                mark.run == run && mark.partition == partition && mark.sequence < account.attempted
            };
            let Some(Mark { sequence, .. }) = found.mark.filter(ours) else {
                account.foreign += 1;
                continue;
            };
            if first_at.contains_key(&sequence) {
                account.duplicates += 1;
                continue;
            }
            first_at.insert(sequence, found.offset);
            if highest.is_some_and(|highest| sequence < highest) {
                account.reorders += 1;
            }
            highest = highest.max(Some(sequence));
        }
        for (sequence, outcome) in (0..).zip(outcomes) {
            let written = first_at.get(&sequence);
            match outcome {
                Outcome::Acked { offset } => {
                    account.acked += 1;
                    match written {
                        None => account.lost += 1,
                        Some(at) if offset.is_some_and(|offset| offset != *at) => account.moved += 1,
                        Some(_) => {}
                    }
                }
                Outcome::Failed => {
                    account.failed += 1;
                    account.failed_written += u64::from(written.is_some());
                }
                Outcome::Unknown => {
                    account.unknown += 1;
                    account.unknown_written += u64::from(written.is_some());
                }
            }
        }
        account
    }
}

/// At how many offsets two readings of the same log differ.
pub(super) fn disputed(one: &[Found], other: &[Found]) -> u64 {
    let by_offset = |log: &[Found]| -> BTreeMap<i64, Option<Mark>> {
        log.iter().map(|found| (found.offset, found.mark)).collect()
    };
    let (one, other) = (by_offset(one), by_offset(other));
    let differing = one.iter().filter(|(offset, mark)| other.get(offset) != Some(mark)).count();
    let further = other.keys().filter(|offset| !one.contains_key(offset)).count();
    (differing + further) as u64
}

impl std::iter::Sum for Account {
    fn sum<I: Iterator<Item = Self>>(accounts: I) -> Self {
        accounts.fold(Self::default(), |one, other| Self {
            attempted: one.attempted + other.attempted,
            acked: one.acked + other.acked,
            failed: one.failed + other.failed,
            unknown: one.unknown + other.unknown,
            lost: one.lost + other.lost,
            duplicates: one.duplicates + other.duplicates,
            reorders: one.reorders + other.reorders,
            gaps: one.gaps + other.gaps,
            moved: one.moved + other.moved,
            failed_written: one.failed_written + other.failed_written,
            unknown_written: one.unknown_written + other.unknown_written,
            foreign: one.foreign + other.foreign,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RUN: u64 = 7;

    fn record(offset: i64, sequence: u64) -> Found {
        Found { offset, mark: Some(Mark { run: RUN, partition: 0, sequence }) }
    }

    /// A log in which the record of each sequence number stands at that offset.
    fn log(count: u64) -> Vec<Found> {
        (0..).zip(0..count).map(|(offset, sequence)| record(offset, sequence)).collect()
    }

    fn acked(count: u64) -> Vec<Outcome> {
        (0..).zip(0..count).map(|(offset, _)| Outcome::Acked { offset: Some(offset) }).collect()
    }

    #[test]
    fn a_log_as_it_should_be_has_no_complaint() {
        let account = Account::of(RUN, 0, &acked(100), &log(100));
        assert_eq!(account, Account { attempted: 100, acked: 100, ..Account::default() });
    }

    #[test]
    fn each_fault_of_a_log_is_counted_as_what_it_is() {
        let mut outcomes = acked(8);
        outcomes[2] = Outcome::Failed;
        outcomes[3] = Outcome::Unknown;
        outcomes[4] = Outcome::Unknown;
        // 0 is lost with its offset; 2 was said to have failed; 4 is nowhere; 6 stands before 5; 1 is there twice; one
        // record is another run's and one nobody's.
        let another = Found { offset: 8, mark: Some(Mark { run: RUN + 1, partition: 0, sequence: 0 }) };
        let log = [
            record(1, 1),
            record(2, 2),
            record(3, 3),
            record(5, 6),
            record(6, 5),
            record(7, 7),
            another,
            Found { offset: 9, mark: None },
            record(10, 1),
        ];
        assert_eq!(
            Account::of(RUN, 0, &outcomes, &log),
            Account {
                attempted: 8,
                acked: 5,
                failed: 1,
                unknown: 2,
                lost: 1,
                duplicates: 1,
                reorders: 1,
                gaps: 2,
                moved: 2,
                failed_written: 1,
                unknown_written: 1,
                foreign: 2,
            }
        );
    }

    #[test]
    fn an_acknowledgement_without_an_offset_still_counts() {
        let outcomes = [Outcome::Acked { offset: None }; 2];
        let account = Account::of(RUN, 0, &outcomes, &log(1));
        assert_eq!((account.acked, account.lost, account.moved), (2, 1, 0));
    }

    #[test]
    fn a_log_that_began_anew_lost_what_it_held() {
        let account = Account::of(RUN, 0, &acked(10), &[record(0, 8), record(1, 9)]);
        assert_eq!((account.lost, account.moved, account.gaps), (8, 2, 0));
    }

    #[test]
    fn every_offset_at_which_two_readers_differ_is_disputed() {
        let whole = log(10);
        assert_eq!(disputed(&whole, &whole), 0);
        let mut other = whole.clone();
        other.remove(3);
        other[5].mark = None;
        other.push(record(10, 10));
        assert_eq!((disputed(&whole, &other), disputed(&other, &whole)), (3, 3));
    }

    proptest! {
        /// Whatever is done to a log, and however much of it, is told exactly.
        #[test]
        fn injected_faults_are_told_exactly(
            count in 1..300_u64,
            lost in prop::collection::btree_set(0..300_u64, 0..20),
            swapped in prop::collection::btree_set(0..150_u64, 0..20),
            copied in prop::collection::vec(0..300_u64, 0..20),
            gaps in prop::collection::vec((0..300_usize, 1..50_i64), 0..5),
        ) {
            let mut sequences: Vec<u64> = (0..count).filter(|sequence| !lost.contains(sequence)).collect();
            let lost = count - sequences.len() as u64;
            let mut reorders = 0;
            for pair in swapped {
                let first = usize::try_from(2 * pair).unwrap();
                if first + 1 < sequences.len() {
                    sequences.swap(first, first + 1);
                    reorders += 1;
                }
            }
            let copies: Vec<u64> = copied.into_iter().filter(|sequence| sequences.contains(sequence)).collect();
            sequences.extend(&copies);
            let mut log: Vec<Found> = (0..).zip(&sequences).map(|(at, sequence)| record(at, *sequence)).collect();
            let mut holes = 0;
            for (place, length) in gaps {
                for found in log.iter_mut().skip(place) {
                    found.offset += length;
                }
                holes += if place < log.len() { u64::try_from(length).unwrap() } else { 0 };
            }
            let account = Account::of(RUN, 0, &acked(count), &log);
            prop_assert_eq!(account.acked, count);
            prop_assert_eq!(account.lost, lost);
            prop_assert_eq!(account.duplicates, copies.len() as u64);
            prop_assert_eq!(account.reorders, reorders);
            prop_assert_eq!(account.gaps, holes);
            prop_assert_eq!(account.foreign, 0);
        }
    }
}
