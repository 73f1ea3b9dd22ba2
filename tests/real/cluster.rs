//! Whole clusters of 5 brokers and 3 ZooKeeper servers, brought up, hurt, changed and removed by the real binary, with
//! Kafka's own clients at work.
//!
//! A start takes some ten seconds of both cores of a small machine. So there is one cluster for what each change is tried
//! with, and another one in `slow`; each goes through its parts in a row, and every part leaves it healthy.

use crate::subnet::Subnet;
use std::fs;
use std::time::{Duration, SystemTime};

use crate::bench::{Bench, Stack, until};
use crate::client::{Producer, assert_exactly, assert_holds, values};
use crate::documents;
use crate::watch::Watch;
use octad::kafka::{Fenced, Registration};
use rustix::process::Signal;
use serde_json::Value;

/// 5 brokers and 3 ZooKeeper servers: the defaults of the program, written down where tests change them.
pub(crate) const FIVE_AND_THREE: &str = r#"
program = "ha"
[hosts]
subnet = "SUBNET"
[zookeeper]
servers = 3
[kafka]
brokers = 5
[kafka.settings]
"num.io.threads" = 4
[topics.activity]
partitions = 10
[topics.orders]
partitions = 7
"#;

/// From a kill to health: a JVM's start, replicas that catch up; on a machine that does much else besides.
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);

#[test]
fn a_cluster_comes_up_serves_crashes_rolls_and_is_drilled_and_loses_nothing() {
    let bench = Bench::for_a_whole_cluster();
    let stack = bench.stack("serves", Subnet::local(), FIVE_AND_THREE);
    it_is_up_and_a_second_up_changes_nothing(&stack);
    let mut written = it_serves_strangers(&bench, &stack);
    it_comes_back_from_a_crash(&stack);
    a_gate_says_who_may_be_taken_away(&bench, &stack);
    written.extend(a_change_rolls_one_broker_at_a_time_and_loses_nothing(&bench, &stack));
    #[cfg(feature = "drill")]
    crate::drill::a_drill_loses_no_record(&stack, "broker-crash");
    assert_holds(bench.path(), &stack.bootstrap(), "activity", &written);
    it_is_destroyed_with_consent_only(&stack);
    stack.assert_gone();
}

fn it_is_up_and_a_second_up_changes_nothing(stack: &Stack) {
    let first = stack.up();
    assert!(first.stdout.starts_with("The stack serves is up and healthy.\n"), "{}", first.stdout);
    let again = stack.up();
    assert!(
        again.stdout.starts_with("The stack serves is up and healthy; nothing was to be changed.\n"),
        "{}",
        again.stdout
    );
    stack.edit("partitions = 10", "partitions = 11");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(2);
    stack.edit("partitions = 11", "partitions = 10");
    let preview = stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    assert!(preview.stdout.contains("nothing to change, 18 unchanged"), "{}", preview.stdout);

    let status = stack.octad(&["status", "--output", "json"]).exits(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["healthy"], true);
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 8);
    assert!(nodes.iter().all(|node| node["process"] == "running" && node["restarts"] == 0), "{status:#}");
    documents::show_what_it_says(stack, &first, &again);
    documents::tell_where_things_lie(stack);
}

fn it_serves_strangers(bench: &Bench, stack: &Stack) -> Vec<String> {
    let bootstrap = stack.bootstrap();
    let written = Producer::of(bench.path(), &bootstrap, "activity", 1, 100_000).finish().in_full();
    assert_exactly(&written, &values(1, 100_000));
    assert_holds(bench.path(), &bootstrap, "activity", &written);
    written
}

fn it_comes_back_from_a_crash(stack: &Stack) {
    let before_the_crash = SystemTime::now();
    let killed = stack.signal("broker-2", Signal::KILL);
    let back = until("broker-2 again, and a healthy stack", RECOVERY, || {
        let (status, node) = (stack.status(), stack.node("broker-2"));
        let back = status["healthy"] == true && node["restarts"].as_u64() >= Some(1);
        if back { Ok(node) } else { Err(format!("{status:#}")) }
    });
    assert_ne!(back["pid"], killed, "another process");
    assert_fenced(stack, before_the_crash);
}

/// Asserts that the supervisor ended the session of broker-2, whose process died after `crash`, and that a fence which
/// comes too late, or for somebody else, leaves what is registered now alone.
fn assert_fenced(stack: &Stack, crash: SystemTime) {
    let log = fs::read_to_string(stack.site().join("hosts/broker-2/supervisor.log")).unwrap();
    assert!(log.contains("cleaning up: ended the dead broker's session 0x"), "{log}");
    let ensemble = stack.octad(&["outputs", "zookeeper connect"]).exits(0).stdout;
    let registration = |endpoint: String| Registration {
        zookeeper: ensemble.trim().split(',').map(str::to_owned).collect(),
        broker: 2,
        endpoints: vec![endpoint],
    };
    let own = format!("PLAINTEXT://{}", stack.node("broker-2")["address"].as_str().unwrap());
    let fence = |registration: &Registration, died| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(octad::kafka::fence(registration, died, Duration::from_secs(5))).unwrap()
    };
    assert_eq!(fence(&registration(own.clone()), crash), Fenced::RegisteredSince);
    let others = Fenced::Foreign { endpoints: vec![own.clone()] };
    assert_eq!(fence(&registration("PLAINTEXT://elsewhere:9092".into()), SystemTime::now()), others);
    let nobody = Registration { broker: 99, ..registration(own) };
    assert_eq!(fence(&nobody, SystemTime::now()), Fenced::NotRegistered);
}

/// Asked with nothing but documents of the nodes, as whoever rolls hosts by other means asks.
fn a_gate_says_who_may_be_taken_away(bench: &Bench, stack: &Stack) {
    let facts = bench.path().join("facts");
    let facts = facts.to_str().unwrap();
    stack.octad(&["facts", "--dir", facts]).exits(0);
    let gate = |node: &str, wait: &str| {
        stack.octad(&["gate", node, "--facts", facts, "--wait", wait, "--output", "json"])
    };
    for node in ["broker-1", "zk-1"] {
        gate(node, "0s").exits(0);
    }
    // What runs by leave of one keeps others from theirs, and ends with its own code.
    let taken = |command: &[&str]| {
        stack.octad(&[&["gate", "broker-1", "--facts", facts, "--wait", "10s", "--"], command].concat())
    };
    taken(&["sh", "-c", "exit 7"]).exits(7);
    let octad = env!("CARGO_BIN_EXE_octad");
    let refused = taken(&[octad, "gate", "broker-2", "--facts", facts]).exits(10);
    assert!(refused.stdout.contains("broker-2 may not be taken away"), "{}", refused.stdout);
    gate("broker-2", "0s").exits(0);
    let missing = taken(&["./no-such-program"]).exits(1);
    assert!(missing.stderr.contains("could not run `./no-such-program`"), "{}", missing.stderr);
    // With the controller away nobody could say so much.
    let controller = stack.leader("kafka");
    let other = ["broker-3", "broker-4"].into_iter().find(|broker| *broker != controller).unwrap();
    let frozen = stack.freeze(other);
    let refused = gate("broker-1", "0s").exits(10);
    let process = rustix::process::Pid::from_raw(frozen).unwrap();
    rustix::process::kill_process(process, Signal::CONT).unwrap();
    let answer: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(answer["may"], false);
    let breaks = &answer["not_safe"]["so"];
    assert_eq!(breaks["reason"], "would_break_min_isr", "{answer:#}");
    // The first of those that both hold, be it one of Kafka's own.
    assert!(breaks["topic"].as_str().is_some_and(|topic| !topic.is_empty()), "{answer:#}");
    gate("broker-1", "1m").exits(0);
}

fn a_change_rolls_one_broker_at_a_time_and_loses_nothing(bench: &Bench, stack: &Stack) -> Vec<String> {
    let bootstrap = stack.bootstrap();

    stack.edit("\"num.io.threads\" = 4", "\"num.io.threads\" = 5");
    let controller = stack.leader("kafka");
    let others = (1..=5).map(|id| format!("broker-{id}")).filter(|broker| *broker != controller);
    let order: Vec<String> = others.chain([controller.clone()]).collect();
    let preview = stack.octad(&["preview", "--detailed-exitcode"]).exits(2);
    let expected = format!(
        "  ~ roll  kafka        5 restart one at a time: {}\n      settings.num.io.threads: 4 → 5\n",
        order.join(", ")
    );
    assert!(preview.stdout.contains(&expected), "{}", preview.stdout);

    let watch = Watch::begin(&bootstrap);
    let producer = Producer::steady(bench.path(), &bootstrap, "activity", 2, 50);
    until("a first record", RECOVERY, || match producer.acknowledged() {
        0 => Err("none".into()),
        _ => Ok(()),
    });
    let run = stack.octad(&["up", "--yes", "--output", "ndjson"]).exits(0);
    let written = producer.stop().in_full();
    let seen = watch.end();
    assert_eq!(turns(&run.stdout), order, "the controller last");
    assert_eq!(seen.most_away.len(), 1, "one broker at a time was away: {seen:?}");
    let (fewest, _) = seen.fewest_in_sync.as_ref().unwrap();
    assert_eq!(*fewest, 2, "one replica at a time was missing: {seen:?}");
    assert!(seen.looks > 50 && seen.failures.is_empty(), "{seen:?}");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    written
}

/// The members of a roll in the order in which they were changed.
pub(crate) fn turns(ndjson: &str) -> Vec<String> {
    ndjson
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .filter_map(|event| Some(event["message"].as_str()?.strip_prefix("changing ")?.to_owned()))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect()
}

fn it_is_destroyed_with_consent_only(stack: &Stack) {
    let unasked = stack.octad(&["destroy"]).exits(64);
    assert!(
        unasked.stderr.ends_with(
            "error: `destroy` changes things and needs your consent\n  nothing was changed\n\
             hint: add `--yes`, or run it on a terminal\n"
        ),
        "{}",
        unasked.stderr
    );
    stack.octad(&["status"]).exits(0);
    let destroyed = stack.destroy();
    assert_eq!(destroyed.stdout, "The stack serves is gone.\n");
}
