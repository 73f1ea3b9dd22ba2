//! How much of each partition is kept: bounds by size that follow from the disks that a cluster's brokers have. Pure.
//!
//! The bound of a topic is its own, so that a topic that joins changes no other's. It never falls by itself: a topic that
//! keeps more than its share keeps it, and others get less. Half of the room is left to topics to come.

mod meaning;
mod told;
mod topics;

use super::TopicInputs;
use crate::model::{Key, Refusal};
pub use meaning::Lasts;
pub(crate) use meaning::lasts;
use meaning::no_room;
use std::collections::BTreeMap;
use told::told;
pub(super) use topics::fit_cluster;

/// The disks of a cluster's brokers, and what its topics inherit, as declared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Disks {
    /// Bytes of each broker's disk; `None` where none is declared.
    pub each: Option<u64>,
    /// The backend of the hosts, which may know what disk they share.
    pub backend: String,
    /// How many brokers.
    pub brokers: u64,
    /// Bytes that producers write to the cluster in a second; `None` where it isn't declared.
    pub write_rate: Option<u64>,
    /// The brokers' settings on logs.
    pub settings: BTreeMap<String, String>,
    /// Whether the stack file itself says how much of each partition the brokers keep.
    pub own_bound: bool,
}

/// A disk's size as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Declared, for each broker.
    Declared(u64),
    /// What is free of the file system that all hosts share, divided among the brokers. It changes with whatever else the
    /// machine does, so that it is a measure for new topics only.
    Shared(u64),
    /// Nobody knows.
    Unknown,
}

/// A topic that is declared.
#[derive(Debug)]
pub(super) struct Topic<'a> {
    pub(super) key: &'a Key,
    pub(super) declared: TopicInputs,
    pub(super) recorded: Option<TopicInputs>,
    /// Bytes that its busiest partition takes in a second at present, where that is known.
    pub(super) rate: Option<f64>,
}

/// What comes of it.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// The settings of each topic for which they differ from the declared ones.
    pub(super) configs: BTreeMap<Key, BTreeMap<String, String>>,
    /// What it means for each topic, for people, and whether that is to be told although nothing changes.
    pub(super) told: BTreeMap<Key, (String, bool)>,
    /// Topics for which there is no room.
    pub(super) refusals: BTreeMap<Key, Refusal>,
}

/// The rate that is reckoned with where none is declared: 90 GB a day.
const DEFAULT_RATE: u64 = MIB;

/// What is over the bound is written for so long: it is looked for every 30 s (`log.retention.check.interval.ms`), and
/// deleted 60 s after it was found (`file.delete.delay.ms`).
const OVERDUE: u64 = 90;

/// One part in so many of a disk is left to the file system's own books, indexes and Kafka's own topics.
const RESERVED: u64 = 20;

/// A partition's share of a disk is at least so many segments, where those of the brokers would be fewer. Kafka deletes
/// whole segments, so that one more than the bound is there.
const SEGMENTS: u64 = 16;

const MIB: u64 = 1 << 20;
const RETENTION: &str = "retention.bytes";
const SEGMENT: &str = "segment.bytes";

/// What bounds a topic by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Bytes(u64),
    /// Nothing does.
    Without,
}

impl Bound {
    fn exceeds(self, other: Self) -> bool {
        match (self, other) {
            (Self::Bytes(one), Self::Bytes(other)) => one > other,
            (Self::Without, Self::Bytes(_)) => true,
            (_, Self::Without) => false,
        }
    }
}

/// A topic under consideration.
struct Part<'a> {
    topic: &'a Topic<'a>,
    /// Replicas on each broker, as evenly as can be.
    replicas: u64,
    segment: u64,
    bound: Bound,
    why: Why,
    /// It is made, or is to have more than it has.
    grows: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The stack file says so.
    Own,
    /// It has no bound by size, since it isn't deleted from.
    Compacted,
    /// The brokers' own for all topics.
    Brokers,
    /// It follows from the disks.
    Share,
    /// It is more than its share, or can't be made more, and isn't lowered.
    Kept,
}

/// Divides the disks' room among topics.
pub(super) fn fit(topics: &[Topic<'_>], disks: &Disks, size: Size) -> Fit {
    let mut parts: Vec<Part<'_>> = topics.iter().map(|topic| part(topic, disks, size)).collect();
    let bytes = match size {
        Size::Declared(bytes) | Size::Shared(bytes) => bytes,
        Size::Unknown => return told(&parts, disks, size, None),
    };
    let all: u64 = parts.iter().map(|part| part.replicas).sum();
    let small = (bytes / (SEGMENTS * all.max(1)) / MIB * MIB).max(MIB);
    let is_free = |part: &&mut Part<'_>| {
        let Topic { declared, recorded, .. } = part.topic;
        recorded.is_none() && part.why == Why::Share && !declared.configs.contains_key(SEGMENT)
    };
    for part in parts.iter_mut().filter(is_free) {
        part.segment = part.segment.min(small);
    }
    let rate = disks.write_rate.unwrap_or(DEFAULT_RATE);
    let factor =
        topics.iter().map(|topic| topic.declared.replication_factor.unsigned_abs()).max().unwrap_or(1);
    let writes = rate.saturating_mul(OVERDUE).saturating_mul(u64::from(factor)) / disks.brokers.max(1);
    let segments: i128 = parts.iter().map(|part| signed(part.replicas) * signed(part.segment)).sum();
    let room = signed(bytes - bytes / RESERVED) - signed(writes) - segments;
    let taken = |parts: &[Part<'_>], counts: &dyn Fn(&Part<'_>) -> bool| -> i128 {
        let of = |part: &Part<'_>| match part.bound {
            Bound::Bytes(bytes) => i128::from(part.replicas) * i128::from(bytes),
            Bound::Without => 0,
        };
        parts.iter().filter(|part| counts(part)).map(of).sum()
    };
    let is_open = |part: &Part<'_>| part.why == Why::Share;
    let fixed = taken(&parts, &|part| !is_open(part));
    let sharers: u64 = parts.iter().filter(|part| is_open(part)).map(|part| part.replicas).sum();
    let share = mib((room - fixed) / 2 / i128::from(sharers.max(1)));
    // Who keeps more than a share leaves less to the others, of whom then some keep more than that.
    let open = loop {
        let left = room - taken(&parts, &|part| !is_open(part));
        let sharers: u64 = parts.iter().filter(|part| is_open(part)).map(|part| part.replicas).sum();
        let open = share.min(mib(left / i128::from(sharers.max(1))));
        let keeps = |part: &&mut Part<'_>| {
            // What others leave free of a shared disk is no reason to change a topic each time that it is looked at.
            let settled = matches!(size, Size::Shared(_)) && part.topic.recorded.is_some();
            let more = part.bound.exceeds(Bound::Bytes(open));
            // Less than a segment is no bound: a topic that has one keeps it.
            let none = open < part.segment && part.topic.recorded.is_some();
            part.why == Why::Share && (settled || more || none)
        };
        let kept: Vec<&mut Part<'_>> = parts.iter_mut().filter(keeps).collect();
        if kept.is_empty() {
            break open;
        }
        kept.into_iter().for_each(|part| part.why = Why::Kept);
    };
    for part in parts.iter_mut().filter(|part| part.why == Why::Share) {
        part.bound = Bound::Bytes(open);
    }
    let over = taken(&parts, &|_| true) > room;
    let mut fit = told(&parts, disks, size, Some(share));
    for part in &parts {
        let too_little = part.why == Why::Share && open < part.segment;
        if too_little || (over && part.grows) {
            fit.refusals.insert(part.topic.key.clone(), no_room(part, bytes, size, &parts));
        }
    }
    fit
}

fn signed(bytes: u64) -> i128 {
    i128::from(bytes)
}

/// Down to whole MiB; nothing where there is less than that.
fn mib(bytes: i128) -> u64 {
    u64::try_from(bytes).map_or(0, |bytes| bytes / MIB * MIB)
}

fn number(text: Option<&String>) -> Option<i64> {
    text.and_then(|text| text.trim().parse().ok())
}

fn bound_of(number: i64) -> Bound {
    u64::try_from(number).map_or(Bound::Without, Bound::Bytes)
}

/// A topic as it stands before anything is shared.
fn part<'a>(topic: &'a Topic<'a>, disks: &Disks, size: Size) -> Part<'a> {
    let TopicInputs { partitions, replication_factor, configs, .. } = &topic.declared;
    let on_each = u64::from(partitions.unsigned_abs()) * u64::from(replication_factor.unsigned_abs());
    let of_brokers = bound_of(number(disks.settings.get("log.retention.bytes")).unwrap_or(-1));
    let recorded = topic.recorded.as_ref();
    let had = recorded.map(|recorded| match number(recorded.configs.get(RETENTION)) {
        Some(own) => bound_of(own),
        None => of_brokers,
    });
    let policy = configs.get("cleanup.policy").or(disks.settings.get("log.cleanup.policy"));
    let deletes = policy.is_none_or(|policy| policy.split(',').any(|one| one.trim() == "delete"));
    let (bound, why) = match number(configs.get(RETENTION)) {
        _ if !deletes => (Bound::Without, Why::Compacted),
        Some(own) => (bound_of(own), Why::Own),
        // A bound that was a share stays where nothing is shared any more.
        None if disks.own_bound || size == Size::Unknown => match had {
            Some(had) if had.exceeds(of_brokers) => (had, Why::Kept),
            _ => (of_brokers, Why::Brokers),
        },
        None => (had.unwrap_or(Bound::Bytes(0)), Why::Share),
    };
    let known_segment = configs.get(SEGMENT).or(recorded.and_then(|recorded| recorded.configs.get(SEGMENT)));
    let segment = number(known_segment.or(disks.settings.get("log.segment.bytes")));
    let more = recorded.is_none_or(|recorded| {
        let raised = had.is_some_and(|had| bound.exceeds(had));
        raised || *partitions > recorded.partitions
    });
    Part {
        topic,
        replicas: on_each.div_ceil(disks.brokers.max(1)),
        segment: segment.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(1 << 30),
        bound,
        why,
        grows: more,
    }
}

#[cfg(test)]
mod tests {
    use super::told::configs_of;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn disks(brokers: u64) -> Disks {
        let settings = [
            ("log.retention.bytes", "1073741824"),
            ("log.segment.bytes", "134217728"),
            ("log.retention.hours", "168"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Disks { brokers, settings: settings.into(), ..Disks::default() }
    }

    fn inputs(partitions: i32, configs: &[(&str, &str)]) -> TopicInputs {
        TopicInputs {
            cluster: "kafka".into(),
            partitions,
            replication_factor: 3,
            configs: configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    /// Topics that were declared one after the other, each with what the disks gave to those before.
    #[derive(Default)]
    struct World {
        recorded: BTreeMap<Key, TopicInputs>,
        declared: BTreeMap<Key, TopicInputs>,
    }

    impl World {
        fn fit(&self, disks: &Disks, size: Size) -> Fit {
            let topics: Vec<Topic<'_>> = self
                .declared
                .iter()
                .map(|(key, declared)| Topic {
                    key,
                    declared: declared.clone(),
                    recorded: self.recorded.get(key).cloned(),
                    rate: None,
                })
                .collect();
            fit(&topics, disks, size)
        }

        /// Declares a topic and makes what comes of it. Returns the bounds, or that it doesn't fit.
        fn add(
            &mut self,
            name: &str,
            topic: TopicInputs,
            disks: &Disks,
            size: Size,
        ) -> Result<Vec<u64>, String> {
            self.declared.insert(Key::new("topic", name), topic);
            let fit = self.fit(disks, size);
            if let Some(refusal) = fit.refusals.values().next() {
                return Err(refusal.reason.clone());
            }
            for (key, declared) in &self.declared {
                let configs = configs_of(fit.configs.get(key), declared).clone();
                self.recorded.insert(key.clone(), TopicInputs { configs, ..declared.clone() });
            }
            Ok(self.bounds())
        }

        fn bounds(&self) -> Vec<u64> {
            let bound = |topic: &TopicInputs| topic.configs[RETENTION].parse().unwrap();
            self.recorded.values().map(bound).collect()
        }

        /// Bytes on each broker at the worst.
        fn worst(&self, brokers: u64, segment: u64) -> u64 {
            let of = |topic: &TopicInputs| {
                let replicas = (u64::from(topic.partitions.unsigned_abs()) * 3).div_ceil(brokers);
                let segment = number(topic.configs.get(SEGMENT)).map_or(segment, i64::unsigned_abs);
                replicas * (topic.configs[RETENTION].parse::<u64>().unwrap() + segment)
            };
            self.recorded.values().map(of).sum()
        }
    }

    #[test]
    fn an_hour_at_ten_megabytes_a_second_is_kept_where_the_disks_have_room_for_it() {
        let mut world = World::default();
        let bounds = world.add("activity", inputs(10, &[]), &disks(5), Size::Declared(200 * GIB)).unwrap();
        assert!(bounds[0] > 3600 * 10_000_000 / 10, "{bounds:?}");
    }

    #[test]
    fn a_topic_that_joins_changes_no_other_and_all_fit_until_one_is_refused() {
        let (disks, size) = (disks(5), Size::Declared(100 * GIB));
        let mut world = World::default();
        let mut before = Vec::new();
        let refused = (0..1000).find_map(|number| {
            // In the order of their names.
            let name = format!("t{number:04}");
            match world.add(&name, inputs(20, &[]), &disks, size) {
                Ok(after) => {
                    assert_eq!(after[..before.len()], before[..], "{name} changed another");
                    assert!(world.worst(5, 128 * MIB) + 54 * MIB <= 95 * GIB, "{name} does not fit");
                    before = after;
                    None
                }
                Err(reason) => Some((number, reason)),
            }
        });
        let (number, reason) = refused.expect("a disk is not without end");
        assert!(number > 3, "{number}: {reason}");
        assert!(
            reason.starts_with("12 replicas of it on each broker don't fit on brokers' disks of 100 GiB"),
            "{reason}"
        );
    }

    #[test]
    fn what_is_derived_stays_when_nothing_changes() {
        for size in [Size::Declared(7 * GIB), Size::Shared(7 * GIB), Size::Declared(400 * MIB)] {
            let mut world = World::default();
            world.add("a", inputs(10, &[]), &disks(5), size).unwrap();
            world.add("b", inputs(3, &[]), &disks(5), size).unwrap();
            let again = world.fit(&disks(5), size);
            for (key, configs) in again.configs {
                assert_eq!(configs, world.recorded[&key].configs, "{key} at {size:?}");
            }
        }
    }

    #[test]
    fn a_small_disk_has_small_segments() {
        let mut world = World::default();
        world.add("a", inputs(10, &[]), &disks(5), Size::Declared(400 * MIB)).unwrap();
        assert!(world.worst(5, 128 * MIB) <= 380 * MIB);
        assert!(world.bounds()[0] >= 16 * MIB, "{:?}", world.bounds());
    }

    #[test]
    fn a_bound_is_raised_with_a_larger_disk_and_never_lowered_with_a_smaller_one() {
        let mut world = World::default();
        let small = world.add("a", inputs(10, &[]), &disks(5), Size::Declared(50 * GIB)).unwrap();
        let large = world.add("a", inputs(10, &[]), &disks(5), Size::Declared(100 * GIB)).unwrap();
        assert!(large[0] > small[0]);
        let kept = world.add("a", inputs(10, &[]), &disks(5), Size::Declared(20 * GIB)).unwrap();
        assert_eq!(kept, large);
        let told = world.fit(&disks(5), Size::Declared(20 * GIB)).told;
        assert!(
            told.values().all(|(text, always)| *always && text.contains("it is not lowered")),
            "{told:?}"
        );
        let kept = world.add("a", inputs(10, &[]), &disks(5), Size::Unknown).unwrap();
        assert_eq!(kept, large, "nor where it is no longer known");
    }

    #[test]
    fn a_stack_that_was_full_before_is_let_go_on() {
        let mut world = World::default();
        world.declared.insert(Key::new("topic", "old"), inputs(100, &[]));
        world.recorded.insert(Key::new("topic", "old"), inputs(100, &[]));
        let fit = world.fit(&disks(5), Size::Declared(10 * GIB));
        assert!(fit.refusals.is_empty() && fit.configs.is_empty());
        assert!(world.add("new", inputs(1, &[]), &disks(5), Size::Declared(10 * GIB)).is_err());
    }

    #[test]
    fn what_the_stack_file_says_itself_holds_where_it_fits() {
        let size = Size::Declared(100 * GIB);
        let mut world = World::default();
        let own = world.add("a", inputs(10, &[(RETENTION, "1000000000")]), &disks(5), size).unwrap();
        assert_eq!(own, [1_000_000_000]);
        assert!(world.add("b", inputs(10, &[(RETENTION, "100000000000")]), &disks(5), size).is_err());
        let brokers = Disks { own_bound: true, ..disks(5) };
        let world = World { declared: [(Key::new("topic", "c"), inputs(1, &[]))].into(), ..World::default() };
        assert!(world.fit(&brokers, size).configs.is_empty());
    }
}
