//! The clock by which deeds are limited.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// A member is stopped at most this long after the look began from which that was decided. A look at a group with a
/// frozen member takes 3 s, one with a host that drops packets 1 s, on a busy machine some more; sessions, by which a
/// group learns what became of its members, last 12 s.
pub(crate) const LOOK_HOLDS: Duration = Duration::from_secs(10);

/// How long a group may take to become healthy, as a rule: the start of a broker of 1 CPU with tens of gigabytes of log to
/// recover takes minutes.
pub(crate) const GATE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long nobody may know of any topic until there must be none, where none is recorded; where one is, that is waited
/// for. A new controller tells brokers of each other first and of topics later; its whole failover takes 9.6 s with 2,000
/// partitions.
pub(crate) const UNTOLD: Duration = Duration::from_secs(15);

/// What has passed since this machine booted, suspended or not. Nobody sets this clock.
pub(crate) fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).expect("no machine booted later than now")
}

/// Now, in milliseconds of [`since_boot`].
pub(crate) fn since_boot_ms() -> u64 {
    u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX)
}

/// How old is what began at this moment of [`since_boot_ms`], in milliseconds. One of another boot is of no age.
pub(crate) fn age_ms(since_boot_ms: u64) -> u64 {
    self::since_boot_ms().saturating_sub(since_boot_ms)
}

/// Some time below this one, so that those who were turned away together don't come back together.
pub(crate) fn jitter(below: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    below.mul_f64(f64::from(nanos % 1_000_000) / 1e6)
}

/// Until when a deed may be begun: what it was decided from is too old after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(Duration);

impl Until {
    /// Within this time from now.
    pub fn within(limit: Duration) -> Self {
        Self(since_boot() + limit)
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        since_boot() > self.0
    }

    /// How much time is left until then.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(since_boot())
    }

    /// In milliseconds since this machine booted.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// What [`Until::millis`] gave.
    pub(crate) fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_passes_and_survives_being_told() {
        let soon = Until::within(Duration::from_secs(60));
        assert!(!soon.has_passed() && !Until::from_millis(soon.millis()).has_passed());
        assert!(Until::from_millis(0).has_passed());
    }
}
