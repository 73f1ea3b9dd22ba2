//! How long nothing came: gaps between moments, such as those of acknowledgements. Pure.

use serde::Serialize;
use std::time::Duration;

/// A time in which nothing came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pause {
    /// The last moment before it.
    pub begun: Duration,
    /// The first moment after it.
    pub ended: Duration,
}

impl Pause {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.ended.saturating_sub(self.begun)
    }
}

/// The longest pause that touches the time from `from` to `to`. `moments` ascend. A pause that begins before `from`
/// counts in full; where nothing comes at the end, it lasts until `to`.
pub(super) fn longest(moments: &[Duration], from: Duration, to: Duration) -> Pause {
    let first = moments.partition_point(|moment| *moment <= from);
    let begun = first.checked_sub(1).map_or(from, |last| moments[last]);
    let inside = moments[first..].iter().copied().take_while(|moment| *moment < to);
    let mut last = begun;
    let mut longest = Pause::default();
    for moment in inside.chain([to]) {
        let pause = Pause { begun: last, ended: moment };
        if pause.length() > longest.length() {
            longest = pause;
        }
        last = moment;
    }
    longest
}

/// The same, of a pause that begins before `from` only the part after it.
pub(super) fn longest_since(moments: &[Duration], from: Duration, to: Duration) -> Pause {
    longest(&moments[moments.partition_point(|moment| *moment <= from)..], from, to)
}

/// Whether the last of these lengths have settled: three in a row, of which the longest is at most half as long again
/// as the shortest.
pub(super) fn steady(lengths: &[Duration]) -> bool {
    let Some(last) = lengths.len().checked_sub(3).map(|from| &lengths[from..]) else { return false };
    let (least, most) = (last.iter().min(), last.iter().max());
    least.zip(most).is_some_and(|(least, most)| *most <= *least * 3 / 2)
}

/// Several lengths in brief.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The longest, in milliseconds.
    pub max_ms: u64,
    /// What 99 of 100 don't exceed, in milliseconds.
    pub p99_ms: u64,
    /// What half of them don't exceed, in milliseconds.
    pub median_ms: u64,
}

impl Spread {
    /// The spread of `lengths`; all zero where there is none.
    pub fn of(mut lengths: Vec<Duration>) -> Self {
        lengths.sort();
        // The smallest that so many of a hundred don't exceed.
        let at = |percent: usize| {
            let place = (lengths.len() * percent).div_ceil(100).saturating_sub(1);
            lengths.get(place).map_or(0, |length| millis(*length))
        };
        Self { max_ms: at(100), p99_ms: at(99), median_ms: at(50) }
    }
}

/// Whole milliseconds.
pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(moments: &[u64]) -> Vec<Duration> {
        moments.iter().map(|moment| Duration::from_millis(*moment)).collect()
    }

    fn found(moments: &[u64], from: u64, to: u64) -> (u64, u64) {
        let pause = longest(&ms(moments), Duration::from_millis(from), Duration::from_millis(to));
        (millis(pause.begun), millis(pause.ended))
    }

    #[test]
    fn the_longest_pause_is_found_wherever_it_lies() {
        assert_eq!(found(&[10, 20, 90, 100], 0, 110), (20, 90));
        assert_eq!(found(&[10, 20, 90, 100], 50, 110), (20, 90), "one that began before counts in full");
        assert_eq!(found(&[10, 20, 90, 100], 90, 500), (100, 500), "and one that doesn't end");
        assert_eq!(found(&[10, 20, 90, 100], 95, 101), (90, 100));
        assert_eq!(found(&[], 5, 30), (5, 30), "nothing came at all");
    }

    #[test]
    fn lengths_that_still_shrink_are_not_steady() {
        assert!(!steady(&ms(&[100, 100])), "two may be alike by chance");
        assert!(!steady(&ms(&[1000, 400, 200])));
        assert!(!steady(&ms(&[90, 90, 200])), "nor what has got worse");
        assert!(steady(&ms(&[1000, 400, 90, 70, 80])));
    }

    #[test]
    fn a_spread_tells_of_the_worst_and_of_the_middle() {
        let lengths = ms(&(1..=200).collect::<Vec<_>>());
        assert_eq!(Spread::of(lengths), Spread { max_ms: 200, p99_ms: 198, median_ms: 100 });
        assert_eq!(Spread::of(ms(&[7])), Spread { max_ms: 7, p99_ms: 7, median_ms: 7 });
        assert_eq!(Spread::of(vec![]), Spread::default());
    }
}
