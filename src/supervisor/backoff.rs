//! How long to wait before a unit that ended unasked is started again. Pure.

use std::time::Duration;

use super::spec::RestartPolicy;

/// A process that ran this long is healthy: its next failure begins a new series.
pub(super) const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// The series of failures of one unit: ends that nobody asked for. No limit on their number: a broker whose disk is back tomorrow comes
/// back tomorrow.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure of a process that had run for `ran` and gives the delay before its next start.
    pub(super) fn after_failure(&mut self, ran: Duration, policy: &RestartPolicy) -> Duration {
        if ran >= HEALTHY_AFTER {
            self.failures = 0;
        }
        let doubled =
            policy.min_backoff_ms.saturating_mul(1u64.checked_shl(self.failures).unwrap_or(u64::MAX));
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(doubled.min(policy.max_backoff_ms.max(policy.min_backoff_ms)))
    }

    /// Failures in the present series.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Ends the series: somebody asked for a start.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy { min_backoff_ms: 100, max_backoff_ms: 10_000 };

    fn delays(backoff: &mut Backoff, n: usize) -> Vec<u128> {
        (0..n).map(|_| backoff.after_failure(Duration::from_secs(1), &POLICY).as_millis()).collect()
    }

    #[test]
    fn delays_double_up_to_the_limit() {
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(delays(&mut Backoff::default(), 9), expected);
    }

    #[test]
    fn the_thousandth_failure_waits_for_the_limit_too() {
        assert_eq!(delays(&mut Backoff::default(), 1000).last(), Some(&10_000));
    }

    #[test]
    fn a_minute_of_running_begins_a_new_series() {
        let mut backoff = Backoff::default();
        delays(&mut backoff, 5);
        assert_eq!(backoff.after_failure(Duration::from_secs(59), &POLICY).as_millis(), 3200);
        assert_eq!(backoff.after_failure(HEALTHY_AFTER, &POLICY).as_millis(), 100);
        assert_eq!(backoff.failures(), 1);
    }
}
