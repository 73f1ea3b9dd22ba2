//! What the shares of a cluster's disks come to: the settings of each topic, and what they mean to people. Pure.

use super::meaning::{amount, meaning, per_second, per_second_of, time_of};
use super::{Bound, DEFAULT_RATE, Disks, Fit, Part, RETENTION, SEGMENT, Size, Topic, Why, number};
use crate::model::Key;
use crate::resource::TopicInputs;
use std::collections::BTreeMap;

/// What each topic's settings are to be, and what they mean.
pub(super) fn told(parts: &[Part<'_>], disks: &Disks, size: Size, share: Option<u64>) -> Fit {
    let mut fit = Fit::default();
    let partitions: u64 =
        parts.iter().map(|part| u64::from(part.topic.declared.partitions.unsigned_abs())).sum();
    let of_segments =
        number(disks.settings.get("log.segment.bytes")).and_then(|bytes| u64::try_from(bytes).ok());
    for part in parts {
        let Topic { key, declared, recorded, rate } = part.topic;
        let key: &Key = key;
        let mut configs = declared.configs.clone();
        let mut takes_over = |name: &str| {
            if let Some(value) = recorded.as_ref().and_then(|recorded| recorded.configs.get(name)) {
                configs.entry(name.to_owned()).or_insert_with(|| value.clone());
            }
        };
        match (part.why, part.bound) {
            (Why::Share, Bound::Bytes(bytes)) => {
                takes_over(SEGMENT);
                configs.insert(RETENTION.to_owned(), bytes.to_string());
                if recorded.is_none() && Some(part.segment) < of_segments {
                    configs.entry(SEGMENT.to_owned()).or_insert_with(|| part.segment.to_string());
                }
            }
            (Why::Kept, _) => [SEGMENT, RETENTION].into_iter().for_each(&mut takes_over),
            _ => {}
        }
        if configs != declared.configs {
            fit.configs.insert(key.clone(), configs);
        }
        let Bound::Bytes(bytes) = part.bound else { continue };
        let measured = rate.filter(|rate| *rate > 0.0);
        let declared_rate = disks.write_rate.unwrap_or(DEFAULT_RATE);
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        let each = measured.unwrap_or(declared_rate as f64 / partitions.max(1) as f64);
        let of = match (measured, disks.write_rate) {
            (Some(rate), _) => format!("at the {} of its busiest partition", per_second(rate)),
            (None, Some(_)) => {
                format!("at the declared {} into the whole cluster", per_second_of(declared_rate))
            }
            (None, None) => format!(
                "at {} into the whole cluster, since no `write-mib-s` is declared",
                per_second_of(declared_rate)
            ),
        };
        let from = match (part.why, size) {
            (Why::Share, Size::Declared(disk)) => format!(" (of disks of {})", amount(disk)),
            (Why::Share, Size::Shared(disk)) => format!(" (of {} free for each broker)", amount(disk)),
            (Why::Brokers, _) if !disks.own_bound => {
                " (as brokers do where no `disk-mib` is declared)".into()
            }
            (Why::Kept, Size::Declared(_)) => match share.filter(|share| *share < bytes) {
                Some(share) => format!(" (more than its share of {}; it is not lowered)", amount(share)),
                None => " (the disks have no room for more)".into(),
            },
            (Why::Kept, Size::Unknown) => " (more than brokers would; it is not lowered)".into(),
            _ => String::new(),
        };
        let (lasts, verdict) =
            meaning(bytes, each, time_of(configs_of(fit.configs.get(key), declared), disks));
        let text = format!("keeps {} of each partition{from}, which is {lasts} {of}{verdict}", amount(bytes));
        let always = part.why == Why::Kept && !matches!(size, Size::Shared(_));
        fit.told.insert(key.clone(), (text, always));
    }
    fit
}

pub(super) fn configs_of<'a>(
    fitted: Option<&'a BTreeMap<String, String>>,
    declared: &'a TopicInputs,
) -> &'a BTreeMap<String, String> {
    fitted.unwrap_or(&declared.configs)
}
