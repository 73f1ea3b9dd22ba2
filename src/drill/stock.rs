//! A stack to compare with: the same in all, but with the timeouts of Kafka and ZooKeeper as shipped, and without the
//! crash fence or watchdog. Pure.

use crate::role::{Broker, Zookeeper};
use crate::stack::ValidStack;
use toml::{Table, Value};

/// Timeouts of brokers: the defaults of Kafka 3.9, and of the `server.properties` that comes with it.
const KAFKA: [(&str, i64); 7] = [
    ("zookeeper.session.timeout.ms", 18_000),
    ("zookeeper.connection.timeout.ms", 18_000),
    ("replica.lag.time.max.ms", 30_000),
    ("replica.fetch.backoff.ms", 1_000),
    ("replica.fetch.wait.max.ms", 500),
    ("controlled.shutdown.max.retries", 3),
    ("controlled.shutdown.retry.backoff.ms", 5_000),
];

/// Timeouts of servers: those of the `zoo_sample.cfg` that comes with ZooKeeper.
const ZOOKEEPER: [(&str, i64); 3] = [("tickTime", 2_000), ("initLimit", 10), ("syncLimit", 5)];

/// The text of the stack file without fence and watchdog. Its addresses follow from its own name, whatever the original's
/// are.
///
/// # Errors
/// Where the text is no TOML.
pub fn unguarded(text: &str) -> Result<String, toml::de::Error> {
    let mut file: Table = toml::from_str(text)?;
    section(&mut file, "hosts").remove("subnet");
    let kafka = section(&mut file, "kafka");
    kafka.insert("fence".into(), false.into());
    kafka.insert("watchdog".into(), false.into());
    Ok(file.to_string())
}

/// What such a file declares, with the timeouts as shipped. A stack file can't say so: a broker that can't receive stays
/// registered for longer than these leave its followers in the ISR.
pub fn as_shipped(stack: ValidStack) -> ValidStack {
    stack.with_settings(Broker::NAME, &KAFKA).with_settings(Zookeeper::NAME, &ZOOKEEPER)
}

fn section<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let value = table.entry(name).or_insert_with(|| Table::new().into());
    if !value.is_table() {
        // What isn't a table is wrong, and would be told of when the original was declared.
        *value = Value::Table(Table::new());
    }
    value.as_table_mut().expect("made a table just above")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Programs, StackFile};
    use crate::registry::Registry;
    use crate::resource::NodeKind;
    use std::collections::BTreeSet;

    #[test]
    fn only_timeouts_fence_watchdog_and_addresses_differ() {
        let text = include_str!("../../stacks/ha.toml");
        let declared = |text: &str| {
            let file = StackFile::of_text("ha".parse().unwrap(), text);
            file.declare(&Programs::standard(), &Registry::standard()).unwrap()
        };
        let (ours, stock) = (declared(text), as_shipped(declared(&unguarded(text).unwrap())));
        let mut differing = BTreeSet::new();
        for (key, declared) in ours.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME) {
            let (ours, stock) = (&declared.inputs, &stock.resources[key].inputs);
            let settings = ours["settings"].as_object().unwrap();
            differing
                .extend(settings.keys().filter(|name| ours["settings"][*name] != stock["settings"][*name]));
            assert_eq!(stock["fence"] == false, key.name.starts_with("broker"));
            assert_eq!(ours["watchdog"] == true, key.name.starts_with("broker"));
            assert!(stock["watchdog"].is_null());
        }
        let timeouts: BTreeSet<String> =
            KAFKA.iter().chain(&ZOOKEEPER).map(|(name, _)| (*name).to_owned()).collect();
        assert!(differing.contains(&"replica.lag.time.max.ms".to_owned()), "the detector: {differing:?}");
        assert!(differing.into_iter().all(|name| timeouts.contains(name)));
        assert_eq!(ours.resources.len(), stock.resources.len());
    }
}
