//! When a broker that is cut off may be stopped for it. Pure: the watchdog looks and acts, and the model in
//! `tests/model` searches what comes of these very functions in a world where everything fails.
//!
//! The invariant: a broker is stopped only where every partition in whose ISR it is keeps `min.insync.replicas` among
//! brokers that have been heard since it was asked for, each of which the controller may make leader without losing a
//! record. Being registered is not being heard: a registration outlives its broker by a session, and by more where
//! ZooKeeper's leader changes meanwhile.
//!
//! Nobody has a turn. Of two brokers in one ISR each needs the other's word, a watchdog that asks gives none, and one
//! that has given its own isn't cut off for [`ROUNDS`](super::rounds::ROUNDS) more: so neither is stopped on the word of
//! one that is going.

use super::rounds::is_apart;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A broker is stopped at most this long after it was asked for, by a clock that counts suspension, or all starts over.
/// Others look for who is asked for each second, and then take up to 0.9 s to see whom they reach and as much to hear
/// their own broker; the rest is for reading the partitions.
pub(super) const ACT_WITHIN: Duration = Duration::from_secs(4);

/// What a watchdog writes where another one asks for its own broker to be stopped: its broker has just answered it, and
/// isn't cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// The transaction that asked.
    pub asked: i64,
    /// The transaction that registered the broker that answered.
    pub registered: i64,
    /// The brokers whose hosts it reaches.
    pub reaches: BTreeSet<i32>,
}

/// A partition that has the broker in its ISR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its leader, -1 for none.
    pub leader: i32,
    /// Its replicas in sync.
    pub isr: Vec<i32>,
    /// How many must have a record.
    pub min_insync: usize,
    /// The transaction that wrote the ISR.
    pub written: i64,
}

/// What is known when it is decided whether a broker may be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The broker.
    pub broker: i32,
    /// The other brokers whose hosts it reaches.
    pub reaches: BTreeSet<i32>,
    /// The others that it won't take out of an ISR until it is stopped, as far as is known: it has reached their hosts
    /// less than `replica.lag.time.max.ms` before that.
    pub kept: BTreeSet<i32>,
    /// The transaction that asked.
    pub asked: i64,
    /// All registered brokers, with the transaction that registered each.
    pub registered: BTreeMap<i32, i64>,
    /// The controller.
    pub controller: Option<i32>,
    /// What others' watchdogs say of their brokers.
    pub vouchers: BTreeMap<i32, Voucher>,
    /// The partitions in whose ISR the broker is.
    pub partitions: Vec<Partition>,
}

/// Why a broker can't be spared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSpared {
    /// A partition would have too few replicas in sync.
    #[error("{topic}-{partition} would have {left} of {min_insync} replicas in sync")]
    TooFew {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many of its ISR are left without the broker.
        left: usize,
        /// How many it needs.
        min_insync: usize,
    },
    /// A broker that is needed, since it is in the same ISR or the controller, has not been heard.
    #[error("broker {broker} is needed, and nobody vouches for it")]
    NotHeard {
        /// That broker.
        broker: i32,
    },
    /// A broker registered after the ISR that it is in was written. It may have lost the end of its log with its host.
    #[error("broker {broker} has registered since {topic}-{partition} had its replicas in sync")]
    Returned {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// That broker.
        broker: i32,
    },
    /// The broker leads a partition, and may take another one out of its ISR before it is stopped.
    #[error("broker {broker} may be taken out of those in sync for {topic}-{partition} at any moment")]
    Lagging {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// That other one.
        broker: i32,
    },
    /// Brokers that are to work together don't reach each other.
    #[error("broker {from} doesn't reach broker {to}")]
    OutOfReach {
        /// One.
        from: i32,
        /// The other.
        to: i32,
    },
    /// It is not cut off: with those who reach it, it is on no smaller side.
    #[error("those who answer reach this broker")]
    Reached,
    /// Nobody is there who would have others lead.
    #[error("there is no controller")]
    NoController,
    /// Nothing waits for it.
    #[error("each partition that it leads reaches its replicas in sync")]
    NothingGained,
}

impl Look {
    /// Whether the broker can be stopped without harm, and something is gained by it.
    ///
    /// # Errors
    /// The first thing in the way.
    pub fn may_disrupt(&self) -> Result<(), NotSpared> {
        if !self.is_apart() {
            return Err(NotSpared::Reached);
        }
        let elect = self.elect()?;
        let mut gained = false;
        for partition in self.partitions.iter().filter(|partition| partition.isr.contains(&self.broker)) {
            let rest: BTreeSet<i32> = partition.isr.iter().copied().filter(|id| *id != self.broker).collect();
            self.can_do_without(partition, &rest, &elect)?;
            gained |= partition.leader == self.broker && !rest.is_subset(&self.reaches);
        }
        if gained { Ok(()) } else { Err(NotSpared::NothingGained) }
    }

    /// Whether another broker should be the controller: this one is it, reaches too few to tell them anything, and somebody
    /// who reaches most was heard. No data moves by it, and nobody who leads ceases to.
    pub fn hands_over(&self) -> bool {
        self.controller == Some(self.broker)
            && self.is_apart()
            && self.vouchers.keys().any(|id| self.voucher(*id).is_ok())
    }

    /// Whether it is cut off by what others say as well: a connection that came about from there shows a way in both
    /// directions, and whoever can't make one here may have no more ports.
    fn is_apart(&self) -> bool {
        let reach_it =
            |id: &&i32| self.voucher(**id).is_ok_and(|voucher| voucher.reaches.contains(&self.broker));
        let linked: BTreeSet<i32> =
            self.vouchers.keys().filter(reach_it).chain(&self.reaches).copied().collect();
        is_apart(self.registered.keys().filter(|id| **id != self.broker).count(), linked.len())
    }

    /// Those who will have others lead: the controller, or where the broker is that itself, whoever follows it.
    fn elect(&self) -> Result<BTreeSet<i32>, NotSpared> {
        match self.controller {
            None => Err(NotSpared::NoController),
            Some(controller) if controller != self.broker => Ok([controller].into()),
            Some(_) => Ok(self.registered.keys().copied().filter(|id| *id != self.broker).collect()),
        }
    }

    /// Whether all that are left in an ISR are heard, have all of its records, and reach each other and who elects: any
    /// of them may be made leader.
    fn can_do_without(
        &self,
        partition: &Partition,
        rest: &BTreeSet<i32>,
        elect: &BTreeSet<i32>,
    ) -> Result<(), NotSpared> {
        let Partition { topic, partition: number, min_insync, written, .. } = partition;
        if rest.len() < *min_insync {
            let (topic, left) = (topic.clone(), rest.len());
            return Err(NotSpared::TooFew { topic, partition: *number, left, min_insync: *min_insync });
        }
        for broker in rest {
            let voucher = self.voucher(*broker)?;
            if voucher.registered > *written {
                let topic = topic.clone();
                return Err(NotSpared::Returned { topic, partition: *number, broker: *broker });
            }
            if partition.leader == self.broker && !self.kept.contains(broker) {
                let topic = topic.clone();
                return Err(NotSpared::Lagging { topic, partition: *number, broker: *broker });
            }
            for peer in rest.union(elect).filter(|peer| *peer != broker) {
                for (from, to) in [(broker, peer), (peer, broker)] {
                    if !self.voucher(*from)?.reaches.contains(to) {
                        return Err(NotSpared::OutOfReach { from: *from, to: *to });
                    }
                }
            }
        }
        Ok(())
    }

    /// What is said of a broker, where it answers this very question and is of its present registration.
    fn voucher(&self, broker: i32) -> Result<&Voucher, NotSpared> {
        let voucher = self.vouchers.get(&broker).filter(|voucher| {
            voucher.asked == self.asked && self.registered.get(&broker) == Some(&voucher.registered)
        });
        voucher.ok_or(NotSpared::NotHeard { broker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broker 1 leads a partition and reaches nobody; the others are all heard and reach each other.
    fn cut_off() -> Look {
        let vouch = |id: i32| {
            let reaches = (2..=5).filter(|to| *to != id).collect();
            (id, Voucher { asked: 90, registered: i64::from(id), reaches })
        };
        Look {
            broker: 1,
            reaches: [].into(),
            kept: (2..=5).collect(),
            asked: 90,
            registered: (1..=5).map(|id| (id, i64::from(id))).collect(),
            controller: Some(4),
            vouchers: (2..=5).map(vouch).collect(),
            partitions: vec![partition(1, &[1, 2, 3])],
        }
    }

    fn partition(leader: i32, isr: &[i32]) -> Partition {
        Partition { topic: "t".into(), partition: 0, leader, isr: isr.to_vec(), min_insync: 2, written: 50 }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Look)) -> NotSpared {
        assert_eq!(cut_off().may_disrupt(), Ok(()), "the detector");
        let mut look = cut_off();
        change(&mut look);
        look.may_disrupt().unwrap_err()
    }

    #[test]
    fn a_registration_is_no_sign_of_life() {
        for broker in [2, 3] {
            assert_eq!(refused(|look| drop(look.vouchers.remove(&broker))), NotSpared::NotHeard { broker });
            let another = |look: &mut Look| look.vouchers.get_mut(&broker).unwrap().asked -= 1;
            assert_eq!(refused(another), NotSpared::NotHeard { broker }, "to another question");
            let before = |look: &mut Look| *look.registered.get_mut(&broker).unwrap() = 40;
            assert_eq!(refused(before), NotSpared::NotHeard { broker }, "of a registration before");
        }
    }

    #[test]
    fn an_isr_lasts_until_the_broker_is_stopped() {
        let lagging = NotSpared::Lagging { topic: "t".into(), partition: 0, broker: 3 };
        assert_eq!(refused(|look| look.kept.retain(|id| *id != 3)), lagging);
        // Where another one leads, the broker takes nobody out.
        let mut led_elsewhere = cut_off();
        led_elsewhere.partitions.push(partition(4, &[1, 4, 5]));
        led_elsewhere.kept.remove(&5);
        assert_eq!(led_elsewhere.may_disrupt(), Ok(()));
    }

    #[test]
    fn every_partition_with_the_broker_in_its_isr_keeps_enough_in_sync() {
        for isr in [&[1, 2][..], &[1]] {
            let led_elsewhere = |look: &mut Look| look.partitions.push(partition(2, isr));
            let led_here = |look: &mut Look| look.partitions.push(partition(1, isr));
            let too_few =
                NotSpared::TooFew { topic: "t".into(), partition: 0, left: isr.len() - 1, min_insync: 2 };
            assert_eq!((refused(led_elsewhere), refused(led_here)), (too_few.clone(), too_few));
        }
    }

    #[test]
    fn a_replica_may_lack_records_where_it_registered_after_its_isr_was_written() {
        let back = |look: &mut Look| {
            look.registered.insert(3, 51);
            look.vouchers.get_mut(&3).unwrap().registered = 51;
        };
        assert_eq!(refused(back), NotSpared::Returned { topic: "t".into(), partition: 0, broker: 3 });
    }

    #[test]
    fn a_broker_that_others_reach_is_not_cut_off() {
        let some = |ids: &'static [i32]| {
            move |look: &mut Look| {
                for id in ids {
                    look.vouchers.get_mut(id).unwrap().reaches.insert(1);
                }
            }
        };
        assert_eq!(refused(some(&[2, 3])), NotSpared::Reached);
        let mut one = cut_off();
        some(&[2])(&mut one);
        assert_eq!(one.may_disrupt(), Ok(()), "more than half of all are beyond its reach");
        let mut controls = cut_off();
        controls.controller = Some(1);
        some(&[2, 3])(&mut controls);
        assert!(!controls.hands_over());
    }

    #[test]
    fn who_is_left_reaches_each_other_and_the_controller() {
        for (from, to) in [(2, 3), (2, 4), (3, 4), (4, 2), (4, 3)] {
            let cut = |look: &mut Look| look.vouchers.get_mut(&from).unwrap().reaches.retain(|id| *id != to);
            assert_eq!(refused(cut), NotSpared::OutOfReach { from, to });
        }
    }

    #[test]
    fn somebody_who_is_heard_elects() {
        assert_eq!(refused(|look| look.controller = None), NotSpared::NoController);
        assert_eq!(refused(|look| drop(look.vouchers.remove(&4))), NotSpared::NotHeard { broker: 4 });
        // Where the broker is the controller itself, any other may be the next one.
        let is_it = |look: &mut Look| {
            look.controller = Some(1);
            look.vouchers.remove(&5);
        };
        assert_eq!(refused(is_it), NotSpared::NotHeard { broker: 5 });
    }

    #[test]
    fn only_a_controller_hands_over_and_only_where_somebody_is_heard() {
        let mut look = cut_off();
        assert!(!look.hands_over());
        look.controller = Some(1);
        assert!(look.hands_over());
        look.vouchers.values_mut().for_each(|voucher| voucher.asked -= 1);
        assert!(!look.hands_over(), "to another question");
    }

    #[test]
    fn nobody_is_stopped_for_nothing() {
        for led in [partition(2, &[1, 2]), partition(1, &[1, 2])] {
            // It reaches one of four, and that one has all it needs.
            let reached = |look: &mut Look| {
                (look.reaches, look.partitions) = ([2].into(), vec![Partition { min_insync: 1, ..led }]);
            };
            assert_eq!(refused(reached), NotSpared::NothingGained);
        }
        assert_eq!(refused(|look| look.partitions.clear()), NotSpared::NothingGained);
    }
}
