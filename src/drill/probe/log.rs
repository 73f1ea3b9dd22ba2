//! Reads a topic back from its first offset to its last.

use super::background::let_go;
use super::{Assignment, PROMPT};
use crate::drill::accounting::Found;
use crate::drill::error::DrillError;
use crate::drill::record::Mark;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long nothing may come before the log counts as unreadable.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// Every record of each partition, by offset. Blocks.
///
/// # Errors
/// Where the cluster doesn't tell where a log ends, or a log can't be read to that end.
pub(crate) fn read_back(assignment: &Assignment) -> Result<Vec<Vec<Found>>, DrillError> {
    let failed = |action| move |source| DrillError::Client { action, source };
    let client: BaseConsumer = assignment
        .client()
        // Needed by librdkafka, used for nothing: no offset is ever stored.
        .set("group.id", format!("{}-auditor", assignment.topic))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_uncommitted")
        .create()
        .map_err(failed("make a consumer that reads the log back"))?;
    let read = read(assignment, &client);
    let_go(client);
    read
}

fn read(assignment: &Assignment, client: &BaseConsumer) -> Result<Vec<Vec<Found>>, DrillError> {
    let failed = |action| move |source| DrillError::Client { action, source };
    let topic = &assignment.topic;
    let mut ends = Vec::new();
    let mut all = TopicPartitionList::new();
    for partition in 0..assignment.partitions {
        let end = end(client, topic, partition).map_err(failed("ask where the log ends"))?;
        ends.push(end);
        all.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed("read the log back"))?;
    }
    client.assign(&all).map_err(failed("read the log back"))?;
    let mut logs: Vec<Vec<Found>> = vec![Vec::new(); ends.len()];
    let left = |logs: &[Vec<Found>]| -> u64 {
        let next = |log: &Vec<Found>| log.last().map_or(0, |found| found.offset + 1);
        logs.iter().zip(&ends).map(|(log, end)| u64::try_from(end - next(log)).unwrap_or(0)).sum()
    };
    let mut progress = Instant::now();
    while left(&logs) > 0 {
        if progress.elapsed() > IDLE {
            return Err(DrillError::LogUnread {
                topic: topic.clone(),
                left: left(&logs),
                after_s: IDLE.as_secs(),
            });
        }
        let Some(Ok(message)) = client.poll(Duration::from_millis(100)) else { continue };
        let log = usize::try_from(message.partition()).ok().and_then(|place| logs.get_mut(place));
        // A consumer that begins again would count its own repetition as the log's.
        if let Some(log) = log.filter(|log| log.last().is_none_or(|last| last.offset < message.offset())) {
            log.push(Found { offset: message.offset(), mark: message.payload().and_then(Mark::decode) });
            progress = Instant::now();
        }
    }
    Ok(logs)
}

/// Where a partition's log ends. A cluster that is whole again may still have told this client of the leader before.
fn end(client: &BaseConsumer, topic: &str, partition: i32) -> Result<i64, KafkaError> {
    let begun = Instant::now();
    loop {
        match client.fetch_watermarks(topic, partition, PROMPT) {
            Ok((_, end)) => return Ok(end),
            Err(error) if begun.elapsed() > IDLE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
