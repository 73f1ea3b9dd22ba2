//! The kind `topic`: a topic of a Kafka cluster, with its partitions and its configuration.

use super::{
    Adopted, Decision, Drift, Fitted, Key, Kind, KindError, Observed, ProcessSeen, Recorded, Refusal,
    Subject, compare, retention,
};
use crate::clock::Until;
use crate::engine::{Context, Inventory, State};
use crate::kafka::{ClusterView, Kafka, KafkaError, NewTopic, TopicView};
use crate::stack::ValidStack;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a deleted topic may keep its name: tenths of a second, but as long as a broker with a replica of it is
/// away.
const DELETION_PATIENCE: Duration = Duration::from_secs(30);

/// The pause before a name is tried again.
const DELETION_POLL: Duration = Duration::from_millis(200);

/// How long what the controller sent may take to reach the brokers: milliseconds, more where all of them start at once.
const NEWS: Duration = Duration::from_millis(500);

/// Inputs of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicInputs {
    /// The group of the cluster's brokers.
    pub cluster: String,
    /// Number of partitions. It can grow, never shrink.
    pub partitions: i32,
    /// Number of replicas of each partition.
    pub replication_factor: i16,
    /// Settings that differ from the brokers' defaults.
    pub configs: BTreeMap<String, String>,
}

/// What a topic told of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    partitions: i32,
    replication_factor: i16,
    configs: BTreeMap<String, String>,
    id: String,
}

/// The kind `topic`.
#[derive(Debug, Clone, Copy)]
pub struct TopicKind;

impl TopicKind {
    /// The kind's name.
    pub const NAME: &'static str = "topic";
}

fn read(key: &Key, value: &Value) -> Result<TopicInputs, KindError> {
    KindError::read(key, value)
}

fn found(topic: &TopicView) -> Found {
    let replicas = topic.partitions.values().map(|partition| partition.replicas.len()).min().unwrap_or(0);
    Found {
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        configs: topic.configs.clone(),
        id: topic.id.clone().unwrap_or_default(),
    }
}

impl Found {
    /// The inputs that would make this topic.
    fn inputs(&self, cluster: &str) -> TopicInputs {
        TopicInputs {
            cluster: cluster.to_owned(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.configs.clone(),
        }
    }
}

fn refuse(key: &Key, reason: String, hint: &str) -> Decision {
    Decision::Refuse(Refusal { key: key.clone(), reason, hint: hint.into() })
}

fn decide_change(key: &Key, before: &TopicInputs, after: &TopicInputs, reason: &str) -> Decision {
    if after.cluster != before.cluster {
        return refuse(key, "it can't move to another cluster".into(), "declare a topic with another name");
    }
    if after.partitions < before.partitions {
        let by = if reason.is_empty() { String::new() } else { format!(" (it {reason})") };
        return refuse(
            key,
            format!(
                "its partitions can't shrink from {} to {}{by}: the records in the others would be lost",
                before.partitions, after.partitions
            ),
            &format!(
                "declare {} partitions, or another topic with fewer, and move the records",
                before.partitions
            ),
        );
    }
    if after.replication_factor != before.replication_factor {
        return refuse(
            key,
            format!(
                "its replication factor can't change from {} to {} yet",
                before.replication_factor, after.replication_factor
            ),
            "put the old figure back, or move replicas with Kafka's own tools first",
        );
    }
    let changes = compare(&json!(before), &json!(after));
    if changes.is_empty() {
        return Decision::Same;
    }
    Decision::Update { changes, reason: reason.to_owned(), disrupts: None }
}

async fn current(kafka: &Arc<dyn Kafka>, key: &Key) -> Result<Option<TopicView>, KindError> {
    Ok(kafka.describe().await?.topics.remove(&key.name))
}

/// A cluster's topics. One that tells of none is looked at again: a controller that was just elected tells the brokers
/// of each other before it tells them of the partitions, so that a cluster all of whose brokers just started seems to
/// have none. The first look includes a question to the controller, which it answers only after its election.
async fn described(kafka: &Arc<dyn Kafka>) -> Result<ClusterView, KafkaError> {
    let view = kafka.describe().await?;
    if !view.topics.is_empty() {
        return Ok(view);
    }
    tokio::time::sleep(NEWS).await;
    kafka.describe().await
}

/// Brings a topic that exists to what its inputs say.
async fn bring(
    kafka: &Arc<dyn Kafka>,
    key: &Key,
    now: &TopicView,
    inputs: &TopicInputs,
) -> Result<(), KindError> {
    let now = found(now);
    if inputs.partitions > now.partitions {
        kafka.grow_topic(&key.name, inputs.partitions).await?;
    }
    let set: BTreeMap<_, _> = inputs
        .configs
        .iter()
        .filter(|(name, value)| now.configs.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let unset: BTreeSet<_> =
        now.configs.keys().filter(|name| !inputs.configs.contains_key(*name)).cloned().collect();
    if !set.is_empty() || !unset.is_empty() {
        kafka.alter_topic_configs(&key.name, &set, &unset).await?;
    }
    Ok(())
}

#[async_trait]
impl Kind for TopicKind {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn validate(&self, inputs: &Value) -> Result<(), String> {
        serde_json::from_value::<TopicInputs>(inputs.clone()).map(|_| ()).map_err(|e| e.to_string())
    }

    fn held_by(&self, inputs: &Value) -> Option<String> {
        Some(inputs.get("cluster")?.as_str()?.to_owned())
    }

    fn fit(&self, stack: &ValidStack, state: &State, inventory: &Inventory) -> Fitted {
        let mut fitted = Fitted::default();
        for (cluster, disks) in &stack.disks {
            retention::fit_cluster(cluster, disks, stack, state, inventory, &mut fitted);
        }
        fitted
    }

    fn decide(&self, subject: &Subject<'_>) -> Decision {
        let key = subject.key;
        let Some(declared) = subject.declared else {
            if let Some(group) = subject.group.as_ref().filter(|group| group.declared == 0) {
                return Decision::Forget { with: group.name.to_owned() };
            }
            return match subject.observed {
                Observed::Absent => Decision::Delete { loses: String::new() },
                _ => Decision::Delete { loses: "all its records".into() },
            };
        };
        let (recorded, declared) = match (subject.recorded.map(|r| read(key, &r.inputs)), read(key, declared))
        {
            (None, Ok(declared)) => (None, declared),
            (Some(Ok(recorded)), Ok(declared)) => (Some(recorded), declared),
            (Some(Err(error)), _) | (_, Err(error)) => {
                return refuse(key, error.to_string(), "use the Octad that made it");
            }
        };
        match (recorded, subject.observed) {
            // Never ours: one that exists all the same is not taken over behind its owner's back.
            (None, Observed::Present { .. }) => refuse(
                key,
                "a topic of this name exists and was not made by this stack".into(),
                &format!("`octad import {key}` takes it over as it is; or declare it under another name"),
            ),
            (None, _) => Decision::Create { reason: String::new(), detail: Value::Null },
            (Some(_), Observed::Absent) => {
                let never =
                    subject.recorded.is_some_and(|recorded| recorded.pending && recorded.outputs.is_null());
                let reason =
                    if never { "an earlier up could not make it" } else { "was deleted by another hand" };
                Decision::Create { reason: reason.into(), detail: Value::Null }
            }
            (Some(recorded), Observed::Unknown(_)) => decide_change(key, &recorded, &declared, ""),
            (Some(recorded), Observed::Present { detail, .. }) => {
                let pending = subject.recorded.is_some_and(|recorded| recorded.pending);
                let Ok(found) = serde_json::from_value::<Found>(detail.clone()) else {
                    return decide_change(key, &recorded, &declared, "");
                };
                let outside = found.inputs(&recorded.cluster);
                let reason = if outside == recorded { "" } else { "was changed by another hand" };
                match decide_change(key, &outside, &declared, reason) {
                    Decision::Same if pending => {
                        Decision::Create { reason: "an earlier up was cut off".into(), detail: Value::Null }
                    }
                    decision => decision,
                }
            }
        }
    }

    fn allows_rename(&self, key: &Key) -> Result<(), Refusal> {
        Err(Refusal {
            key: key.clone(),
            reason: "Kafka can't rename a topic".into(),
            hint: "declare both, copy the records with Kafka's own tools, then drop the old one".into(),
        })
    }

    fn import(&self, subject: &Subject<'_>) -> Result<Adopted, Refusal> {
        let refuse = |reason: &str, hint: &str| Refusal {
            key: subject.key.clone(),
            reason: reason.to_owned(),
            hint: hint.to_owned(),
        };
        let unreadable = || refuse("what was found is not a topic", "use the Octad that made the stack");
        match subject.observed {
            Observed::Absent => Err(refuse("there is no such topic", "`octad up` makes it")),
            Observed::Unknown(why) => Err(refuse(
                &format!("it can't be looked at: {why}"),
                "`octad status` tells how the cluster is",
            )),
            Observed::Present { detail, .. } => {
                let declared = subject.declared.and_then(|inputs| read(subject.key, inputs).ok());
                let found: Option<Found> = serde_json::from_value(detail.clone()).ok();
                let (declared, found) = declared.zip(found).ok_or_else(unreadable)?;
                let inputs = json!(found.inputs(&declared.cluster));
                Ok(Adopted { inputs, outputs: json!({ "id": found.id }) })
            }
        }
    }

    fn drift(&self, recorded: &Recorded, observed: &Observed) -> Drift {
        let detail = match observed {
            Observed::Absent => return Drift::Gone,
            Observed::Unknown(why) => return Drift::Unknown { why: why.clone() },
            Observed::Present { detail, .. } => detail.clone(),
        };
        let (Ok(before), Ok(found)) = (
            serde_json::from_value::<TopicInputs>(recorded.inputs.clone()),
            serde_json::from_value::<Found>(detail),
        ) else {
            return Drift::Unknown { why: "it is recorded in a form that is not a topic's".into() };
        };
        let (inputs, outputs) = (json!(found.inputs(&before.cluster)), json!({ "id": found.id }));
        let mut changes = compare(&recorded.inputs, &inputs);
        changes.extend(compare(&recorded.outputs, &outputs));
        if changes.is_empty() { Drift::None } else { Drift::Changed { changes, inputs, outputs } }
    }

    async fn observe(&self, context: &Context, subjects: &BTreeMap<Key, Value>) -> BTreeMap<Key, Observed> {
        let mut clusters: BTreeMap<String, Result<ClusterView, String>> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for (key, value) in subjects {
            let Ok(inputs) = read(key, value) else {
                all.insert(key.clone(), Observed::Unknown("its inputs are not those of a topic".into()));
                continue;
            };
            if !clusters.contains_key(&inputs.cluster) {
                let view = match context.kafka(&inputs.cluster) {
                    Some(kafka) => described(&kafka).await.map_err(|error| error.to_string()),
                    None => Err("the cluster doesn't exist yet".to_owned()),
                };
                clusters.insert(inputs.cluster.clone(), view);
            }
            let observed = match &clusters[&inputs.cluster] {
                Err(reason) => Observed::Unknown(reason.clone()),
                Ok(view) if view.controller.is_none() => Observed::Unknown("no controller is known".into()),
                Ok(view) => match view.topics.get(&key.name) {
                    None => Observed::Absent,
                    Some(topic) => {
                        let detail = json!(found(topic));
                        Observed::Present {
                            status: "exists".into(),
                            detail,
                            process: ProcessSeen::Runs,
                            broken: None,
                        }
                    }
                },
            };
            all.insert(key.clone(), observed);
        }
        all
    }

    async fn create(
        &self,
        context: &Context,
        key: &Key,
        value: &Value,
        _detail: &Value,
    ) -> Result<Value, KindError> {
        let inputs = read(key, value)?;
        let kafka =
            context.kafka(&inputs.cluster).ok_or_else(|| KindError::NotYetKnown { key: key.clone() })?;
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
                Ok(()) => break,
                Err(taken @ KafkaError::TopicExists { .. }) => match current(&kafka, key).await? {
                    // An earlier `up` that was cut off got this far.
                    Some(now) => break bring(&kafka, key, &now, &inputs).await?,
                    // One that was just deleted still has the name.
                    None if Instant::now() < deadline => tokio::time::sleep(DELETION_POLL).await,
                    None => return Err(taken.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
        let id = current(&kafka, key).await?.and_then(|topic| topic.id).unwrap_or_default();
        Ok(json!({ "id": id }))
    }

    async fn update(
        &self,
        context: &Context,
        key: &Key,
        _before: &Value,
        after: &Value,
        _until: Option<Until>,
    ) -> Result<Value, KindError> {
        let inputs = read(key, after)?;
        let kafka =
            context.kafka(&inputs.cluster).ok_or_else(|| KindError::NotYetKnown { key: key.clone() })?;
        let Some(now) = current(&kafka, key).await? else {
            return self.create(context, key, after, &Value::Null).await;
        };
        bring(&kafka, key, &now, &inputs).await?;
        Ok(json!({ "id": now.id }))
    }

    async fn delete(&self, context: &Context, key: &Key, before: &Value) -> Result<(), KindError> {
        let inputs = read(key, before)?;
        let Some(kafka) = context.kafka(&inputs.cluster) else { return Ok(()) };
        match kafka.delete_topic(&key.name).await {
            Ok(()) | Err(KafkaError::UnknownTopic { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
