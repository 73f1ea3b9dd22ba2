//! The kind `topic`: a topic of a Kafka cluster, with its partitions and its configuration.

mod bring;
mod decide;
mod found;

use super::{
    Adopted, After, Decision, Deed, Disks, Drift, Fitted, Instance, Kind, KindError, Loss, Malformed,
    Measured, Observed, Recorded, Siblings, Subject, Surroundings, kafka, retention,
};
use crate::clock::Until;
use crate::kafka::{ClusterView, Kafka, KafkaError, Safeguards};
use crate::model::{Key, ProcessSeen, Refusal, compare, counted};
use async_trait::async_trait;
use bring::{bring, current, inherited, make};
pub(crate) use found::weakened;
use found::{
    Found, UNKNOWN_ORIGIN, another, found, is_of_unknown_origin, known_id, never_ended, ours, settings_in,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

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
        decide::decide(subject)
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
            // Who makes it looks again, and lets nothing go of one that there is.
            Observed::Unknown(_) if never_ended(recorded) => return vec![],
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
        let ours = found.configs.iter().filter(|(name, _)| known.contains(*name));
        let ours = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
        let harm = found.weakened(&ours);
        let foreign = foreign.map(|(name, value)| {
            match harm
                .iter()
                .find(|harm| harm.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(' ')))
            {
                Some(harm) => format!(
                    "{harm}; another hand set it, and it is left: declare `{name}` to have it otherwise"
                ),
                None => format!("{name}={value} was set by another hand and is left"),
            }
        });
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

    /// One of a cluster that is taken over itself.
    fn adopts(&self, subject: &Subject<'_>) -> Option<Adopted> {
        self.import(subject).ok()
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
        if is_of_unknown_origin(recorded, &found) {
            return Drift::Impaired { how: UNKNOWN_ORIGIN.into() };
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
