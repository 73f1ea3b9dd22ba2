//! Which topics share the disks of a cluster, and what they are known by.

use super::{Disks, Fit, Size, Topic, fit};
use crate::resource::{Fitted, Recorded, Siblings, TopicInputs};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Divides the room of one cluster's disks among its declared topics.
pub(in crate::resource) fn fit_cluster(
    cluster: &str,
    disks: &Disks,
    all: &Siblings<'_>,
    fitted: &mut Fitted,
) {
    let read = |inputs: &Value| {
        let inputs = TopicInputs::deserialize(inputs).ok();
        inputs.filter(|inputs| inputs.cluster == cluster)
    };
    let topic = |key, declared, recorded: Option<&Recorded>| {
        Some(Topic {
            key,
            declared: read(declared)?,
            recorded: recorded.and_then(|recorded| read(&recorded.inputs)),
            rate: all.measured.rates.get(&key.name).copied(),
        })
    };
    let declared = all.declared.iter();
    let declared = declared.filter_map(|(key, inputs)| topic(*key, inputs, all.recorded.get(key).copied()));
    // One that is no longer declared takes its room until somebody consents to its removal.
    let left = all
        .recorded
        .iter()
        .filter(|(key, recorded)| !all.declared.contains_key(*key) && !recorded.unprotected);
    let left = left.filter_map(|(key, recorded)| topic(*key, &recorded.inputs, Some(recorded)));
    let topics: Vec<Topic<'_>> = declared.chain(left).collect();
    let shared = all.measured.shared_disks.get(&disks.backend);
    let size = match (disks.each, shared) {
        (Some(bytes), _) => Size::Declared(bytes),
        (None, Some(free)) => Size::Shared(free / disks.brokers.max(1)),
        (None, None) => Size::Unknown,
    };
    let Fit { configs, told, refusals } = fit(&topics, disks, size);
    for topic in topics {
        if let Some(configs) = configs.get(topic.key) {
            let inputs = TopicInputs { configs: configs.clone(), ..topic.declared };
            fitted.inputs.insert(topic.key.clone(), json!(inputs));
        }
    }
    fitted.told.extend(told.into_iter().filter(|(key, _)| all.declared.contains_key(key)));
    fitted.refusals.extend(refusals);
}
