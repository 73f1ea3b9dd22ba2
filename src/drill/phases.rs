//! What an interruption is made of: until the cluster notices, until another leads, until the client is there. Pure.

use super::chronicle::Chronicle;
use super::pauses::{Pause, millis};
use serde::Serialize;
use std::time::Duration;

/// The parts of one partition's longest interruption, in milliseconds, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// From the fault, or the last acknowledgement where that is later, until a registration was gone from ZooKeeper;
    /// `None` where the partition was taken over before that, or no registration went.
    pub detection_ms: Option<u64>,
    /// From then until the partition's new leader or replicas in sync were written; `None` where none were.
    pub election_ms: Option<u64>,
    /// From then until the first acknowledgement: the client's part, and the new leader's.
    pub client_ms: u64,
}

impl Phases {
    /// The parts of the longest pause of a partition since the fault.
    pub(super) fn of(chronicle: &Chronicle, partition: i32, pause: &Pause, fault: Duration) -> Self {
        let from = pause.begun.max(fault);
        let within = |at: &Duration| (from..=pause.ended).contains(at);
        let led = chronicle.led.iter().filter(|led| led.partition == partition && led.leader.is_some());
        let led: Vec<Duration> = led.map(|led| led.at).filter(within).collect();
        // What ZooKeeper says of a registration and of what follows from it may come in one breath.
        let before_it = |at: &&Duration| led.first().is_none_or(|led| *at <= led);
        let gone = chronicle.gone.iter().map(|gone| gone.at);
        let gone = gone.filter(within).find(|at| before_it(&at));
        let noticed = gone.unwrap_or(from);
        let elected = led.first().copied();
        Self {
            detection_ms: gone.map(|gone| millis(gone - from)),
            election_ms: elected.map(|elected| millis(elected - noticed)),
            client_ms: millis(pause.ended.saturating_sub(elected.unwrap_or(noticed))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Gone, Led};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Detection, election and client of partition 0, which waited from `begun` to 1300 ms; the fault was at 1000.
    fn phases(gone: &[u64], led: &[(u64, Option<i32>)], begun: u64) -> (Option<u64>, Option<u64>, u64) {
        let led =
            led.iter().map(|(at, leader)| Led { at: ms(*at), partition: 0, leader: *leader, isr: vec![] });
        let elsewhere = Led { at: ms(1001), partition: 1, leader: Some(1), isr: vec![] };
        let chronicle = Chronicle {
            gone: gone.iter().map(|at| Gone { at: ms(*at), broker: Some(1) }).collect(),
            led: led.chain([elsewhere]).collect(),
        };
        let phases = Phases::of(&chronicle, 0, &Pause { begun: ms(begun), ended: ms(1300) }, ms(1000));
        (phases.detection_ms, phases.election_ms, phases.client_ms)
    }

    #[test]
    fn an_interruption_is_detection_then_election_then_client() {
        let led = [(500, Some(1)), (1100, None), (1150, Some(2)), (1250, Some(2)), (2000, Some(1))];
        assert_eq!(phases(&[200, 1040, 1200], &led, 990), (Some(40), Some(110), 150));
        assert_eq!(phases(&[1040], &led, 1020), (Some(20), Some(110), 150), "it began after the fault");
    }

    #[test]
    fn what_did_not_happen_is_no_part_of_it() {
        assert_eq!(
            phases(&[1200], &[(1100, Some(2))], 990),
            (None, Some(100), 200),
            "handed over before the end"
        );
        assert_eq!(
            phases(&[1040], &[(1400, Some(2))], 990),
            (Some(40), None, 260),
            "a leader that came too late"
        );
        assert_eq!(phases(&[], &[], 990), (None, None, 300));
    }
}
