//! A consumer group that reads along, as the users' services do.

use super::background::{Background, Over, let_go};
use super::{Assignment, PROMPT};
use crate::drill::error::DrillError;
use crate::drill::record::Mark;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::message::Message as _;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What came to the group from one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivered {
    /// When a record came, ascending.
    pub(crate) moments: Vec<Duration>,
    /// The sequence numbers that came.
    pub(crate) sequences: BTreeSet<u64>,
}

/// A consumer at work.
pub(crate) struct Consumer {
    partitions: Arc<Mutex<Vec<Delivered>>>,
    rebalances: Arc<AtomicU64>,
    reader: Background,
}

/// Counts how often the group's partitions are dealt out.
struct Observer(Arc<AtomicU64>);

impl ClientContext for Observer {}

impl ConsumerContext for Observer {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Consumer {
    /// Begins to read, as a group of its own.
    ///
    /// # Errors
    /// Where librdkafka doesn't take its settings.
    pub(crate) fn start(assignment: &Assignment) -> Result<Self, DrillError> {
        let rebalances = Arc::new(AtomicU64::new(0));
        let failed = |source| DrillError::Client { action: "make a consumer", source };
        let client: BaseConsumer<Observer> = assignment
            .client()
            .set("group.id", group(assignment))
            .set("auto.offset.reset", "earliest")
            .set("fetch.error.backoff.ms", "20")
            .set("fetch.queue.backoff.ms", "20")
            // An idle fetch is answered at the first record; this bounds only how long a lost one is waited for.
            .set("fetch.wait.max.ms", "200")
            .create_with_context(Observer(rebalances.clone()))
            .map_err(failed)?;
        client.subscribe(&[&assignment.topic]).map_err(failed)?;
        let count = usize::try_from(assignment.partitions).unwrap_or_default();
        let partitions = Arc::new(Mutex::new(vec![Delivered::default(); count]));
        let (assignment, came) = (assignment.clone(), partitions.clone());
        let reader = Background::start(move |over| {
            read(&assignment, &client, &came, over);
            let_go(client);
        });
        Ok(Self { partitions, rebalances, reader })
    }

    /// How many different records have come from each partition.
    pub(crate) fn counts(&self) -> Vec<usize> {
        let partitions = self.partitions.lock().expect("no holder of the deliveries panics");
        partitions.iter().map(|delivered| delivered.sequences.len()).collect()
    }

    /// How often the group's partitions were dealt out.
    pub(crate) fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    /// Stops reading and gives what came. Blocks.
    pub(crate) fn finish(mut self) -> Vec<Delivered> {
        self.reader.stop();
        self.partitions.lock().expect("no holder of the deliveries panics").clone()
    }

    /// Takes the probe's groups off the cluster. One that stays is forgotten by Kafka after a week.
    pub(crate) async fn forget_groups(assignment: &Assignment) {
        let admin: Result<AdminClient<DefaultClientContext>, _> = assignment.client().create();
        if let Ok(admin) = admin {
            let options = AdminOptions::new().request_timeout(Some(PROMPT));
            let groups = [group(assignment), assignment.second_reader()];
            let _ = admin.delete_groups(&groups.each_ref().map(String::as_str), &options).await;
        }
    }
}

fn group(assignment: &Assignment) -> String {
    format!("{}-readers", assignment.topic)
}

fn read(
    assignment: &Assignment,
    client: &BaseConsumer<Observer>,
    partitions: &Mutex<Vec<Delivered>>,
    over: &Over,
) {
    while !over.is_set() {
        // Failures are the fault's doing; they show in what doesn't come.
        let Some(Ok(message)) = client.poll(Duration::from_millis(100)) else { continue };
        let at = assignment.epoch.elapsed();
        let Some(mark) = message.payload().and_then(Mark::decode) else { continue };
        let mut partitions = partitions.lock().expect("no holder of the deliveries panics");
        let delivered = usize::try_from(message.partition()).ok().and_then(|place| partitions.get_mut(place));
        if let Some(delivered) = delivered.filter(|_| mark.run == assignment.run) {
            delivered.moments.push(at);
            delivered.sequences.insert(mark.sequence);
        }
    }
}
