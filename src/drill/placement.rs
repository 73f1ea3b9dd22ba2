//! Where the replicas of the probe's topic lie, and which brokers can be lost so that each partition keeps one. Pure.

use std::collections::BTreeSet;

/// A broker and its failure domain.
pub(super) type Zoned<'a> = (i32, &'a str);

/// The brokers of each partition's replicas, the preferred leader first: that many in a row, the next partition beginning
/// with the next broker. One whose zone has a replica already is passed over as long as there are other zones. Where each
/// broker is its own zone, every broker leads as many as any other, and any two have a partition in common where there are
/// at most two more than replicas.
pub(super) fn ring(brokers: &[Zoned<'_>], partitions: i32, replicas: usize) -> Vec<Vec<i32>> {
    let row = |first: usize| {
        let in_a_row = brokers.iter().cycle().skip(first).take(brokers.len());
        let mut taken = BTreeSet::new();
        let (spread, left): (Vec<&Zoned<'_>>, Vec<&Zoned<'_>>) =
            in_a_row.partition(|(_, zone)| taken.insert(*zone));
        spread.into_iter().chain(left).map(|(id, _)| *id).take(replicas).collect()
    };
    let firsts = (0..brokers.len()).cycle().take(usize::try_from(partitions).unwrap_or_default());
    firsts.map(row).collect()
}

/// More than half.
pub(super) fn majority(brokers: usize) -> usize {
    brokers / 2 + 1
}

/// So many of the brokers, from the one at place `first` on, without which each partition of [`ring`] keeps a replica;
/// `None` where there are none such.
pub(super) fn spread(brokers: &[Zoned<'_>], lost: usize, replicas: usize, first: usize) -> Option<Vec<i32>> {
    let all = brokers.len();
    let left = all.checked_sub(lost).filter(|left| *left > 0)?;
    let placed = ring(brokers, i32::try_from(all).unwrap_or(i32::MAX), replicas);
    // The survivors as far from each other as can be.
    let survivors: BTreeSet<usize> = (1..=left).map(|number| number * all / left - 1).collect();
    let losing = |first: usize| -> Vec<i32> {
        let places = (0..all).filter(|place| !survivors.contains(place));
        places.map(|place| brokers[(first + place) % all].0).collect()
    };
    let keeps_one = |lost: &Vec<i32>| placed.iter().all(|row| row.iter().any(|id| !lost.contains(id)));
    (first..first + all).map(losing).find(keeps_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brokers of which each is its own zone.
    fn apart(count: i32) -> Vec<Zoned<'static>> {
        const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        (1..=count).zip(NAMES).collect()
    }

    #[test]
    fn a_ring_gives_each_broker_its_share() {
        let placed = ring(&apart(5), 10, 3);
        assert_eq!(placed[3..5], [vec![4, 5, 1], vec![5, 1, 2]]);
        for broker in 1..=5 {
            assert_eq!(placed.iter().filter(|replicas| replicas[0] == broker).count(), 2);
            assert_eq!(placed.iter().filter(|replicas| replicas.contains(&broker)).count(), 6);
        }
        assert_eq!(ring(&[(7, "a")], 2, 3), [[7], [7]]);
    }

    #[test]
    fn no_zone_has_two_replicas_while_another_has_none() {
        let brokers = [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "b")];
        assert_eq!(ring(&brokers, 5, 3), [[1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 3], [5, 1, 3]]);
        assert_eq!(ring(&brokers, 1, 4), [[1, 2, 3, 4]]);
        assert_eq!(ring(&[(1, "a"), (2, "a"), (3, "b")], 2, 2), [[1, 3], [2, 3]]);
    }

    #[test]
    fn each_partition_keeps_a_replica_where_a_majority_is_lost() {
        assert_eq!(spread(&apart(5), 3, 3, 0), Some(vec![1, 3, 4]));
        assert_eq!(spread(&apart(5), 3, 3, 4), Some(vec![5, 2, 3]));
        let divided = [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b")];
        assert_eq!(spread(&divided, 3, 2, 0), Some(vec![5, 2, 3]), "4 or 1 has each partition");
        for brokers in 1..12 {
            let all = apart(brokers);
            for replicas in 1..=all.len() {
                let placed = ring(&all, brokers * 2, replicas);
                let survives =
                    |lost: &[i32]| placed.iter().all(|replicas| replicas.iter().any(|id| !lost.contains(id)));
                match spread(&all, majority(all.len()), replicas, 0) {
                    Some(lost) => assert!(lost.len() == majority(all.len()) && survives(&lost)),
                    None => {
                        let sets = (0..1_u32 << brokers)
                            .filter(|set| set.count_ones() as usize == majority(all.len()));
                        let ids = |set: u32| {
                            (1..=brokers).filter(|id| set >> (id - 1) & 1 == 1).collect::<Vec<_>>()
                        };
                        assert!(
                            !sets.map(ids).any(|lost| survives(&lost)),
                            "{brokers}, {replicas}: there is a way"
                        );
                    }
                }
            }
        }
    }
}
