//! Looks at the cluster over the wire at a short interval while a drill runs: controller, leaders, replicas in sync.

use super::chronicle::{Chronicle, Led};
use crate::kafka::{self, PartitionView, TopicPartition};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// From the end of one look to the begin of the next.
const PAUSE: Duration = Duration::from_millis(50);

/// How many times as long as a look itself the pause behind it is: thousands of partitions mustn't keep a processor busy
/// with being looked at.
const REST: u32 = 4;

/// The longest such pause: a look that nobody answered is no work for anybody.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A broker that doesn't answer in this time is told of as silent, and the look goes on without it. Short, since a
/// frozen one would make every look this long.
const PATIENCE: kafka::Timeouts = kafka::Timeouts {
    connect: Duration::from_millis(300),
    answer: Duration::from_millis(500),
    change: Duration::from_secs(30),
};

/// What one look saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it was complete.
    pub at: Duration,
    /// The controller that most brokers named.
    pub controller: Option<i32>,
    /// Leader and replicas in sync of each partition of the probe's topic, by number.
    pub partitions: BTreeMap<i32, (Option<i32>, Vec<i32>)>,
    /// Partitions of all topics that lack a replica in sync.
    pub under_replicated: usize,
    /// Partitions of all topics that refuse records for want of replicas in sync.
    pub under_min_isr: usize,
}

impl Sample {
    fn of(
        at: Duration,
        controller: Option<i32>,
        seen: BTreeMap<TopicPartition, PartitionView>,
        topic: &str,
        required: &BTreeMap<String, u32>,
    ) -> Self {
        let lacks = |state: &PartitionView| state.isr.len() < state.replicas.len();
        // As the leader itself counts: no more than there are replicas.
        let breaches = |name: &TopicPartition, state: &PartitionView| {
            let required = required.get(&name.topic).map_or(1, |required| *required as usize);
            state.isr.len() < required.min(state.replicas.len())
        };
        Self {
            at,
            controller,
            under_replicated: seen.values().filter(|state| lacks(state)).count(),
            under_min_isr: seen.iter().filter(|(name, state)| breaches(name, state)).count(),
            partitions: seen
                .into_iter()
                .filter(|(name, _)| name.topic == topic)
                .map(|(name, state)| (name.partition, (state.leader, state.isr)))
                .collect(),
        }
    }
}

impl Sample {
    /// Who leads each partition of the probe's topic.
    fn led(&self) -> impl Iterator<Item = Led> {
        let led = |(partition, (leader, isr)): (&i32, &(Option<i32>, Vec<i32>))| Led {
            at: self.at,
            partition: *partition,
            leader: *leader,
            isr: isr.clone(),
        };
        self.partitions.iter().map(led)
    }
}

/// A watch at work.
pub(super) struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to look at the cluster with these brokers, whose topics require so many replicas in sync.
    pub(super) fn start(
        bootstrap: Vec<String>,
        topic: String,
        required: BTreeMap<String, u32>,
        epoch: Instant,
    ) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let seen = samples.clone();
        let task = tokio::spawn(async move {
            let client = kafka::Client::new(bootstrap, PATIENCE);
            loop {
                let begun = Instant::now();
                // A look that fails shows as a hole between two others.
                if let Ok((controller, partitions)) = client.partitions().await {
                    let sample = Sample::of(epoch.elapsed(), controller, partitions, &topic, &required);
                    seen.lock().expect("no holder of the samples panics").push(sample);
                }
                tokio::time::sleep((begun.elapsed() * REST).clamp(PAUSE, LONGEST_PAUSE)).await;
            }
        });
        Self { samples, task }
    }

    /// The last look.
    pub(super) fn last(&self) -> Option<Sample> {
        self.samples.lock().expect("no holder of the samples panics").last().cloned()
    }

    /// Stops looking and gives what was seen.
    pub(super) fn finish(self) -> Vec<Sample> {
        self.samples.lock().expect("no holder of the samples panics").clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the samples of a drill tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replication {
    /// From the fault until no partition of any topic lacked a replica any more, in milliseconds; `None` where that
    /// wasn't seen.
    pub whole_after_ms: Option<u64>,
    /// The most partitions that were under `min.insync.replicas` at once.
    pub under_min_isr: usize,
    /// How often a replica was seen to lead that had not been in sync in the look before.
    pub unclean_elections: usize,
    /// Changes of leaders that were seen.
    pub elections: usize,
    /// How many looks were had.
    pub looks: usize,
    /// The longest time between two looks, in milliseconds: what is shorter may have been missed.
    pub longest_blind_ms: u64,
}

impl Replication {
    /// What samples and chronicle tell of the time since the fault. Leaders are the chronicle's, which misses none;
    /// where it is empty, those that the samples show.
    pub fn of(samples: &[Sample], chronicle: &Chronicle, fault: Duration) -> Self {
        let since = samples.partition_point(|sample| sample.at < fault);
        let after = &samples[since..];
        let last_lack = after.iter().rposition(|sample| sample.under_replicated > 0);
        let whole = match last_lack {
            // Nothing lacked a replica in any look.
            None => after.first().map(|_| fault),
            Some(place) => after.get(place + 1).map(|sample| sample.at),
        };
        let mut told = Self {
            whole_after_ms: whole.map(|at| super::pauses::millis(at.saturating_sub(fault))),
            under_min_isr: after.iter().map(|sample| sample.under_min_isr).max().unwrap_or(0),
            looks: after.len(),
            ..Self::default()
        };
        for pair in samples[since.saturating_sub(1)..].windows(2) {
            let blind = super::pauses::millis(pair[1].at.saturating_sub(pair[0].at));
            told.longest_blind_ms = told.longest_blind_ms.max(blind);
        }
        let sampled = || samples.iter().flat_map(Sample::led).collect::<Vec<_>>();
        let led = if chronicle.led.is_empty() { &sampled() } else { &chronicle.led };
        // As last known of each partition, over times in which nobody leads.
        let mut known: BTreeMap<i32, &Led> = BTreeMap::new();
        for led in led.iter().filter(|led| led.leader.is_some()) {
            let before = known.insert(led.partition, led);
            let Some(before) = before.filter(|before| led.at >= fault && before.leader != led.leader) else {
                continue;
            };
            told.elections += 1;
            told.unclean_elections +=
                usize::from(!led.leader.is_some_and(|leader| before.isr.contains(&leader)));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, leader: Option<i32>, isr: &[i32], under_replicated: usize) -> Sample {
        Sample {
            at: Duration::from_millis(at),
            controller: Some(1),
            partitions: [(0, (leader, isr.to_vec()))].into(),
            under_replicated,
            under_min_isr: usize::from(isr.len() < 2),
        }
    }

    #[test]
    fn a_look_counts_what_lacks_replicas_and_what_refuses_records() {
        let state = |isr: &[i32]| PartitionView {
            leader: isr.first().copied(),
            replicas: vec![1, 2, 3],
            isr: isr.to_vec(),
            offline: vec![],
        };
        let seen = [("mine", 0, state(&[1, 2, 3])), ("mine", 1, state(&[2, 3])), ("other", 0, state(&[3]))];
        let seen = seen.into_iter().map(|(topic, number, state)| (TopicPartition::new(topic, number), state));
        let required = [("mine".to_owned(), 2), ("other".to_owned(), 2)].into();
        let sample = Sample::of(Duration::ZERO, Some(1), seen.collect(), "mine", &required);
        assert_eq!((sample.under_replicated, sample.under_min_isr), (2, 1));
        assert_eq!(sample.partitions, [(0, (Some(1), vec![1, 2, 3])), (1, (Some(2), vec![2, 3]))].into());
    }

    #[test]
    fn samples_tell_of_recovery_and_of_elections() {
        let samples = [
            sample(50, Some(1), &[1, 2, 3], 0),
            sample(150, None, &[2, 3], 4),
            sample(250, Some(2), &[2, 3], 4),
            sample(600, Some(2), &[2, 3, 1], 0),
            sample(700, Some(1), &[2, 3, 1], 0),
        ];
        let told = Replication::of(&samples, &Chronicle::default(), Duration::from_millis(100));
        assert_eq!(
            told,
            Replication {
                whole_after_ms: Some(500),
                under_min_isr: 0,
                unclean_elections: 0,
                elections: 2,
                looks: 4,
                longest_blind_ms: 350,
            }
        );
    }

    #[test]
    fn a_leader_that_was_not_in_sync_is_told_of() {
        let samples = [sample(0, Some(1), &[1], 1), sample(10, None, &[1], 1), sample(20, Some(2), &[2], 1)];
        let told = Replication::of(&samples, &Chronicle::default(), Duration::from_millis(5));
        assert_eq!((told.unclean_elections, told.under_min_isr, told.whole_after_ms), (1, 1, None));

        let led = |at, leader, isr: &[i32]| Led {
            at: Duration::from_millis(at),
            partition: 0,
            leader,
            isr: isr.to_vec(),
        };
        // What came and went between two looks is in the chronicle.
        let led = vec![led(0, Some(1), &[1]), led(8, Some(2), &[2]), led(9, Some(1), &[2, 1])];
        let chronicle = Chronicle { led, ..Chronicle::default() };
        let told = Replication::of(&samples[..1], &chronicle, Duration::from_millis(5));
        assert_eq!((told.elections, told.unclean_elections), (2, 2));
    }
}
