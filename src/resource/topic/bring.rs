//! Makes a topic, or brings the one that there is to what is declared.

use super::found::{found, settings_in};
use super::{TopicInputs, read};
use crate::kafka::{Kafka, KafkaError, NewTopic, Safeguards, TopicView};
use crate::model::Key;
use crate::resource::{KindError, Surroundings, kafka};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a deleted topic may keep its name: tenths of a second, but as long as a broker with a replica of it is
/// away.
const DELETION_PATIENCE: Duration = Duration::from_secs(30);

/// The pause before a name is tried again.
const DELETION_POLL: Duration = Duration::from_millis(200);

/// How long the replicas may take to be in sync that a topic is to need: those of brokers that were just started are within
/// this, unless they have much to recover.
const CATCH_UP: Duration = Duration::from_secs(60);

/// The pause before it is looked again whether they are.
const CATCH_UP_POLL: Duration = Duration::from_millis(250);

const MIN_INSYNC: &str = "min.insync.replicas";

pub(super) async fn current(kafka: &Arc<dyn Kafka>, key: &Key) -> Result<Option<TopicView>, KindError> {
    Ok(kafka.describe().await?.topics.remove(&key.name))
}

/// What holds for topics without settings of their own; nothing where that can't be asked for.
pub(super) async fn inherited(kafka: &Arc<dyn Kafka>) -> Safeguards {
    match kafka.describe_broker_configs().await {
        Ok(settings) => Safeguards::of_broker(|name| settings.get(name)?.value.clone()),
        Err(_) => Safeguards::default(),
    }
}

/// Makes a topic and returns its outputs. `detail` has the id of one that the plan saw and that is to become it.
pub(super) async fn make(
    surroundings: &dyn Surroundings,
    key: &Key,
    inputs: &Value,
    detail: &Value,
) -> Result<Value, KindError> {
    let inputs = read(key, inputs)?;
    let kafka =
        kafka(surroundings, &inputs.cluster).ok_or_else(|| KindError::NotYetKnown { key: key.clone() })?;
    let topic = NewTopic {
        name: key.name.clone(),
        partitions: inputs.partitions,
        replication_factor: inputs.replication_factor,
        configs: inputs.configs.clone(),
        placement: Vec::new(),
    };
    let deadline = Instant::now() + DELETION_PATIENCE;
    loop {
        match kafka.create_topic(&topic).await {
            Ok(id) => return Ok(json!({ "id": id })),
            Err(taken @ KafkaError::TopicExists { .. }) => match current(&kafka, key).await? {
                Some(now) => {
                    // An earlier `up` that was cut off got this far: the plan saw which one it is, or it is just as it was
                    // to be.
                    let seen = detail.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
                    let as_seen = seen.is_some() && now.id.as_deref() == seen;
                    let found = found(&key.name, &now, &[], &Safeguards::default());
                    if !as_seen && found.inputs(&inputs.cluster, |_| true) != inputs {
                        return Err(KindError::MadeMeanwhile { key: key.clone() });
                    }
                    bring(surroundings, &kafka, key, &now, &inputs).await?;
                    return Ok(json!({ "id": now.id }));
                }
                // One that was just deleted still has the name.
                None if Instant::now() < deadline => tokio::time::sleep(DELETION_POLL).await,
                None => return Err(taken.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
}

/// A partition that would take no records if so many replicas had to be in sync, and does as it is, with how many are.
fn shut(topic: &TopicView, needed: usize) -> Option<(i32, usize)> {
    let takes = |in_sync: usize, needed: usize, all: usize| in_sync >= needed.min(all);
    topic.partitions.iter().find_map(|(number, partition)| {
        let (in_sync, all) = (partition.isr.len(), partition.replicas.len());
        let now = takes(in_sync, topic.min_insync_replicas as usize, all);
        (now && !takes(in_sync, needed, all)).then_some((*number, in_sync))
    })
}

/// Waits until no partition of a topic ceases to take records for want of replicas, where so many have to be in sync.
async fn in_sync(
    kafka: &Arc<dyn Kafka>,
    key: &Key,
    topic: &TopicView,
    needed: usize,
) -> Result<(), KindError> {
    let begun = tokio::time::Instant::now();
    let mut topic = topic.clone();
    while let Some((partition, in_sync)) = shut(&topic, needed) {
        if begun.elapsed() >= CATCH_UP {
            return Err(KindError::WouldShut { key: key.clone(), partition, in_sync, needed });
        }
        tokio::time::sleep(CATCH_UP_POLL).await;
        match current(kafka, key).await {
            Ok(Some(now)) => topic = now,
            Ok(None) => break,
            // Brokers may be on their way.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Brings a topic that exists to what its inputs say. Of the settings that Octad set or may have set, those that are no
/// longer declared go.
pub(super) async fn bring(
    surroundings: &dyn Surroundings,
    kafka: &Arc<dyn Kafka>,
    key: &Key,
    topic: &TopicView,
    inputs: &TopicInputs,
) -> Result<(), KindError> {
    let recorded = surroundings.input(key, "configs").map(|configs| json!({ "configs": configs }));
    let ours = settings_in(surroundings.attempted(key).iter().chain(&recorded));
    let mut now = found(&key.name, topic, &[], &Safeguards::default());
    let after = now.brought_to(inputs, &ours);
    // The plan asked for consent to what it saw; another hand may have been here since.
    if after != now.configs && !surroundings.allows_loss(key) {
        now.inherited = inherited(kafka).await;
        if let Some(what) = now.losses(&after).into_iter().next() {
            return Err(KindError::WouldLose { key: key.clone(), what });
        }
    }
    if after.get(MIN_INSYNC) != now.configs.get(MIN_INSYNC) {
        let all = inherited(kafka).await.with_topic(&after);
        if let Some(needed) = all.get(MIN_INSYNC).and_then(|needed| needed.parse().ok()) {
            in_sync(kafka, key, topic, needed).await?;
        }
    }
    if inputs.partitions > now.partitions {
        kafka.grow_topic(&key.name, inputs.partitions).await?;
    }
    let set: BTreeMap<_, _> = inputs
        .configs
        .iter()
        .filter(|(name, value)| now.configs.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let unset: BTreeSet<_> = now.configs.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
    if !set.is_empty() || !unset.is_empty() {
        kafka.alter_topic_configs(&key.name, &set, &unset).await?;
    }
    Ok(())
}
