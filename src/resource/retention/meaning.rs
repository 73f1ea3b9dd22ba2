//! What a bound by size means, for people: how long records are kept at a rate.

use super::{Bound, Disks, OVERDUE, Part, Size, Topic, Why, part};
use crate::kafka::Safeguards;
use crate::model::{Key, Refusal};
use crate::resource::{TopicInputs, TopicKind};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// For how long a topic keeps its records at the rate at which it is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lasts {
    /// Bytes of each partition that are kept.
    pub bytes: u64,
    /// Bytes a second that its busiest partition takes.
    pub rate: f64,
    /// Seconds after which the oldest record of that partition goes by size.
    pub seconds: f64,
    /// Seconds after which records go by time; `None` where that is never.
    pub time: Option<u64>,
    /// Whether size deletes before time.
    pub size_first: bool,
    /// The same for people, without the topic's name.
    #[serde(skip)]
    pub told: String,
}

/// What the bound of a recorded topic means at a rate, where its brokers have these settings; `None` where nothing bounds
/// it by size.
pub(crate) fn lasts(inputs: &Value, settings: &BTreeMap<String, String>, rate: f64) -> Option<Lasts> {
    let topic = TopicInputs::deserialize(inputs).ok()?;
    let disks = Disks { settings: settings.clone(), own_bound: true, ..Disks::default() };
    let key = Key::new(TopicKind::NAME, "");
    let topic = Topic { key: &key, declared: topic, recorded: None, rate: Some(rate) };
    let Bound::Bytes(bytes) = part(&topic, &disks, Size::Unknown).bound else { return None };
    let time = time_of(&topic.declared.configs, &disks);
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let seconds = bytes as f64 / rate.max(f64::MIN_POSITIVE);
    let (lasts, verdict) = meaning(bytes, rate, time);
    let (kept, rate_told) = (amount(bytes), per_second(rate));
    let told = format!(
        "keeps {kept} of each partition, which is {lasts} at the {rate_told} of its busiest one{verdict}"
    );
    let size_first = time.is_none_or(|time| seconds < time.as_secs_f64());
    Some(Lasts { bytes, rate, seconds, time: time.map(|time| time.as_secs()), size_first, told })
}

/// For how long records are kept by time; `None` where that is for ever.
pub(super) fn time_of(configs: &BTreeMap<String, String>, disks: &Disks) -> Option<Duration> {
    let all = Safeguards::of_broker(|name| disks.settings.get(name).cloned()).with_topic(configs);
    let ms: i64 = all.get("retention.ms")?.parse().ok()?;
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// How long a bound lasts at a rate, and where it deletes before time does, that it does.
pub(super) fn meaning(bytes: u64, rate: f64, time: Option<Duration>) -> (String, String) {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let seconds = bytes as f64 / rate.max(f64::MIN_POSITIVE);
    match time.map(|time| time.as_secs_f64()) {
        Some(time) if seconds >= time => (format!("more than the {} of time", long(time)), String::new()),
        Some(time) => (long(seconds), format!(": size deletes before the {} of time", long(time))),
        None => (long(seconds), ": size deletes what time would keep for ever".into()),
    }
}

pub(super) fn no_room(part: &Part<'_>, bytes: u64, size: Size, parts: &[Part<'_>]) -> Refusal {
    let of = match size {
        Size::Shared(_) => format!("the {} that are free for each broker", amount(bytes)),
        _ => format!("brokers' disks of {}", amount(bytes)),
    };
    let others: BTreeSet<&str> = parts
        .iter()
        .filter(|other| other.why == Why::Kept || other.why == Why::Own)
        .map(|other| other.topic.key.name.as_str())
        .filter(|name| *name != part.topic.key.name)
        .collect();
    let first: Vec<&str> = others.iter().copied().take(3).collect();
    let lower = match others.len() {
        0 => String::new(),
        _ => format!(", or a lower `retention.bytes` of other topics ({} first)", first.join(", ")),
    };
    Refusal {
        key: part.topic.key.clone(),
        reason: format!(
            "{} replicas of it on each broker don't fit on {of}, with a segment of {} for each and {OVERDUE} s of writes",
            part.replicas,
            amount(part.segment)
        ),
        hint: format!("declare larger disks or fewer partitions{lower}"),
    }
}

/// Bytes for people.
pub(super) fn amount(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let exact = bytes as f64;
    for (name, unit) in [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)] {
        if bytes >= unit {
            #[allow(clippy::cast_precision_loss, reason = "powers of two are exact")]
            let count = exact / unit as f64;
            return if count >= 10.0 {
                format!("{count:.0} {name}")
            } else {
                format!("{} {name}", short(count))
            };
        }
    }
    format!("{bytes} B")
}

fn short(count: f64) -> String {
    let text = format!("{count:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

pub(super) fn per_second_of(bytes: u64) -> String {
    format!("{}/s", amount(bytes))
}

pub(super) fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 1_048_576.0 => format!("{} MiB/s", short(rate / 1_048_576.0)),
        rate if rate >= 1024.0 => format!("{:.0} KiB/s", rate / 1024.0),
        rate => format!("{rate:.0} B/s"),
    }
}

/// A length of time for people: two digits are enough.
fn long(seconds: f64) -> String {
    match seconds {
        s if s >= 365.0 * 86_400.0 => "more than a year".into(),
        s if s > 14.0 * 86_400.0 => format!("{:.0} days", s / 86_400.0),
        s if s >= 3600.0 => format!("{} h", short(s / 3600.0)),
        s if s >= 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::retention::MIB;

    const GIB: u64 = 1 << 30;

    #[test]
    fn figures_are_for_people() {
        assert_eq!(amount(1_610_612_736), "1.5 GiB");
        assert_eq!(amount(400 * MIB), "400 MiB");
        let week = Some(Duration::from_secs(168 * 3600));
        let told = |rate, time| {
            let (lasts, verdict) = meaning(GIB, rate, time);
            format!("{lasts}{verdict}")
        };
        assert_eq!(told(1_048_576.0, week), "17 min: size deletes before the 168 h of time");
        assert_eq!(told(1.0, week), "more than the 168 h of time");
        assert_eq!(told(1_048_576.0, None), "17 min: size deletes what time would keep for ever");
    }
}
