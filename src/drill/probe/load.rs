//! Load: what the cluster has to carry beside the probe, in a topic of its own. Nobody accounts for it; the probe does
//! for the cluster.

use super::Assignment;
use super::background::{Background, Over};
use crate::drill::error::DrillError;
use rdkafka::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes of an event of user activity.
const EVENT: usize = 1000;

/// How often what is due is handed over.
const BEAT: Duration = Duration::from_millis(5);

/// A load at work.
pub(crate) struct Load {
    carried: Arc<AtomicU64>,
    begun: Instant,
    _sender: Background,
}

/// Counts what was acknowledged.
struct Counter(Arc<AtomicU64>);

impl ClientContext for Counter {}

impl ProducerContext for Counter {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            self.0.fetch_add(message.payload_len() as u64, Ordering::Relaxed);
        }
    }
}

impl Load {
    /// Begins to write `rate` bytes a second to `topic`, as many services would: idempotent, all replicas, lz4.
    ///
    /// # Errors
    /// Where librdkafka doesn't take its settings.
    pub(crate) fn start(assignment: &Assignment, topic: &str, rate: u64) -> Result<Self, DrillError> {
        let carried = Arc::new(AtomicU64::new(0));
        let client: ThreadedProducer<Counter> = assignment
            .client()
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("compression.type", "lz4")
            .set("request.timeout.ms", "5000")
            // What a loaded cluster doesn't take at once waits here; what doesn't fit is left out, not waited for.
            .set("queue.buffering.max.kbytes", "65536")
            .create_with_context(Counter(carried.clone()))
            .map_err(|source| DrillError::Client { action: "make a producer for the load", source })?;
        let topic = topic.to_owned();
        let sender = Background::start(move |over| send(&client, &topic, rate, over));
        Ok(Self { carried, begun: Instant::now(), _sender: sender })
    }

    /// Bytes a second that the cluster has acknowledged on average.
    pub(crate) fn carried(&self) -> u64 {
        let seconds = self.begun.elapsed().as_secs().max(1);
        self.carried.load(Ordering::Relaxed) / seconds
    }
}

fn send(client: &ThreadedProducer<Counter>, topic: &str, rate: u64, over: &Over) {
    let begun = Instant::now();
    let (mut number, mut due) = (0_u64, 0_u64);
    while !over.is_set() {
        let elapsed = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wanted = rate.saturating_mul(elapsed) / 1_000_000;
        while due + EVENT as u64 <= wanted && !over.is_set() {
            let event = event(number);
            let record: BaseRecord<'_, [u8], [u8], ()> =
                BaseRecord::to(topic).key(&event[..16]).payload(&event);
            // A full queue is what a load that is too high looks like; the rate that was carried tells of it.
            let _ = client.send(record);
            number += 1;
            due += EVENT as u64;
        }
        std::thread::sleep(BEAT);
    }
}

/// An event of one of many users: half of it compresses away, half doesn't.
fn event(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut event = format!("{:016x}", state).into_bytes();
    event.extend(br#"{"kind":"page-viewed","page":"/catalogue/shoes","referrer":"/home","session":""#);
    event.resize(EVENT / 2, b' ');
    while event.len() < EVENT {
        // Xorshift: fast, and nothing that a compressor finds.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        event.extend(state.to_be_bytes());
    }
    event.truncate(EVENT);
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_differ_and_have_their_size() {
        assert_eq!((event(0).len(), event(1).len()), (EVENT, EVENT));
        assert_ne!(event(0), event(1));
    }
}
