//! Writes to every partition at a steady rate, and keeps the books of it.

use super::background::{Background, Over};
use super::{Assignment, PROMPT, RECORD};
use crate::drill::accounting::Outcome;
use crate::drill::error::DrillError;
use crate::drill::pauses;
use crate::drill::record::Mark;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the producer tries to hand a record over: longer than any fault of a drill lasts, so that nearly no outcome
/// is unknown.
const DELIVERY: Duration = Duration::from_secs(180);

/// What was written to one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// What became of each record, by sequence number.
    pub(crate) outcomes: Vec<Outcome>,
    /// When an acknowledgement came, ascending.
    pub(crate) acks: Vec<Duration>,
}

/// A producer at work.
pub(crate) struct Producer {
    books: Arc<Books>,
    client: ThreadedProducer<Clerk>,
    sender: Background,
}

struct Books {
    partitions: Mutex<Vec<Written>>,
    epoch: Instant,
}

/// Enters each delivery in the books.
struct Clerk(Arc<Books>);

impl ClientContext for Clerk {}

impl ProducerContext for Clerk {
    type DeliveryOpaque = Box<(i32, u64)>;

    fn delivery(&self, result: &DeliveryResult<'_>, place: Self::DeliveryOpaque) {
        let at = self.0.epoch.elapsed();
        let (partition, sequence) = *place;
        let outcome = match result {
            Ok(message) => Outcome::Acked { offset: Some(message.offset()).filter(|offset| *offset >= 0) },
            // Thrown out of the queue before it was sent.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue), _)) => Outcome::Failed,
            // Any other may have been written before the answer got lost.
            Err(_) => Outcome::Unknown,
        };
        self.0.note(partition, sequence, outcome, at);
    }
}

impl Books {
    fn note(&self, partition: i32, sequence: u64, outcome: Outcome, at: Duration) {
        let mut partitions = self.partitions.lock().expect("no holder of the books panics");
        let written = usize::try_from(partition).ok().and_then(|place| partitions.get_mut(place));
        let Some(written) = written else { return };
        if let Some(entry) = usize::try_from(sequence).ok().and_then(|place| written.outcomes.get_mut(place))
        {
            *entry = outcome;
        }
        if matches!(outcome, Outcome::Acked { .. }) {
            written.acks.push(at);
        }
    }

    /// The next sequence number of a partition; its outcome is unknown from now on.
    fn next(&self, partition: i32) -> u64 {
        let mut partitions = self.partitions.lock().expect("no holder of the books panics");
        let place = usize::try_from(partition).unwrap_or_default();
        let outcomes = &mut partitions[place].outcomes;
        outcomes.push(Outcome::Unknown);
        outcomes.len() as u64 - 1
    }
}

impl Producer {
    /// Begins to write, as a client that is set up to notice failures soon.
    ///
    /// # Errors
    /// Where librdkafka doesn't take its settings.
    pub(crate) fn attentive(assignment: &Assignment) -> Result<Self, DrillError> {
        let mut config = assignment.client();
        config
            .set("acks", &assignment.acks)
            // A producer that doesn't wait for all replicas can't be idempotent.
            .set("enable.idempotence", (assignment.acks == "all").to_string())
            // librdkafka begins all partitions anew where one answers out of order, and writes again there what is under
            // way elsewhere (its issue 4953): a defect of the client's, which mustn't count as the cluster's. Out of order
            // is only what overtakes another request.
            .set("max.in.flight.requests.per.connection", "1")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "1000000")
            .set("request.timeout.ms", "5000")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        Self::start(assignment, &config)
    }

    /// Begins to write, as librdkafka does where nobody sets anything.
    ///
    /// # Errors
    /// Where librdkafka doesn't take its settings.
    pub(crate) fn as_shipped(assignment: &Assignment) -> Result<Self, DrillError> {
        Self::start(assignment, ClientConfig::new().set("bootstrap.servers", &assignment.bootstrap))
    }

    fn start(assignment: &Assignment, config: &ClientConfig) -> Result<Self, DrillError> {
        let count = usize::try_from(assignment.partitions).unwrap_or_default();
        let books = Arc::new(Books {
            partitions: Mutex::new(vec![Written::default(); count]),
            epoch: assignment.epoch,
        });
        let client: ThreadedProducer<Clerk> = config
            .create_with_context(Clerk(books.clone()))
            .map_err(|source| DrillError::Client { action: "make a producer", source })?;
        let (assignment, entries, handing) = (assignment.clone(), books.clone(), client.clone());
        let sender = Background::start(move |over| send(&assignment, &entries, &handing, over));
        Ok(Self { books, client, sender })
    }

    /// How many partitions have had no acknowledgement yet.
    pub(crate) fn silent(&self) -> usize {
        self.acks_since(Duration::ZERO).iter().filter(|count| **count == 0).count()
    }

    /// How many acknowledgements each partition has had since `from`.
    pub(crate) fn acks_since(&self, from: Duration) -> Vec<usize> {
        let partitions = self.books.partitions.lock().expect("no holder of the books panics");
        let since = |written: &Written| written.acks.len() - written.acks.partition_point(|ack| *ack < from);
        partitions.iter().map(since).collect()
    }

    /// The longest time that any partition has gone without an acknowledgement since `from`.
    pub(crate) fn longest_pause(&self, from: Duration) -> Duration {
        let now = self.books.epoch.elapsed();
        let partitions = self.books.partitions.lock().expect("no holder of the books panics");
        let longest = |written: &Written| pauses::longest(&written.acks, from, now).length();
        partitions.iter().map(longest).max().unwrap_or_default()
    }

    /// Why the client gave up for good, where it did: an idempotent one does where it can't go on without a gap.
    pub(crate) fn gave_up(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(code, text)| format!("{code}: {text}"))
    }

    /// Stops writing, waits at most `patience` for what is under way, and gives the books. What is outstanding by then
    /// stays unknown. Blocks.
    pub(crate) fn finish(mut self, patience: Duration) -> Vec<Written> {
        self.sender.stop();
        // That not all could be handed over shows in the books.
        let _ = self.client.flush(patience);
        self.books.partitions.lock().expect("no holder of the books panics").clone()
    }
}

/// Writes to all partitions at the same moments, so that a broker has one request for those that it leads and its
/// followers one fetch: with one partition after the other, the brokers were busier with the probe than with the fault.
fn send(assignment: &Assignment, books: &Books, client: &ThreadedProducer<Clerk>, over: &Over) {
    let pause = Duration::from_secs(1) / assignment.rate.max(1);
    let mut due = Instant::now();
    while !over.is_set() {
        for partition in 0..assignment.partitions {
            let mark = Mark { run: assignment.run, partition, sequence: books.next(partition) };
            let payload = mark.encode(RECORD);
            let record: BaseRecord<'_, (), [u8], _> =
                BaseRecord::with_opaque_to(&assignment.topic, Box::new((partition, mark.sequence)))
                    .partition(partition)
                    .payload(&payload);
            if client.send(record).is_err() {
                // It never got into the queue.
                books.note(partition, mark.sequence, Outcome::Failed, Duration::ZERO);
            }
        }
        due += pause;
        let now = Instant::now();
        match due.checked_duration_since(now) {
            Some(early) => std::thread::sleep(early.min(PROMPT)),
            // A machine that stood still doesn't make up for it with a burst.
            None if now - due > Duration::from_secs(1) => due = now,
            None => {}
        }
    }
}
