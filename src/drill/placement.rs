//! Where the replicas of the probe's topic lie, and which brokers can be lost so that each partition keeps one. Pure.

/// The brokers of each partition's replicas, the preferred leader first: that many in a row, the next partition beginning
/// with the next broker. Every broker leads as many as any other, and any two have a partition in common where there
/// are at most two more than replicas.
pub(super) fn ring(brokers: &[i32], partitions: i32, replicas: usize) -> Vec<Vec<i32>> {
    let in_a_row =
        |first: usize| brokers.iter().cycle().skip(first).take(replicas.min(brokers.len())).copied();
    let firsts = (0..brokers.len()).cycle().take(usize::try_from(partitions).unwrap_or_default());
    firsts.map(|first| in_a_row(first).collect()).collect()
}

/// More than half.
pub(super) fn majority(brokers: usize) -> usize {
    brokers / 2 + 1
}

/// Places of `lost` of so many brokers in a ring, such that among any `replicas` in a row one is not lost; `None` where
/// there are none such.
pub(super) fn spread(brokers: usize, lost: usize, replicas: usize) -> Option<Vec<usize>> {
    let left = brokers.checked_sub(lost).filter(|left| *left > 0)?;
    // The survivors as far from each other as can be.
    let survivors: Vec<usize> = (1..=left).map(|number| number * brokers / left - 1).collect();
    let longest_run = lost.div_ceil(left);
    (longest_run < replicas).then(|| (0..brokers).filter(|place| !survivors.contains(place)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_gives_each_broker_its_share() {
        let placed = ring(&[1, 2, 3, 4, 5], 10, 3);
        assert_eq!(placed[3..5], [vec![4, 5, 1], vec![5, 1, 2]]);
        for broker in 1..=5 {
            assert_eq!(placed.iter().filter(|replicas| replicas[0] == broker).count(), 2);
            assert_eq!(placed.iter().filter(|replicas| replicas.contains(&broker)).count(), 6);
        }
        assert_eq!(ring(&[7], 2, 3), [[7], [7]]);
    }

    #[test]
    fn each_partition_keeps_a_replica_where_a_majority_is_lost() {
        assert_eq!(spread(5, 3, 3), Some(vec![0, 2, 3]));
        for brokers in 1..12_usize {
            for replicas in 1..=brokers {
                let ids: Vec<i32> = (0..).take(brokers).collect();
                let placed = ring(&ids, i32::try_from(brokers).unwrap() * 2, replicas);
                let survives = |lost: &[usize]| {
                    let left = |id: &i32| !lost.contains(&usize::try_from(*id).unwrap());
                    placed.iter().all(|replicas| replicas.iter().any(left))
                };
                match spread(brokers, majority(brokers), replicas) {
                    Some(lost) => assert!(lost.len() == majority(brokers) && survives(&lost)),
                    None => {
                        let sets = (0..1_u32 << brokers)
                            .filter(|set| set.count_ones() as usize == majority(brokers));
                        let places =
                            |set: u32| (0..brokers).filter(|place| set >> place & 1 == 1).collect::<Vec<_>>();
                        assert!(
                            !sets.map(places).any(|lost| survives(&lost)),
                            "{brokers}, {replicas}: there is a way"
                        );
                    }
                }
            }
        }
    }
}
