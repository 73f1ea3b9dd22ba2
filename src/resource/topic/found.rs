//! What a topic tells of itself, and whose it is by the record of it. Pure.

use super::TopicInputs;
use crate::kafka::{Reassignment, Safeguards, TopicView};
use crate::resource::{Observed, Recorded};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a topic told of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) partitions: i32,
    pub(super) replication_factor: i16,
    pub(super) configs: BTreeMap<String, String>,
    pub(super) id: String,
    /// What holds for topics without settings of their own; nothing where no broker could be asked.
    #[serde(default)]
    pub(super) inherited: Safeguards,
}

/// A topic as it is. Replicas on their way to a broker don't count: whether they ever arrive is not known.
pub(super) fn found(name: &str, topic: &TopicView, moving: &[Reassignment], inherited: &Safeguards) -> Found {
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
    pub(super) fn read(observed: &Observed) -> Option<Self> {
        match observed {
            Observed::Present { detail, .. } => Self::deserialize(detail).ok(),
            Observed::Absent | Observed::Unknown(_) => None,
        }
    }

    /// The inputs that would make this topic, with those of its settings that are `of_interest`.
    pub(super) fn inputs(&self, cluster: &str, of_interest: impl Fn(&str) -> bool) -> TopicInputs {
        let configs = self.configs.iter().filter(|(name, _)| of_interest(name));
        TopicInputs {
            cluster: cluster.to_owned(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: configs.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Whether it is what one of these inputs makes, and nothing else but that a reassignment throttles it.
    pub(super) fn is_made_by<'a>(&self, mut inputs: impl Iterator<Item = &'a Value>) -> bool {
        const THROTTLES: &str = ".replication.throttled.replicas";
        inputs.any(|inputs| {
            let made = TopicInputs::deserialize(inputs).ok();
            made.is_some_and(|made| self.inputs(&made.cluster, |name| !name.ends_with(THROTTLES)) == made)
        })
    }

    /// The settings that it has once it is brought to `inputs`: what another hand set stays.
    pub(super) fn brought_to(
        &self,
        inputs: &TopicInputs,
        ours: &BTreeSet<String>,
    ) -> BTreeMap<String, String> {
        let mut configs = self.configs.clone();
        configs.retain(|name, _| !ours.contains(name));
        configs.extend(inputs.configs.clone());
        configs
    }

    /// In what its records are less safe than with these settings, a sentence each.
    pub(super) fn weakened(&self, than: &BTreeMap<String, String>) -> Vec<String> {
        self.inherited.with_topic(than).lowered(&self.inherited.with_topic(&self.configs))
    }

    /// What it lets go that it keeps now, once it has these settings.
    pub(super) fn losses(&self, after: &BTreeMap<String, String>) -> Vec<String> {
        self.inherited.with_topic(&self.configs).lowered(&self.inherited.with_topic(after))
    }
}

/// The names of the settings in inputs as they are recorded.
pub(super) fn settings_in<'a>(inputs: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    let configs = inputs.into_iter().filter_map(|inputs| inputs.get("configs")?.as_object());
    configs.flat_map(|configs| configs.keys().cloned()).collect()
}

/// The settings that Octad set or may have set. Those of others are theirs: a reassignment under way relies on the
/// throttles that it set.
pub(super) fn ours(recorded: &Recorded) -> BTreeSet<String> {
    settings_in(std::iter::once(&recorded.inputs).chain(&recorded.attempted))
}

/// In what another hand made a topic's records less safe than they are recorded to be, a sentence each. What Octad was about
/// to bring it to when it was cut off is no other hand's.
pub(crate) fn weakened(recorded: &Recorded, observed: &Observed) -> Vec<String> {
    let Some(found) = Found::read(observed).filter(|_| another(recorded, observed).is_none()) else {
        return Vec::new();
    };
    let brought_to = std::iter::once(&recorded.inputs).chain(&recorded.attempted);
    let brought_to = brought_to.filter_map(|inputs| TopicInputs::deserialize(inputs).ok());
    let told = brought_to.map(|inputs| found.weakened(&inputs.configs));
    told.min_by_key(Vec::len).unwrap_or_default()
}

/// Whether it was to be made and never was for certain.
pub(super) fn never_ended(recorded: &Recorded) -> bool {
    recorded.is_pending() && recorded.outputs.is_null()
}

/// Whether it can't be told who made it: Octad was cut off as it made a topic, and this one is not as that was to be. What
/// Octad makes is whole from the beginning.
pub(super) fn is_of_unknown_origin(recorded: &Recorded, found: &Found) -> bool {
    never_ended(recorded) && !found.is_made_by(std::iter::once(&recorded.inputs).chain(&recorded.attempted))
}

/// What is told of such a topic.
pub(super) const UNKNOWN_ORIGIN: &str =
    "a topic of this name exists, and it isn't known whether an earlier up made it";

/// A topic's id as the state has it; `None` where it was never made, or the cluster had none to tell.
pub(super) fn known_id(id: Option<&Value>) -> Option<String> {
    Some(id?.as_str().filter(|id| !id.is_empty())?.to_owned())
}

/// In a sentence, that a topic is another than the one that the state knows; `None` where it is that one.
pub(super) fn another(recorded: &Recorded, observed: &Observed) -> Option<String> {
    let (known, found) = (known_id(recorded.outputs.get("id"))?, Found::read(observed)?.id);
    (!found.is_empty() && found != known).then(|| {
        format!("it is another one, which this stack did not make (its id is {found}, and {known} is known)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProcessSeen;
    use serde_json::json;

    fn inputs(configs: Value) -> Value {
        json!({ "cluster": "kafka", "partitions": 1, "replication_factor": 3, "configs": configs })
    }

    fn seen(configs: Value) -> Observed {
        let detail = json!({
            "partitions": 1, "replication_factor": 3, "configs": configs, "id": "a",
            "inherited": { "retention.ms": "1000" }
        });
        Observed::Present { status: "exists".into(), detail, process: ProcessSeen::Runs, broken: None }
    }

    fn recorded(applied: Value, attempted: &[Value]) -> Recorded {
        let attempted: Vec<Value> = attempted.iter().cloned().map(inputs).collect();
        let outputs = json!({ "id": "a" });
        serde_json::from_value(
            json!({ "inputs": inputs(applied), "outputs": outputs, "attempted": attempted }),
        )
        .unwrap()
    }

    #[test]
    fn what_octad_was_about_to_bring_it_to_is_no_other_hands() {
        let kept = json!({ "retention.ms": "500" });
        let lower = json!({ "retention.ms": "400" });
        let told = weakened(&recorded(kept.clone(), &[]), &seen(lower.clone()));
        assert_eq!(told.len(), 1, "the detector: {told:?}");
        assert_eq!(
            weakened(&recorded(kept.clone(), std::slice::from_ref(&lower)), &seen(lower.clone())),
            [""; 0]
        );
        // Another hand was there as well.
        let other = json!({ "retention.ms": "300" });
        assert_eq!(weakened(&recorded(kept, &[json!({ "retention.ms": "400" })]), &seen(other)).len(), 1);
    }

    #[test]
    fn a_topic_with_a_setting_more_was_not_made_so_unless_a_reassignment_throttles_it() {
        let made = inputs(json!({ "retention.ms": "500" }));
        let is = |configs: Value| Found::read(&seen(configs)).unwrap().is_made_by([&made].into_iter());
        assert!(is(json!({ "retention.ms": "500" })));
        assert!(is(json!({ "retention.ms": "500", "leader.replication.throttled.replicas": "*" })));
        assert!(!is(json!({ "retention.ms": "500", "cleanup.policy": "compact" })));
    }
}
