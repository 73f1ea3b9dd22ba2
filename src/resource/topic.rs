//! The kind `topic`: a topic of a Kafka cluster, with its partitions and its configuration.

use super::{
    Adopted, After, Decision, Deed, Disks, Drift, Fitted, Instance, Kind, KindError, Loss, Malformed,
    Measured, Observed, Recorded, Siblings, Subject, Surroundings, kafka, retention,
};
use crate::clock::Until;
use crate::kafka::{ClusterView, Kafka, KafkaError, NewTopic, Reassignment, Safeguards, TopicView};
use crate::model::{Key, ProcessSeen, Refusal, compare, counted};
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

/// How long the replicas may take to be in sync that a topic is to need: those of brokers that were just started are within
/// this, unless they have much to recover.
const CATCH_UP: Duration = Duration::from_secs(60);

/// The pause before it is looked again whether they are.
const CATCH_UP_POLL: Duration = Duration::from_millis(250);

const MIN_INSYNC: &str = "min.insync.replicas";

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
    /// What holds for topics without settings of their own; nothing where no broker could be asked.
    #[serde(default)]
    inherited: Safeguards,
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

/// A topic as it is. Replicas on their way to a broker don't count: whether they ever arrive is not known.
fn found(name: &str, topic: &TopicView, moving: &[Reassignment], inherited: &Safeguards) -> Found {
    let coming: BTreeMap<i32, usize> =
        moving.iter().filter(|one| one.topic == name).map(|one| (one.partition, one.adding.len())).collect();
    let replicas = topic.partitions.iter().map(|(number, partition)| {
        partition.replicas.len().saturating_sub(coming.get(number).copied().unwrap_or(0))
    });
    Found {
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas.min().unwrap_or(0)).unwrap_or(i16::MAX),
        configs: topic.configs.clone(),
        id: topic.id.clone().unwrap_or_default(),
        inherited: inherited.clone(),
    }
}

impl Found {
    fn read(observed: &Observed) -> Option<Self> {
        match observed {
            Observed::Present { detail, .. } => Self::deserialize(detail).ok(),
            Observed::Absent | Observed::Unknown(_) => None,
        }
    }

    /// The inputs that would make this topic, with those of its settings that are `of_interest`.
    fn inputs(&self, cluster: &str, of_interest: impl Fn(&str) -> bool) -> TopicInputs {
        let configs = self.configs.iter().filter(|(name, _)| of_interest(name));
        TopicInputs {
            cluster: cluster.to_owned(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: configs.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Whether it is what one of these inputs makes.
    fn is_made_by<'a>(&self, mut inputs: impl Iterator<Item = &'a Value>) -> bool {
        inputs.any(|inputs| {
            let made = TopicInputs::deserialize(inputs).ok();
            made.is_some_and(|made| {
                self.inputs(&made.cluster, |name| made.configs.contains_key(name)) == made
            })
        })
    }

    /// The settings that it has once it is brought to `inputs`: what another hand set stays.
    fn brought_to(&self, inputs: &TopicInputs, ours: &BTreeSet<String>) -> BTreeMap<String, String> {
        let mut configs = self.configs.clone();
        configs.retain(|name, _| !ours.contains(name));
        configs.extend(inputs.configs.clone());
        configs
    }

    /// What it lets go that it keeps now, once it has these settings.
    fn losses(&self, after: &BTreeMap<String, String>) -> Vec<String> {
        self.inherited.with_topic(&self.configs).lowered(&self.inherited.with_topic(after))
    }
}

/// The names of the settings in inputs as they are recorded.
fn settings_in<'a>(inputs: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    let configs = inputs.into_iter().filter_map(|inputs| inputs.get("configs")?.as_object());
    configs.flat_map(|configs| configs.keys().cloned()).collect()
}

/// The settings that Octad set or may have set. Those of others are theirs: a reassignment under way relies on the
/// throttles that it set.
fn ours(recorded: &Recorded) -> BTreeSet<String> {
    settings_in(std::iter::once(&recorded.inputs).chain(&recorded.attempted))
}

/// Whether it was to be made and never was for certain.
fn never_ended(recorded: &Recorded) -> bool {
    recorded.is_pending() && recorded.outputs.is_null()
}

/// Whether nobody knows whose it is: Octad was cut off as it made one, and what it makes is whole from the beginning,
/// which this one isn't.
fn may_be_anybodys(recorded: &Recorded, found: &Found) -> bool {
    never_ended(recorded) && !found.is_made_by(std::iter::once(&recorded.inputs).chain(&recorded.attempted))
}

/// What is told of a topic that may be anybody's.
const ANYBODYS: &str = "a topic of this name exists, and it isn't known whether an earlier up made it";

/// A topic's id as the state has it; `None` where it was never made, or the cluster had none to tell.
fn known_id(id: Option<&Value>) -> Option<String> {
    Some(id?.as_str().filter(|id| !id.is_empty())?.to_owned())
}

/// In a sentence, that a topic is another than the one that the state knows; `None` where it is that one.
fn another(recorded: &Recorded, observed: &Observed) -> Option<String> {
    let (known, found) = (known_id(recorded.outputs.get("id"))?, Found::read(observed)?.id);
    (!found.is_empty() && found != known).then(|| {
        format!("it is another one, which this stack did not make (its id is {found}, and {known} is known)")
    })
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
                "declare {} of them, or another topic with fewer, and move the records",
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

/// What holds for topics without settings of their own; nothing where that can't be asked for.
async fn inherited(kafka: &Arc<dyn Kafka>) -> Safeguards {
    match kafka.describe_broker_configs().await {
        Ok(settings) => Safeguards::of_broker(|name| settings.get(name)?.value.clone()),
        Err(_) => Safeguards::default(),
    }
}

/// Makes a topic and returns its outputs. `detail` has the id of one that the plan saw and that is to become it.
async fn make(
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
async fn bring(
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

#[async_trait]
impl Kind for TopicKind {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn validate(&self, inputs: &Value) -> Result<(), Malformed> {
        TopicInputs::deserialize(inputs)?;
        Ok(())
    }

    fn describe(&self, inputs: &Value) -> String {
        let Ok(TopicInputs { partitions, replication_factor, .. }) = TopicInputs::deserialize(inputs) else {
            return String::new();
        };
        format!("{}, {}", counted(partitions, "partition"), counted(replication_factor, "replica"))
    }

    fn held_by(&self, inputs: &Value) -> Option<String> {
        Some(inputs.get("cluster")?.as_str()?.to_owned())
    }

    fn fit(&self, all: &Siblings<'_>) -> Fitted {
        let mut fitted = Fitted::default();
        for (cluster, disks) in all.disks {
            retention::fit_cluster(cluster, disks, all, &mut fitted);
        }
        fitted
    }

    fn decide(&self, subject: &Subject<'_>) -> Decision {
        let key = subject.key;
        let Some(declared) = subject.declared else {
            let gone = *subject.observed == Observed::Absent;
            let loses = if gone { String::new() } else { "all its records".into() };
            if let Some(group) = subject.group.as_ref().filter(|group| group.declared == 0) {
                return Decision::Forget { with: Some(group.name.to_owned()), loses };
            }
            // One that another hand makes from now on is nobody's here.
            if gone {
                return Decision::Forget { with: None, loses };
            }
            let anybodys = |recorded| {
                let found = Found::read(subject.observed)?;
                may_be_anybodys(recorded, &found).then(|| ANYBODYS.to_owned())
            };
            let not_ours = |recorded| another(recorded, subject.observed).or_else(|| anybodys(recorded));
            return match subject.recorded.and_then(not_ours) {
                Some(another) => refuse(
                    key,
                    format!("it is no longer declared, and is not removed: {another}"),
                    &format!("`octad state rm {key}` has this stack forget it, and leaves it as it is"),
                ),
                None => Decision::Delete { loses },
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
                let reason = if subject.recorded.is_some_and(never_ended) {
                    "an earlier up could not make it"
                } else {
                    "was deleted by another hand"
                };
                Decision::Create { reason: reason.into(), detail: Value::Null }
            }
            (Some(_), Observed::Unknown(_)) if subject.recorded.is_some_and(never_ended) => {
                Decision::Create { reason: "an earlier up could not make it".into(), detail: Value::Null }
            }
            (Some(recorded), Observed::Unknown(_)) => decide_change(key, &recorded, &declared, ""),
            (Some(recorded), Observed::Present { .. }) => {
                let (Some(known), Some(found)) = (subject.recorded, Found::read(subject.observed)) else {
                    return decide_change(key, &recorded, &declared, "");
                };
                let ours = ours(known);
                let of_interest = |name: &str| ours.contains(name) || declared.configs.contains_key(name);
                let outside = found.inputs(&recorded.cluster, of_interest);
                let reason = if found.inputs(&recorded.cluster, |name| ours.contains(name)) == recorded {
                    ""
                } else {
                    "was changed by another hand"
                };
                let decision = decide_change(key, &outside, &declared, reason);
                let imports = format!("`octad import {key}` takes it over as it is");
                if let Some(another) = another(known, subject.observed) {
                    return match decision {
                        Decision::Same => Decision::Same,
                        _ => refuse(key, format!("it is not changed: {another}"), &imports),
                    };
                }
                match decision {
                    _ if may_be_anybodys(known, &found) => refuse(key, ANYBODYS.into(), &imports),
                    Decision::Same if known.is_pending() => Decision::Create {
                        reason: "an earlier up was cut off".into(),
                        detail: json!({ "id": found.id }),
                    },
                    decision => decision,
                }
            }
        }
    }

    fn protects(&self, _recorded: &Recorded) -> bool {
        true
    }

    fn outlives_its_record(&self) -> bool {
        true
    }

    fn is_another(&self, recorded: &Recorded, observed: &Observed) -> bool {
        let exists = matches!(observed, Observed::Present { .. });
        another(recorded, observed).is_some() || (exists && never_ended(recorded))
    }

    fn losses(&self, subject: &Subject<'_>) -> Vec<Loss> {
        let (Some(declared), Some(recorded)) = (subject.declared, subject.recorded) else { return vec![] };
        let (Ok(before), Ok(declared)) = (read(subject.key, &recorded.inputs), read(subject.key, declared))
        else {
            return vec![];
        };
        let found = match subject.observed {
            Observed::Absent => return vec![],
            Observed::Present { .. } => Found::read(subject.observed),
            // What it is now is not known; what it was made as is.
            Observed::Unknown(_) => Some(Found {
                partitions: before.partitions,
                replication_factor: before.replication_factor,
                configs: before.configs,
                id: String::new(),
                inherited: Safeguards::default(),
            }),
        };
        let lowered = found.map(|found| found.losses(&found.brought_to(&declared, &ours(recorded))));
        let loss = |what| Loss { of: subject.key.clone(), what };
        lowered.unwrap_or_default().into_iter().map(loss).collect()
    }

    fn leaves(&self, subject: &Subject<'_>) -> Vec<String> {
        let (Some(declared), Some(recorded)) = (subject.declared, subject.recorded) else { return vec![] };
        let Some(found) = Found::read(subject.observed) else { return vec![] };
        let another = another(recorded, subject.observed);
        let mut known = ours(recorded);
        known.extend(settings_in([declared]));
        let foreign = found.configs.iter().filter(|(name, _)| !known.contains(*name));
        let foreign =
            foreign.map(|(name, value)| format!("{name}={value} was set by another hand and is left"));
        another.into_iter().chain(foreign).collect()
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
                let found = Found::deserialize(detail).ok();
                let (declared, found) = declared.zip(found).ok_or_else(unreadable)?;
                // What else is set on it stays whoever's it is.
                let of_interest = |name: &str| declared.configs.contains_key(name);
                let inputs = json!(found.inputs(&declared.cluster, of_interest));
                Ok(Adopted { inputs, outputs: json!({ "id": found.id }) })
            }
        }
    }

    fn drift(&self, recorded: &Recorded, observed: &Observed) -> Drift {
        match observed {
            Observed::Absent => return Drift::Gone,
            Observed::Unknown(why) => return Drift::Unknown { why: why.clone() },
            Observed::Present { .. } => {}
        }
        let (Ok(before), Some(found)) = (TopicInputs::deserialize(&recorded.inputs), Found::read(observed))
        else {
            return Drift::Unknown { why: "it is recorded in a form that is not a topic's".into() };
        };
        // Whose it is only somebody can say, by its name.
        if let Some(another) = another(recorded, observed) {
            return Drift::Impaired { how: another };
        }
        if may_be_anybodys(recorded, &found) {
            return Drift::Impaired { how: ANYBODYS.into() };
        }
        let ours = ours(recorded);
        let inputs = json!(found.inputs(&before.cluster, |name| ours.contains(name)));
        let outputs = json!({ "id": found.id });
        let mut changes = compare(&recorded.inputs, &inputs);
        changes.extend(compare(&recorded.outputs, &outputs));
        let foreign: Vec<String> = found
            .configs
            .iter()
            .filter(|(name, _)| !ours.contains(*name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match (changes.is_empty(), foreign.is_empty()) {
            (true, true) => Drift::None,
            // The state doesn't take them in: they would be Octad's then.
            (true, false) => {
                Drift::Impaired { how: format!("has settings of another hand: {}", foreign.join(", ")) }
            }
            (false, _) => Drift::Changed { changes, inputs, outputs },
        }
    }

    async fn observe(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
    ) -> BTreeMap<Key, Observed> {
        let mut clusters: BTreeMap<String, Result<(ClusterView, Safeguards), String>> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for (key, instance) in subjects {
            let Ok(inputs) = read(key, &instance.inputs) else {
                all.insert(key.clone(), Observed::Unknown("its inputs are not those of a topic".into()));
                continue;
            };
            if !clusters.contains_key(&inputs.cluster) {
                let view = match kafka(surroundings, &inputs.cluster) {
                    Some(kafka) => match described(&kafka).await {
                        Ok(view) => Ok((view, inherited(&kafka).await)),
                        Err(error) => Err(error.to_string()),
                    },
                    None => Err("the cluster doesn't exist yet".to_owned()),
                };
                clusters.insert(inputs.cluster.clone(), view);
            }
            let observed = match &clusters[&inputs.cluster] {
                Err(reason) => Observed::Unknown(reason.clone()),
                Ok((view, _)) if view.controller.is_none() => {
                    Observed::Unknown("no controller is known".into())
                }
                Ok((view, inherited)) => match (view.topics.get(&key.name), &view.reassignments) {
                    // Nor whether there is one that the others haven't heard of yet.
                    (_, None) => Observed::Unknown(
                        "the controller doesn't tell which replicas are on their way".into(),
                    ),
                    (None, Some(_)) => Observed::Absent,
                    (Some(topic), Some(moving)) => {
                        let detail = json!(found(&key.name, topic, moving, inherited));
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

    fn foreseen(&self, inputs: &Value, observed: &Observed, _after: After<'_>) -> Observed {
        let Ok(inputs) = TopicInputs::deserialize(inputs) else { return observed.clone() };
        let before = Found::read(observed);
        let detail = json!(Found {
            partitions: inputs.partitions,
            replication_factor: inputs.replication_factor,
            configs: inputs.configs,
            id: before.as_ref().map(|found| found.id.clone()).unwrap_or_default(),
            inherited: before.map(|found| found.inherited).unwrap_or_default(),
        });
        Observed::Present { status: "exists".into(), detail, process: ProcessSeen::Runs, broken: None }
    }

    async fn measure(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
        disks: &BTreeMap<String, Disks>,
    ) -> Measured {
        let clusters = subjects.values().filter_map(|subject| self.held_by(&subject.inputs));
        let clusters: BTreeSet<String> =
            clusters.filter(|cluster| !surroundings.made_within(cluster).is_empty()).collect();
        let rates = futures_util::future::join_all(clusters.iter().map(|cluster| async move {
            match kafka(surroundings, cluster) {
                Some(kafka) => kafka.rates().await.unwrap_or_default(),
                None => BTreeMap::new(),
            }
        }));
        let backends: BTreeSet<&String> = disks.values().map(|disks| &disks.backend).collect();
        let shared = |name: &String| Some((name.clone(), surroundings.shared_disk(name)?));
        Measured {
            rates: rates.await.into_iter().flatten().collect(),
            shared_disks: backends.into_iter().filter_map(shared).collect(),
        }
    }

    async fn create(
        &self,
        surroundings: &dyn Surroundings,
        deed: &Deed<'_>,
        inputs: &Value,
        detail: &Value,
    ) -> Result<Value, KindError> {
        make(surroundings, deed.key, inputs, detail).await
    }

    async fn update(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        _before: &Value,
        after: &Value,
        _until: Option<Until>,
    ) -> Result<Value, KindError> {
        let inputs = read(key, after)?;
        let kafka = kafka(surroundings, &inputs.cluster)
            .ok_or_else(|| KindError::NotYetKnown { key: key.clone() })?;
        let Some(now) = current(&kafka, key).await? else {
            return make(surroundings, key, after, &Value::Null).await;
        };
        // The plan may be as old as the question that was asked about it.
        if let (Some(known), Some(found)) = (known_id(surroundings.output(key, "id").as_ref()), &now.id)
            && known != *found
        {
            return Err(KindError::Another { key: key.clone(), found: found.clone(), known });
        }
        bring(surroundings, &kafka, key, &now, &inputs).await?;
        Ok(json!({ "id": now.id }))
    }

    async fn delete(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Instance,
    ) -> Result<(), KindError> {
        let inputs = read(key, &before.inputs)?;
        let Some(kafka) = kafka(surroundings, &inputs.cluster) else { return Ok(()) };
        let id = match known_id(before.outputs.get("id")) {
            Some(id) => Some(id),
            // An earlier run was cut off as it made one. Where the plan could not look, nobody has said yet whose this is.
            None => {
                let Some(now) = current(&kafka, key).await? else { return Ok(()) };
                let attempted = surroundings.attempted(key);
                let found = found(&key.name, &now, &[], &Safeguards::default());
                if !found.is_made_by(std::iter::once(&before.inputs).chain(&attempted)) {
                    return Err(KindError::MadeMeanwhile { key: key.clone() });
                }
                now.id
            }
        };
        // By its id, so that one of the same name that another hand made meanwhile stays.
        let deleted = match id {
            Some(id) => kafka.delete_topic_of_id(&key.name, &id).await,
            None => kafka.delete_topic(&key.name).await,
        };
        match deleted {
            Ok(()) | Err(KafkaError::UnknownTopic { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
