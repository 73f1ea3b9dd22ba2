//! From a stack file's text to a checked declaration, or to every fault in it. Pure.
//!
//! Serde ends at the first fault. To find the others, what it stumbled over is taken out of the file and it is asked
//! again: a key that nobody knows or a value of the wrong kind then counts as not written, and has its default.

use super::{Located, Programs};
use crate::model::Key;
use crate::registry::Registry;
use crate::stack::{Fault, Faults, Name, Stack, ValidStack, nearest};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error, ValueDeserializer};

/// The key that names the program.
pub(super) const PROGRAM: &str = "program";

/// The key that tells of renames, whatever the program is.
pub(super) const MOVED: &str = "moved";

/// A name that is new for what a stack holds already: it is renamed, where it would else be removed and another be made.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Moved {
    /// What it was declared as, such as `topic/orders`.
    #[schemars(with = "String")]
    from: Key,
    /// What it is declared as by now.
    #[schemars(with = "String")]
    to: Key,
}

pub(super) fn declare(
    name: &Name,
    text: &str,
    programs: &Programs,
    registry: &Registry,
) -> Result<ValidStack, Vec<Located>> {
    let (document, unreadable) = DeTable::parse_recoverable(text);
    if !unreadable.is_empty() {
        // What is left of it may mean something else: a lost bracket puts keys into another table.
        return Err(unreadable.iter().map(syntax).collect());
    }
    let mut config = document.clone();
    let run = match config.get_mut().remove(PROGRAM) {
        None => Err(Located { fault: missing_program(programs), span: None }),
        Some(value) => match value.get_ref() {
            DeValue::String(program) => {
                programs.find(program).ok_or_else(|| unknown_program(program, programs))
            }
            other => {
                let message = format!("a {} is no program's name", other.type_str());
                Err(Fault::new(PROGRAM, message, known_programs(programs)))
            }
        }
        .map_err(|fault| Located { fault, span: Some(value.span()) }),
    };
    // Without a program nothing tells which keys there may be.
    let run = run.map_err(|fault| vec![fault])?;
    let mut faults: Vec<Located> = Vec::new();
    let moves = match config.get_mut().remove(MOVED).map(ValueDeserializer::from).map(Vec::deserialize) {
        None => Vec::new(),
        Some(Ok(moves)) => moves,
        Some(Err(error)) => {
            faults.push(Located { fault: plain(&error, Some(MOVED)), span: error.span() });
            Vec::new()
        }
    };
    let declared = loop {
        let mut stack = Stack::new(name.clone());
        for (place, Moved { from, to }) in moves.iter().cloned().enumerate() {
            stack.moved_at(format!("{MOVED}.{place}"), from, to);
        }
        match run(&mut stack, Deserializer::from(config.clone())) {
            Ok(()) => break stack.validate(registry).map_err(|Faults(found)| found),
            Err(error) => {
                let path = error.span().and_then(|span| take_out(config.get_mut(), &span));
                // What is missing only because it was taken out has been told.
                let told = |missing: &str| {
                    let within = format!("{}.{missing}", path.as_deref().unwrap_or_default());
                    faults.iter().any(|located| located.fault.path == within)
                };
                if !missing_field(&error).is_some_and(told) {
                    faults.push(Located { fault: plain(&error, path.as_deref()), span: error.span() });
                }
                if path.is_none() {
                    break Err(Vec::new());
                }
            }
        }
    };
    let found = match declared {
        Ok(stack) if faults.is_empty() => return Ok(stack),
        Ok(_) => Vec::new(),
        Err(found) => found,
    };
    faults.extend(
        found.into_iter().map(|fault| Located { span: span_of(document.get_ref(), &fault.path), fault }),
    );
    faults.sort_by_key(|located| located.span.as_ref().map(|span| span.start));
    Err(faults)
}

fn syntax(error: &Error) -> Located {
    let message = error.message().trim_end().replace('\n', "; ");
    Located { fault: Fault::new("", message, ""), span: error.span() }
}

fn known_programs(programs: &Programs) -> String {
    format!("known: {}", programs.names().join(", "))
}

fn missing_program(programs: &Programs) -> Fault {
    Fault::new(PROGRAM, "the line `program = \"…\"` is missing", known_programs(programs))
}

fn unknown_program(program: &str, programs: &Programs) -> Fault {
    let message = format!("there is no program `{program}`");
    Fault::new(PROGRAM, message, did_you_mean(program, &programs.names()))
}

/// The nearest known name where there is one, else all of them.
fn did_you_mean(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => String::new(),
        None => format!("known: {}", known.join(", ")),
    }
}

/// Serde's words for what it stumbled over, as a person would put them.
fn plain(error: &Error, path: Option<&str>) -> Fault {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let path = path.unwrap_or_default();
    for (theirs, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if message.starts_with(theirs) {
            let unknown = quoted.next().unwrap_or_default();
            let known: Vec<&str> = quoted.collect();
            return Fault::new(
                path,
                format!("there is no {what} `{unknown}` here"),
                did_you_mean(unknown, &known),
            );
        }
    }
    if let Some(missing) = missing_field(error) {
        return Fault::new(path, format!("`{missing}` is missing"), format!("write `{missing} = …` there"));
    }
    let (found, expected) = message.trim_end().split_once(", expected ").unwrap_or((message.trim_end(), ""));
    let hint = match expected {
        "" => String::new(),
        "a boolean" => "write true or false".into(),
        "a sequence" => "write a list in brackets".into(),
        // Serde calls it by its Rust type.
        whole if whole == "a map" || whole.starts_with("struct ") => {
            format!("write a table there, such as one that begins with `[{path}]`")
        }
        whole => match integer_range(whole) {
            Some((least, most)) => format!("write a whole number from {least} to {most}"),
            None => format!("write {whole}"),
        },
    };
    Fault::new(path, found, hint)
}

fn missing_field(error: &Error) -> Option<&str> {
    error.message().strip_prefix("missing field `")?.split('`').next()
}

/// What a Rust integer type can hold.
fn integer_range(name: &str) -> Option<(i128, i128)> {
    let bits: u32 = name.get(1..)?.parse().ok().filter(|bits| *bits <= 64)?;
    match name.get(..1)? {
        "u" => Some((0, (1 << bits) - 1)),
        "i" => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        _ => None,
    }
}

/// Takes the smallest entry that covers `span` out of `table`; its dotted path, or `None` where there is none.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let covers = |range: Range<usize>| range.start <= span.start && span.end <= range.end;
    // A key that isn't known is meant itself, not what a header such as `[topic.orders]` has below it.
    let named = table.iter().find(|(key, _)| covers(key.span()));
    if let Some(key) = named.map(|(key, _)| key.get_ref().clone().into_owned()) {
        table.remove(key.as_str());
        return Some(key);
    }
    // A table that is written as a header spans its header only, so every table has to be looked into.
    for (key, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(path) = take_out(inner, span)
        {
            return Some(format!("{}.{path}", key.get_ref()));
        }
    }
    let found = table.iter().find(|(_, value)| covers(value.span()));
    let key = found.map(|(key, _)| key.get_ref().clone().into_owned())?;
    table.remove(key.as_str());
    Some(key)
}

/// Where the value at a dotted path stands. A path may go on into what isn't written: then it is the nearest table
/// that is. Keys may themselves hold dots (`"min.insync.replicas"`), so longer keys are tried as well.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        let Some(value) = table.get(&path[..end]) else { continue };
        return Some(within(value, path.get(end + 1..)));
    }
    None
}

/// Where the value at a dotted path below `value` stands. The entries of a list are numbered from 0.
fn within(value: &Spanned<DeValue<'_>>, path: Option<&str>) -> Range<usize> {
    let inner = path.and_then(|path| match value.get_ref() {
        DeValue::Table(inner) => span_of(inner, path),
        DeValue::Array(entries) => {
            let (place, more) =
                path.split_once('.').map_or((path, None), |(place, more)| (place, Some(more)));
            Some(within(entries.get(place.parse::<usize>().ok()?)?, more))
        }
        _ => None,
    });
    inner.unwrap_or_else(|| value.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let (programs, registry) = (Programs::standard(), Registry::standard());
        let found = declare(&"s".parse().unwrap(), text, &programs, &registry).err().unwrap_or_default();
        found
            .into_iter()
            .map(|l| format!("{}: {} | {}", l.fault.path, l.fault.message, l.fault.hint))
            .collect()
    }

    #[test]
    fn keys_values_and_what_the_whole_makes_of_them_are_told_together() {
        let text = "program = \"ha\"\n[zookeeper]\nservers = 2\n[kafka]\nbrokrs = 4\nheap-mib = \"big\"\nfence = 1\n\
                    settings = { colour = [1] }\n[topics.a]\nconfigs = {}\n[topics.b]\npartitions = -1\n[more]\n";
        insta::assert_snapshot!(faults(text).join("\n"), @r#"
        zookeeper.servers: an ensemble of 2 servers can't be | 2 tolerate no more failures than 1: write 1 or 3
        kafka.brokrs: there is no key `brokrs` here | did you mean `brokers`?
        kafka.heap-mib: invalid type: string "big" | write a whole number from 0 to 4294967295
        kafka.fence: invalid type: integer `1` | write true or false
        kafka.settings.colour: no setting | write a text, a number, true or false
        topics.a: `partitions` is missing | write `partitions = …` there
        topics.b.partitions: invalid value: integer `-1` | write a whole number from 0 to 4294967295
        more: there is no key `more` here | known: hosts, zookeeper, kafka, topics
        "#);
    }

    #[test]
    fn a_table_that_is_wrong_is_told_once_and_in_words_of_the_file() {
        let text =
            "program = \"ha\"\n[topic.orders]\npartitions = 6\n[topics]\norders = 6\n[hosts]\nzones = 1\n";
        insta::assert_snapshot!(faults(text).join("\n"), @"
        topic: there is no key `topic` here | did you mean `topics`?
        topics.orders: invalid type: integer `6` | write a table there, such as one that begins with `[topics.orders]`
        hosts.zones: invalid type: integer `1` | write a table there, such as one that begins with `[hosts.zones]`
        ");
        let text = "program = \"ha\"\nkafka = 3\n[hosts.zones]\neast = \"broker-1\"\n";
        insta::assert_snapshot!(faults(text).join("\n"), @r#"
        kafka: invalid type: integer `3` | write a table there, such as one that begins with `[kafka]`
        hosts.zones.east: invalid type: string "broker-1" | write a list in brackets
        "#);
    }

    fn declared(text: &str) -> ValidStack {
        declare(&"s".parse().unwrap(), text, &Programs::standard(), &Registry::standard()).unwrap()
    }

    #[test]
    fn what_kafka_would_refuse_is_refused_at_its_line() {
        let text = "program = \"ha\"\n[kafka.settings]\n\"num.network.threads\" = \"many\"\n\
                    \"auto.create.topics.enable\" = \"maybe\"\n[topics.a]\npartitions = 1\n[topics.a.configs]\n\
                    \"retention.m\" = 1\n\"cleanup.policy\" = \"compacted\"\n\"retention.ms\" = \"one week\"\n";
        insta::assert_snapshot!(faults(text).join("\n"), @"
        kafka.settings.num.network.threads: `num.network.threads` can't be `many` | write a whole number from 1 to 2147483647
        kafka.settings.auto.create.topics.enable: `auto.create.topics.enable` can't be `maybe` | write true or false
        topics.a.configs.retention.m: kafka 3.9.2 knows no topic setting `retention.m` | did you mean `retention.ms`?
        topics.a.configs.cleanup.policy: `cleanup.policy` can't be `compacted` | write some of compact, delete, with commas between them
        topics.a.configs.retention.ms: `retention.ms` can't be `one week` | write a whole number from -1 to 9223372036854775807
        ");
    }

    #[test]
    fn settings_that_nobody_knows_are_warned_of() {
        let text = r#"
            program = "ha"
            [zookeeper.settings]
            "jute.maxbuffer" = 1
            "ssl.quorum.protocol" = "TLSv1.3"
            maxClientCnxn = 10
            [kafka]
            allow-unknown = ["acme.reporter"]
            [kafka.settings]
            "num.io.thread" = 4
            "num.network.threads" = 4
            "listener.name.plaintext.ssl.client.auth" = "none"
            "metric.reporters" = "acme.Reporter"
            "acme.reporter" = "on"
            "acme.reporter.url" = "http://example.org"
            "acme.reporters" = "of another house"
            [topics.a]
            partitions = 1
            configs = { "retention.bytes" = 1 }
        "#;
        let warnings: Vec<_> = declared(text).warnings().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(warnings.join("\n"), @"
        zookeeper.settings.jute.maxbuffer: zookeeper 3.9.5 knows no server setting `jute.maxbuffer` (`allow-unknown` names what only a plugin knows)
        zookeeper.settings.maxClientCnxn: zookeeper 3.9.5 knows no server setting `maxClientCnxn` (did you mean `maxClientCnxns`? `allow-unknown` names what only a plugin knows)
        kafka.settings.acme.reporters: kafka 3.9.2 knows no broker setting `acme.reporters` (did you mean `kafka.metrics.reporters`? `allow-unknown` names what only a plugin knows)
        kafka.settings.num.io.thread: kafka 3.9.2 knows no broker setting `num.io.thread` (did you mean `num.io.threads`? `allow-unknown` names what only a plugin knows)
        ");
        let defaults = declared("program = \"ha\"\n");
        assert_eq!(defaults.warnings(), []);
    }

    #[test]
    fn hosts_are_in_the_zones_that_are_declared() {
        let stack =
            declared("program = \"ha\"\n[hosts.zones]\na = [\"zk-1\", \"broker-1\"]\nb = [\"broker-2\"]\n");
        let inputs = |key: &str| &stack.resources[&key.parse::<Key>().unwrap()].inputs;
        let zone = |name: &str| {
            let facts = inputs(&format!("node/{name}"));
            (
                facts["host"].get("zone").and_then(|zone| zone.as_str()),
                facts["settings"].get("broker.rack").and_then(|rack| rack.as_str()),
            )
        };
        assert_eq!(zone("broker-1"), (Some("a"), Some("a")));
        assert_eq!(zone("broker-2"), (Some("b"), Some("b")));
        assert_eq!(zone("broker-3"), (Some("broker-3"), Some("broker-3")), "a host in no zone is its own");
        assert_eq!(zone("zk-1"), (None, None), "ZooKeeper knows of no zones, and need not restart for one");
        assert_eq!(
            (&inputs("host/broker-1")["zone"], inputs("host/broker-3").get("zone")),
            (&"a".into(), None)
        );
        let wrong =
            "program = \"ha\"\n[hosts.zones]\na = [\"broker-1\", \"broker-9\"]\n\"B C\" = [\"broker-1\"]\n";
        insta::assert_snapshot!(faults(wrong).join("\n"), @"
        hosts.zones.a.0: broker-1 is in B C already | say it once
        hosts.zones.a.1: there is no host `broker-9` | did you mean `broker-1`?
        hosts.zones.B C: `B C` is not a name: 1 to 63 lower-case letters, digits or hyphens, with a letter or digit at both ends |
        ");
    }

    #[test]
    fn what_is_said_of_machines_is_judged_where_it_stands() {
        let text = |machine: &str| {
            format!("program = \"ha\"\n[hosts]\nsubnet = \"10.20.0.0/24\"\n[hosts.machine]\n{machine}")
        };
        let right = "platform = \"own\"\nmodules = [\"hosts/common.nix\"]\nclients = [\"10.20.0.0/16\", \"10.9.0.0/16\"]\n\
                     data-disk = \"/dev/disk/by-id/virtio-data\"\n";
        assert_eq!(faults(&text(right)), Vec::<String>::new());
        let wrong = "platform = \"qcow\"\nmodules = [\"a.nix\", \"../b.nix\"]\ndata-disk = \"/dev/vdb\"\n\
                     clients = [\"everybody; drop\", \"fd00::/8\", \"10.20.0.0/16\", \"10.20.7.0/16\", \"10.20.9.0/24\"]\n";
        insta::assert_snapshot!(faults(&text(wrong)).join("\n"), @r#"
        hosts.machine.platform: there is no platform `qcow` | did you mean `qcow2`?
        hosts.machine.modules.1: "../b.nix" is no path from the root of the flake | write it from there, like hosts/common.nix
        hosts.machine.data-disk: after the next boot, /dev/vdb may be another disk | name it as in /dev/disk/by-id/, or leave it away for the one that was formatted for Octad
        hosts.machine.clients.0: `everybody; drop` is no network | write it like 10.20.0.0/16, or 10.20.0.7/32 for one address
        hosts.machine.clients.1: hosts have IPv4 addresses only, and `fd00::/8` can't reach them | write the clients' IPv4 network, like 10.20.0.0/16
        hosts.machine.clients.3: `10.20.7.0/16` begins in the midst of 10.20.0.0/16 | write 10.20.0.0/16
        hosts.machine.clients.4: 10.20.9.0/24 and 10.20.0.0/16 have addresses in common | write the larger one alone
        "#);
        let loopback = text("platform = \"toaster\"\n").replace("10.20.0", "127.20.0");
        insta::assert_snapshot!(faults(&loopback).join("\n"), @"
        hosts.subnet: no other machine can reach hosts in 127.20.0.0/24 | write the machines' own network, like 10.77.0.0/24
        hosts.machine.platform: there is no platform `toaster` | known: amazon, google-compute, own, qcow2, raw
        ");
    }

    #[test]
    fn a_file_without_a_fault_has_none() {
        assert_eq!(faults("program = \"ha\"\n"), Vec::<String>::new());
    }

    #[test]
    fn the_limits_of_integers_are_told_as_numbers() {
        assert_eq!(integer_range("u16"), Some((0, 65535)));
        assert_eq!(integer_range("i8"), Some((-128, 127)));
        assert_eq!(integer_range("u64"), Some((0, i128::from(u64::MAX))));
        assert_eq!(integer_range("a string"), None);
    }
}
