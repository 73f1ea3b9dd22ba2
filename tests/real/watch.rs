//! Watches a cluster over the wire while something else changes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use octad::kafka::{BrokerAnswer, ClusterView, Kafka, Timeouts};
use octad::wire::{NetworkWire, Wire as _};

use crate::client::wait_for;

/// What was seen, from the first look to the last.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often it was looked at.
    pub(crate) looks: usize,
    /// The most brokers that did not answer or were not registered at once, with their addresses or ids.
    pub(crate) most_away: Vec<String>,
    /// The fewest replicas in sync that any partition had, and which partition.
    pub(crate) fewest_in_sync: Option<(usize, String)>,
    /// What went wrong with looks that gave nothing.
    pub(crate) failures: BTreeMap<String, usize>,
}

/// A thread that watches.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// A client of the cluster.
pub(crate) fn kafka(bootstrap: &str) -> Arc<dyn Kafka> {
    let bootstrap: Vec<String> = bootstrap.split(',').map(str::to_owned).collect();
    NetworkWire::default().kafka(&bootstrap, &[])
}

/// The cluster as it is now.
pub(crate) fn describe(bootstrap: &str) -> ClusterView {
    wait_for(async { kafka(bootstrap).describe().await }).unwrap()
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn begin(bootstrap: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let bootstrap: Vec<String> = bootstrap.split(',').map(str::to_owned).collect();
        let flag = over.clone();
        let thread = std::thread::spawn(move || wait_for(watch(bootstrap, &flag)));
        Self { over, thread }
    }

    /// Ends it; what was seen.
    pub(crate) fn end(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn watch(bootstrap: Vec<String>, over: &AtomicBool) -> Seen {
    // Eight servers and their clients share two cores: slow is not away.
    let kafka = Timeouts { answer: Duration::from_secs(10), ..Timeouts::default() };
    let kafka = NetworkWire::new(kafka, octad::zookeeper::Timeout::default()).kafka(&bootstrap, &[]);
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        match kafka.describe().await {
            Ok(view) => seen.note(&view, bootstrap.len()),
            Err(error) => *seen.failures.entry(error.to_string()).or_default() += 1,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    seen
}

impl Seen {
    fn note(&mut self, view: &ClusterView, brokers: usize) {
        self.looks += 1;
        let silent = view.answers.iter().filter_map(|(address, answer)| match answer {
            BrokerAnswer::Silent { why, .. } => Some(format!("{address}: {why}")),
            BrokerAnswer::Answered { .. } => None,
        });
        let ids = 1..=i32::try_from(brokers).unwrap();
        let unregistered = ids.filter(|id| !view.brokers.contains_key(id)).map(|id| format!("broker {id}"));
        for away in [silent.collect::<Vec<_>>(), unregistered.collect()] {
            if away.len() > self.most_away.len() {
                self.most_away = away;
            }
        }
        for (topic, found) in &view.topics {
            for (partition, state) in &found.partitions {
                let fewest = self.fewest_in_sync.as_ref().map_or(usize::MAX, |(fewest, _)| *fewest);
                if state.isr.len() < fewest {
                    self.fewest_in_sync = Some((state.isr.len(), format!("{topic}-{partition}")));
                }
            }
        }
    }
}
