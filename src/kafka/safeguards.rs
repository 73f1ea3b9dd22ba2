//! The settings on which it depends how long records are kept, and when one counts as written. Pure.
//!
//! Names and defaults are those of Kafka 3.9 (`TopicConfig`, `ServerTopicConfigSynonyms`).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What holds for a topic, or for all topics without settings of their own: each setting by its name for a topic, times
/// in milliseconds. One that could not be asked for is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Safeguards(BTreeMap<String, String>);

/// What a setting says, and so which of two values is the worse one.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// For how many milliseconds: the fewer, the worse; less than none is for ever.
    Time,
    /// How many bytes: the fewer, the worse; less than none is without a bound.
    Bytes,
    /// How many replicas: the fewer, the worse.
    Replicas,
    /// For how many milliseconds, or records, none has to be on a disk: the more, the worse.
    Unflushed,
    /// Whether something harmful is allowed.
    Allowed,
    /// What is done with old records.
    Policy,
    /// Whose clock says when a record was written, and so when it is old.
    Clock,
}

struct Setting {
    /// Its name for a topic.
    name: &'static str,
    /// Its names for a broker, the one that wins first, with what one unit of it comes to.
    of_broker: &'static [(&'static str, i64)],
    /// What Kafka takes where a broker has none.
    default: &'static str,
    says: Says,
    /// The cleanup policy without which it has no effect.
    under: Option<&'static str>,
    /// What a worse value means.
    means: &'static str,
}

const SOONER: &str = "records are deleted sooner";
const EARLIER: &str = "all but the last record of a key are deleted sooner";

const UNFLUSHED: &str = "more of what is written is lost where all that have it lose their power at once";

const SETTINGS: [Setting; 12] = [
    Setting {
        name: "cleanup.policy",
        of_broker: &[("log.cleanup.policy", 1)],
        default: "delete",
        says: Says::Policy,
        under: None,
        means: "",
    },
    Setting {
        name: "retention.ms",
        of_broker: &[
            ("log.retention.ms", 1),
            ("log.retention.minutes", 60_000),
            ("log.retention.hours", 3_600_000),
        ],
        default: "604800000",
        says: Says::Time,
        under: Some("delete"),
        means: SOONER,
    },
    Setting {
        name: "retention.bytes",
        of_broker: &[("log.retention.bytes", 1)],
        default: "-1",
        says: Says::Bytes,
        under: Some("delete"),
        means: SOONER,
    },
    Setting {
        name: "message.timestamp.type",
        of_broker: &[("log.message.timestamp.type", 1)],
        default: "CreateTime",
        says: Says::Clock,
        under: None,
        means: "",
    },
    Setting {
        name: "min.compaction.lag.ms",
        of_broker: &[("log.cleaner.min.compaction.lag.ms", 1)],
        default: "0",
        says: Says::Time,
        under: Some("compact"),
        means: EARLIER,
    },
    Setting {
        name: "max.compaction.lag.ms",
        of_broker: &[("log.cleaner.max.compaction.lag.ms", 1)],
        default: "9223372036854775807",
        says: Says::Time,
        under: Some("compact"),
        means: EARLIER,
    },
    Setting {
        name: "delete.retention.ms",
        of_broker: &[("log.cleaner.delete.retention.ms", 1)],
        default: "86400000",
        says: Says::Time,
        under: Some("compact"),
        means: "that a key was deleted is forgotten sooner",
    },
    Setting {
        name: "min.insync.replicas",
        of_broker: &[("min.insync.replicas", 1)],
        default: "1",
        says: Says::Replicas,
        under: None,
        means: "a record counts as written with fewer copies",
    },
    Setting {
        name: "unclean.leader.election.enable",
        of_broker: &[("unclean.leader.election.enable", 1)],
        default: "false",
        says: Says::Allowed,
        under: None,
        means: "a replica that lacks records may lead, and they are lost",
    },
    Setting {
        name: "flush.messages",
        of_broker: &[("log.flush.interval.messages", 1)],
        default: "9223372036854775807",
        says: Says::Unflushed,
        under: None,
        means: UNFLUSHED,
    },
    Setting {
        name: "flush.ms",
        of_broker: &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        default: "9223372036854775807",
        says: Says::Unflushed,
        under: None,
        means: UNFLUSHED,
    },
    // Of brokers only: no topic of a user's has it.
    Setting {
        name: "offsets.retention",
        of_broker: &[("offsets.retention.minutes", 60_000)],
        default: "604800000",
        says: Says::Time,
        under: None,
        means: "how far consumers came is forgotten sooner",
    },
];

impl Safeguards {
    /// What holds for topics without settings of their own, where brokers have these.
    pub fn of_broker(value: impl Fn(&str) -> Option<String>) -> Self {
        let of = |setting: &Setting| {
            let (value, unit) = setting
                .of_broker
                .iter()
                .find_map(|(name, unit)| Some((value(name)?, *unit)))
                .unwrap_or_else(|| (setting.default.to_owned(), 1));
            // Less than none is for ever, in whatever unit.
            let value = match trimmed(&value).parse::<i64>() {
                Ok(count) if unit > 1 && count >= 0 => count.saturating_mul(unit).to_string(),
                _ => trimmed(&value).to_owned(),
            };
            (setting.name.to_owned(), value)
        };
        Self(SETTINGS.iter().map(of).collect())
    }

    /// What holds for a topic with these settings of its own.
    #[must_use]
    pub fn with_topic(&self, configs: &BTreeMap<String, String>) -> Self {
        let mut all = self.0.clone();
        for (name, value) in configs.iter().filter(|(name, _)| SETTINGS.iter().any(|s| s.name == **name)) {
            all.insert(name.clone(), trimmed(value).to_owned());
        }
        Self(all)
    }

    /// What a setting says, by its name for a topic.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// In what records are less safe with `after`, a sentence each. What is not known may be worse and is told.
    pub fn lowered(&self, after: &Self) -> Vec<String> {
        let policy = after.0.get("cleanup.policy");
        let holds = |setting: &&Setting| match (setting.under, policy) {
            (Some(needed), Some(policy)) => policies(policy).any(|one| one == needed),
            _ => true,
        };
        let told = |setting: &Setting| {
            let (old, new) = (self.0.get(setting.name), after.0.get(setting.name));
            let means = worse(setting, old, new)?;
            let side = |value: Option<&String>| value.map_or("not known".to_owned(), |v| shown(setting, v));
            Some(format!("{} {} → {}: {means}", setting.name, side(old), side(new)))
        };
        SETTINGS.iter().filter(holds).filter_map(told).collect()
    }
}

/// What becomes worse where a setting changes so; `None` where nothing does.
fn worse(setting: &Setting, old: Option<&String>, new: Option<&String>) -> Option<&'static str> {
    if old == new {
        return None;
    }
    let number = |value: &String| value.parse::<i64>().ok();
    let unflushed = |value: &String| number(value).map(|most| most.saturating_neg());
    let bound = |value: &String| number(value).map(|bound| if bound < 0 { i64::MAX } else { bound });
    let lower = |of: &dyn Fn(&String) -> Option<i64>| match (old, new) {
        (Some(old), Some(new)) => match of(old).zip(of(new)) {
            Some((old, new)) => new < old,
            // What Kafka can't read it refuses: it never held, nor will it. Java reads digits of other scripts too.
            None => !(old.is_ascii() && new.is_ascii()),
        },
        _ => true,
    };
    match setting.says {
        Says::Time | Says::Bytes => lower(&bound).then_some(setting.means),
        Says::Replicas => lower(&number).then_some(setting.means),
        Says::Unflushed => lower(&unflushed).then_some(setting.means),
        Says::Allowed => {
            let is = |value: Option<&String>, word: &str| value.is_some_and(|v| v.eq_ignore_ascii_case(word));
            (!is(new, "false") && !is(old, "true")).then_some(setting.means)
        }
        Says::Policy => {
            let comes = |policy: &str| {
                let has =
                    |value: Option<&String>| value.is_some_and(|v| policies(v).any(|one| one == policy));
                new.is_none() || (has(new) && !has(old))
            };
            match (comes("delete"), comes("compact")) {
                (false, false) => None,
                (true, false) => Some("records are deleted once they are older than retention.ms"),
                (false, true) => Some("all but the last record of each key are deleted"),
                (true, true) => Some("records may be deleted that were kept"),
            }
        }
        // Either way something goes; only a name that Kafka doesn't know changes nothing, since it is refused.
        Says::Clock => match new.map(String::as_str) {
            Some("CreateTime") => Some("records that producers date back are deleted sooner"),
            Some("LogAppendTime") => Some(
                "the time that producers give to a record is not kept, and one dated ahead is deleted sooner",
            ),
            Some(_) => None,
            None => Some("records may be deleted sooner"),
        },
    }
}

fn policies(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(trimmed)
}

/// A value as Kafka reads it: without what Java's `trim` takes for blank, which is all up to the space.
pub(crate) fn trimmed(value: &str) -> &str {
    value.trim_matches(|character| character <= ' ')
}

/// A value for people.
fn shown(setting: &Setting, value: &str) -> String {
    match (setting.says, value.parse::<i64>()) {
        (Says::Time | Says::Bytes, Ok(i64::MAX | ..0)) | (Says::Unflushed, Ok(i64::MAX)) => {
            "without end".into()
        }
        (Says::Time, Ok(ms)) => {
            humantime::format_duration(Duration::from_millis(ms.unsigned_abs())).to_string()
        }
        (Says::Bytes, Ok(bytes)) if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        (Says::Bytes, Ok(bytes)) => format!("{bytes} B"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs<const N: usize>(all: [(&str, &str); N]) -> BTreeMap<String, String> {
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn brokers<const N: usize>(all: [(&str, &str); N]) -> Safeguards {
        let all = configs(all);
        Safeguards::of_broker(|name| all.get(name).cloned())
    }

    fn change(before: [(&str, &str); 1], after: [(&str, &str); 1]) -> Vec<String> {
        let base = brokers([]);
        base.with_topic(&configs(before)).lowered(&base.with_topic(&configs(after)))
    }

    #[test]
    fn what_is_kept_longer_or_the_same_needs_no_consent() {
        for (name, less, more) in [
            ("retention.ms", "1000", "1001"),
            ("retention.ms", "1000", "-1"),
            ("retention.bytes", "1000", "-1"),
            ("min.insync.replicas", "1", "2"),
            ("unclean.leader.election.enable", "true", "false"),
        ] {
            assert_eq!(change([(name, less)], [(name, more)]), [""; 0], "{name}: {less} to {more}");
            assert_eq!(change([(name, more)], [(name, less)]).len(), 1, "{name}: {more} to {less}");
            assert_eq!(change([(name, less)], [(name, less)]), [""; 0], "{name}");
        }
        assert_eq!(change([("retention.ms", "-1")], [("retention.ms", "-2")]), [""; 0]);
    }

    #[test]
    fn a_broker_s_hours_are_a_topic_s_milliseconds_and_the_finest_unit_wins() {
        let hours = brokers([("log.retention.hours", "24")]);
        assert_eq!(hours.lowered(&hours.with_topic(&configs([("retention.ms", "86400000")]))), [""; 0]);
        assert_eq!(
            hours.lowered(&brokers([("log.retention.hours", "240"), ("log.retention.minutes", "60")])),
            ["retention.ms 1day → 1h: records are deleted sooner"]
        );
        assert_eq!(
            brokers([("log.retention.ms", "-1"), ("log.retention.hours", "1")]).lowered(&hours),
            ["retention.ms without end → 1day: records are deleted sooner"]
        );
        // Kafka's own default is what holds where nothing is said.
        assert_eq!(brokers([]).lowered(&hours), ["retention.ms 7days → 1day: records are deleted sooner"]);
    }

    #[test]
    fn a_policy_is_worse_by_what_it_deletes_that_the_old_one_kept() {
        let policy = |old: &str, new: &str| change([("cleanup.policy", old)], [("cleanup.policy", new)]);
        let by =
            |told: Vec<String>| told.iter().map(|one| one.split(": ").last().unwrap().to_owned()).collect();
        let by_age = "records are deleted once they are older than retention.ms".to_owned();
        let by_key = "all but the last record of each key are deleted".to_owned();
        let told: [Vec<String>; 4] = [
            by(policy("compact", "delete")),
            by(policy("compact", "compact, delete")),
            by(policy("delete", "compact,delete")),
            by(policy("delete", "compact")),
        ];
        assert_eq!(told, [vec![by_age.clone()], vec![by_age], vec![by_key.clone()], vec![by_key]]);
        assert_eq!(policy("compact,delete", "delete"), [""; 0]);
        assert_eq!(policy("compact,delete", "delete,compact"), [""; 0]);
    }

    #[test]
    fn retention_matters_only_where_the_policy_deletes() {
        let base = brokers([("log.cleanup.policy", "compact")]);
        let short = base.with_topic(&configs([("retention.ms", "1")]));
        assert_eq!(base.lowered(&short), [""; 0]);
        let lag = base.with_topic(&configs([("min.compaction.lag.ms", "1000")]));
        assert_eq!(lag.lowered(&base).len(), 1);
    }

    #[test]
    fn another_clock_loses_something_either_way() {
        let clock = |old: &str, new: &str| {
            change([("message.timestamp.type", old)], [("message.timestamp.type", new)])
        };
        assert_eq!(
            clock("LogAppendTime", "CreateTime"),
            [
                "message.timestamp.type LogAppendTime → CreateTime: records that producers date back are deleted \
                 sooner"
            ]
        );
        assert_eq!(clock("CreateTime", "LogAppendTime").len(), 1);
        assert_eq!(clock("CreateTime", "CreateTime"), [""; 0]);
        assert_eq!(clock("CreateTime", "createtime"), [""; 0], "Kafka refuses it");
        let base = brokers([("log.message.timestamp.type", "LogAppendTime")]);
        assert_eq!(base.lowered(&brokers([])).len(), 1, "a broker's as well");
    }

    #[test]
    fn what_may_stay_unflushed_longer_is_less_safe() {
        let told = change([("flush.messages", "1")], [("flush.messages", "9223372036854775807")]);
        assert_eq!(
            told,
            [
                "flush.messages 1 → without end: more of what is written is lost where all that have it lose their \
                 power at once"
            ]
        );
        assert_eq!(change([("flush.messages", "10")], [("flush.messages", "1")]), [""; 0]);
        let base = brokers([("log.flush.scheduler.interval.ms", "1000")]);
        assert_eq!(base.lowered(&brokers([("log.flush.interval.ms", "999")])), [""; 0]);
        assert_eq!(base.lowered(&brokers([])).len(), 1);
    }

    #[test]
    fn what_is_not_known_may_be_worse() {
        let unknown = Safeguards::default();
        let set = unknown.with_topic(&configs([("retention.ms", "3600000")]));
        assert_eq!(unknown.lowered(&set), ["retention.ms not known → 1h: records are deleted sooner"]);
        assert_eq!(unknown.lowered(&unknown), [""; 0]);
    }

    #[test]
    fn what_kafka_refuses_never_held_and_never_will() {
        assert_eq!(change([("retention.ms", "1000")], [("retention.ms", "a week")]), [""; 0]);
        assert_eq!(change([("retention.ms", "a week")], [("retention.ms", "1000")]), [""; 0]);
    }
}
