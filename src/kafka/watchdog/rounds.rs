//! When a broker is cut off: what rounds of its watchdog saw, one after the other. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A round that took longer tells of a machine that has no time for the watchdog, and of nothing else.
pub(super) const ON_TIME: Duration = Duration::from_millis(1_300);

/// After so many rounds in a row a broker is taken for cut off. Fewer would take a switch that restarts for a cut.
pub(super) const ROUNDS: u32 = 4;

/// Whether a broker is on the smaller side: it reaches so few of the others that more than half of all brokers, itself
/// among them, are beyond its reach. Of two sides at most one is.
pub fn is_apart(others: usize, reached: usize) -> bool {
    2 * (reached + 1) < others + 1
}

/// What one round saw, where ZooKeeper answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The other brokers that are registered.
    pub others: BTreeSet<i32>,
    /// Those of them whose hosts answered.
    pub reached: BTreeSet<i32>,
    /// How long it took.
    pub took: Duration,
}

impl Round {
    /// Whether the broker is on the smaller side, see [`is_apart`].
    pub fn is_apart(&self) -> bool {
        is_apart(self.others.len(), self.reached.len())
    }
}

/// The rounds so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streak(u32);

impl Streak {
    /// Takes note of a round; `None` where ZooKeeper did not answer: then the broker's session will end as well, which
    /// Kafka knows how to deal with. Returns whether the broker has been apart for long enough.
    pub fn note(&mut self, round: Option<&Round>) -> bool {
        let apart = round.is_some_and(|round| round.took <= ON_TIME && round.is_apart());
        self.0 = if apart { self.0 + 1 } else { 0 };
        self.0 >= ROUNDS
    }
}

/// When the hosts of the other brokers were last reached.
#[derive(Debug, Clone, Default)]
pub(super) struct LastReached(BTreeMap<i32, Duration>);

impl LastReached {
    /// Takes note of a round that began at this time. Who was not registered until now is taken for reached: it is in no
    /// ISR for longer.
    pub(super) fn note(&mut self, round: &Round, begun: Duration) {
        self.0.retain(|id, _| round.others.contains(id));
        for id in &round.others {
            let last = self.0.entry(*id).or_insert(begun);
            if round.reached.contains(id) {
                *last = begun;
            }
        }
    }

    /// Those that the broker won't take out of an ISR before `until`: a leader does so no sooner than `lag` after a
    /// follower had all of its records.
    pub(super) fn kept(&self, until: Duration, lag: Duration) -> BTreeSet<i32> {
        self.0.iter().filter(|(_, last)| **last + lag > until).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(others: usize, reached: usize, took: u64) -> Round {
        let ids = |count: usize| (1..=i32::try_from(count).unwrap()).collect();
        Round { others: ids(others), reached: ids(reached), took: Duration::from_millis(took) }
    }

    #[test]
    fn a_broker_is_cut_off_after_four_rounds_in_a_row_on_the_smaller_side() {
        let far = round(4, 1, 910);
        let late = round(4, 1, ON_TIME.as_millis() as u64 + 1);
        let mut streak = Streak::default();
        let mut note = |round: Option<&Round>| streak.note(round);
        assert!((1..ROUNDS).all(|_| !note(Some(&far))) && note(Some(&far)), "the detector");
        for broken_by in [None, Some(&round(4, 2, 910)), Some(&late)] {
            assert!(!note(broken_by) && !note(Some(&far)), "{broken_by:?}");
        }
    }

    #[test]
    fn who_was_reached_lately_stays_in_sync_for_a_while() {
        let (at, lag) = (Duration::from_secs, Duration::from_secs(22));
        let round = |reached: &[i32]| Round {
            others: [2, 3].into(),
            reached: reached.iter().copied().collect(),
            took: Duration::ZERO,
        };
        let mut last = LastReached::default();
        last.note(&round(&[2]), at(100));
        last.note(&round(&[3]), at(110));
        assert_eq!(last.kept(at(121), lag), [2, 3].into());
        assert_eq!(last.kept(at(122), lag), [3].into());
        assert_eq!(last.kept(at(132), lag), [].into());
        // Who registers anew was away.
        last.note(&Round { others: [2].into(), ..round(&[]) }, at(120));
        last.note(&round(&[]), at(125));
        assert_eq!(last.kept(at(130), lag), [3].into());
    }

    fn rounds() -> impl Strategy<Value = Vec<Option<Round>>> {
        let round = (0_usize..8, 0_usize..8, 0_u64..3_000)
            .prop_map(|(others, reached, took)| round(others, reached.min(others), took));
        proptest::collection::vec(proptest::option::weighted(0.9, round), 0..40)
    }

    proptest! {
        #[test]
        fn only_rounds_in_time_and_in_a_row_say_that_a_broker_is_cut_off(rounds in rounds()) {
            let mut streak = Streak::default();
            for (place, round) in rounds.iter().enumerate() {
                let cut_off = streak.note(round.as_ref());
                let last = rounds[..=place].iter().rev().take(ROUNDS as usize);
                let all = last.flatten().filter(|round| {
                    round.took <= ON_TIME && round.reached.len() + 1 < round.others.len() - round.reached.len()
                });
                prop_assert_eq!(cut_off, all.count() == ROUNDS as usize);
            }
        }

        #[test]
        fn of_brokers_split_into_sides_no_side_of_half_or_more_is_apart(one in 1_usize..20, other in 1_usize..20) {
            let apart = |own: usize| is_apart(one + other - 1, own - 1);
            prop_assert_eq!(apart(one), one < other);
            prop_assert!(!(apart(one) && apart(other)));
        }
    }
}
