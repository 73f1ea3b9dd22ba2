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

    /// Whether it is what one of these inputs makes.
    pub(super) fn is_made_by<'a>(&self, mut inputs: impl Iterator<Item = &'a Value>) -> bool {
        inputs.any(|inputs| {
            let made = TopicInputs::deserialize(inputs).ok();
            made.is_some_and(|made| {
                self.inputs(&made.cluster, |name| made.configs.contains_key(name)) == made
            })
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

/// In what another hand made a topic's records less safe than they are recorded to be, a sentence each.
pub(crate) fn weakened(recorded: &Recorded, observed: &Observed) -> Vec<String> {
    let made = TopicInputs::deserialize(&recorded.inputs).ok().zip(Found::read(observed));
    match made.filter(|_| another(recorded, observed).is_none()) {
        Some((made, found)) => found.weakened(&made.configs),
        None => Vec::new(),
    }
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
