//! Real clusters, brought up, hurt, changed and removed by the real binary, with Kafka's own clients at work.
//!
//! Each test has a cluster of its own, since it takes it apart; a start takes some ten seconds, so each test looks at
//! several things in a row.

mod bench;
mod client;
mod drill;
mod isolated;
mod traces;
mod watch;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, SystemTime};

use bench::{Bench, Stack, until};
use client::{Producer, assert_exactly, read, values, wait_for};
use octad::kafka::{Fenced, Kafka, Registration};
use octad::wire::{NetworkWire, Wire as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::sync::Arc;
use watch::{Watch, describe};

/// 5 brokers and 3 ZooKeeper servers: the defaults of the program, written down where tests change them.
const FIVE_AND_THREE: &str = r#"
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
"#;

const MINIMAL: &str = r#"
program = "minimal"
[hosts]
subnet = "SUBNET"
[topics.activity]
partitions = 1
"#;

/// From a kill to health: a JVM's start, replicas that catch up; on a machine that does much else besides.
const RECOVERY: Duration = Duration::from_secs(60);

fn kafka(bootstrap: &str) -> Arc<dyn Kafka> {
    let bootstrap: Vec<String> = bootstrap.split(',').map(str::to_owned).collect();
    NetworkWire::default().kafka(&bootstrap)
}

#[test]
fn a_cluster_serves_strangers_and_comes_back_from_a_crash() {
    let bench = Bench::new();
    let stack = bench.stack("serves", "127.90.1.", FIVE_AND_THREE);

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
    assert!(preview.stdout.contains("nothing to change, 17 unchanged"), "{}", preview.stdout);

    let status = stack.octad(&["status", "--output", "json"]).exits(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["healthy"], true);
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 8);
    assert!(nodes.iter().all(|node| node["process"] == "running" && node["restarts"] == 0), "{status:#}");

    let bootstrap = stack.bootstrap();
    let written = Producer::of(bench.path(), &bootstrap, "activity", 1, 100_000).finish().in_full();
    assert_exactly(&written, &values(1, 100_000));
    assert_exactly(&read(bench.path(), &bootstrap, "activity"), &written);

    let before_the_crash = SystemTime::now();
    let killed = stack.signal("broker-2", Signal::KILL);
    let back = until("broker-2 again, and a healthy stack", RECOVERY, || {
        let (status, node) = (stack.status(), stack.node("broker-2"));
        let back = status["healthy"] == true && node["restarts"].as_u64() >= Some(1);
        if back { Ok(node) } else { Err(format!("{status:#}")) }
    });
    assert_ne!(back["pid"], killed, "another process");
    assert_fenced(&stack, before_the_crash);

    stack.signal("broker-3", Signal::TERM);
    until("broker-3 down", RECOVERY, || {
        let node = stack.node("broker-3");
        if node["process"] == "stopped" { Ok(()) } else { Err(node.to_string()) }
    });
    // Longer than the supervisor waits before it starts one that crashed.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(stack.node("broker-3")["process"], "stopped", "who stops a server wants it down");
    stack.octad(&["status"]).exits(1);
    let preview = stack.octad(&["preview", "--detailed-exitcode"]).exits(2);
    assert!(preview.stdout.contains("  ▸ node  broker-3     (is stopped)\n"), "{}", preview.stdout);
    stack.up();
    stack.octad(&["status"]).exits(0);
    assert_eq!(stack.node("broker-3")["process"], "running");

    assert_exactly(&read(bench.path(), &bootstrap, "activity"), &written);
    stack.destroy();
    stack.assert_gone();
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

#[test]
fn a_change_rolls_one_broker_at_a_time_and_loses_nothing() {
    let bench = Bench::new();
    let stack = bench.stack("rolls", "127.90.2.", FIVE_AND_THREE);
    stack.up();
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
    let producer = Producer::steady(bench.path(), &bootstrap, "activity", 1, 200);
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
    assert_exactly(&read(bench.path(), &bootstrap, "activity"), &written);
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);

    // Kafka ends at once with this: the broker is put back, and nobody but it was touched.
    stack.edit("\"num.io.threads\" = 5", "\"num.io.threads\" = 0");
    let run = stack.octad(&["up", "--yes"]).exits(11);
    let told = "was put back to what it was\n";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    stack.octad(&["status"]).exits(0);
    stack.edit("\"num.io.threads\" = 0", "\"num.io.threads\" = 5");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    assert_exactly(&read(bench.path(), &bootstrap, "activity"), &written);

    // A ZooKeeper server rolls as well, without the brokers.
    stack.edit("servers = 3", "servers = 3\nheap-mib = 144");
    let leader = stack.leader("zookeeper");
    let run = stack.octad(&["up", "--yes", "--output", "ndjson"]).exits(0);
    let turns = turns(&run.stdout);
    assert_eq!((turns.len(), turns.last()), (3, Some(&leader)), "the leader last: {turns:?}");
    stack.destroy();
    stack.assert_gone();
}

/// The members of a roll in the order in which they were changed.
fn turns(ndjson: &str) -> Vec<String> {
    ndjson
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .filter_map(|event| Some(event["message"].as_str()?.strip_prefix("changing ")?.to_owned()))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn topics_change_where_that_is_safe_and_members_do_not() {
    let bench = Bench::new();
    let stack = bench.stack("topics", "127.90.3.", FIVE_AND_THREE);
    stack.up();
    let bootstrap = stack.bootstrap();

    stack.edit("partitions = 10", "partitions = 12\nconfigs = { \"retention.ms\" = 3600000 }");
    let up = stack.up();
    assert!(up.stderr.contains("      configs.retention.ms: (none) → 3600000\n"), "{}", up.stderr);
    assert!(up.stderr.contains("      partitions: 10 → 12\n"), "{}", up.stderr);
    let topic = describe(&bootstrap).topics["activity"].clone();
    assert_eq!((topic.partitions.len(), topic.configs["retention.ms"].as_str()), (12, "3600000"));

    wait_for(async { kafka(&bootstrap).delete_topic("activity").await }).unwrap();
    let preview = stack.octad(&["preview"]).exits(0);
    assert!(preview.stdout.contains("(was deleted by another hand)"), "{}", preview.stdout);
    stack.up();
    assert_eq!(describe(&bootstrap).topics["activity"].partitions.len(), 12);

    let refused = |from: &str, to: &str| {
        stack.edit(from, to);
        let run = stack.octad(&["up", "--yes"]).exits(10);
        stack.edit(to, from);
        let refusals = run.stderr.lines().filter(|line| line.contains('✗') || line.contains("hint:"));
        refusals.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(refused("partitions = 12", "partitions = 9"), @"
    ✗ topic/activity  its partitions can't shrink from 12 to 9: the records in the others would be lost
    hint: declare 12 partitions, or another topic with fewer, and move the records
    ");
    insta::assert_snapshot!(refused("partitions = 12", "replication-factor = 2\npartitions = 12"), @"
    ✗ topic/activity  its replication factor can't change from 3 to 2 yet
    hint: put the old figure back, or move replicas with Kafka's own tools first
    ");
    let five_servers = refused("servers = 3", "servers = 5");
    let expected = "✗ node/zk-1  the ensemble can't change from 3 to 5 members yet: \
                    empty new members could outvote the one that holds the data";
    assert!(five_servers.contains(expected), "{five_servers}");
    let held = describe(&bootstrap).replicas_on(5).count();
    let four_brokers = refused("brokers = 5", "brokers = 4");
    let expected = format!("✗ node/broker-5  it holds replicas of {held} partitions (activity-");
    assert!(held > 0 && four_brokers.starts_with(&expected), "{four_brokers}");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    stack.octad(&["status"]).exits(0);
}

#[test]
fn data_survives_a_stop_and_a_lost_disk_is_never_taken_for_an_empty_one() {
    let bench = Bench::new();
    let stack = bench.stack("stops", "127.90.4.", FIVE_AND_THREE);
    stack.up();
    let bootstrap = stack.bootstrap();
    let written = Producer::of(bench.path(), &bootstrap, "activity", 1, 1000).finish().in_full();
    assert_eq!(
        stack.processes().len(),
        21,
        "the detector: 8 servers, their supervisors and 5 watchdogs are found"
    );
    assert_eq!(
        stack.listeners().len(),
        5 + 3 + 3 + 1,
        "the detector: ports are found, one of a leader's peers"
    );

    let stop = stack.octad(&["stop", "--yes"]).exits(0);
    assert_eq!(stop.stdout, "The stack stops is stopped; its data is kept.\n");
    assert_eq!((stack.processes(), stack.listeners()), (vec![], vec![]));
    assert!(stack.data("broker-2").join("octad-data.json").exists());

    let away = bench.path().join("disk");
    fs::rename(stack.data("broker-2"), &away).unwrap();
    for emptied in [false, true] {
        // Not mounted, the directory is missing or empty.
        if emptied {
            fs::create_dir(stack.data("broker-2")).unwrap();
        }
        let refused = stack.octad(&["up", "--yes"]).exits(10);
        let gone = "✗ node/broker-2  its data is gone: the data directory or the marker in it is missing";
        assert!(refused.stderr.contains(gone), "{}", refused.stderr);
        assert!(refused.stderr.ends_with("  nothing was changed\n"), "{}", refused.stderr);
        assert_eq!(stack.processes(), [0; 0], "nothing was started");
    }
    assert_eq!(fs::read_dir(stack.data("broker-2")).unwrap().count(), 0, "nothing was written");
    fs::remove_dir(stack.data("broker-2")).unwrap();
    fs::rename(&away, stack.data("broker-2")).unwrap();

    stack.up();
    stack.octad(&["status"]).exits(0);
    assert_exactly(&read(bench.path(), &bootstrap, "activity"), &written);

    // Lost for good, one at a time: the others fill an empty disk, and nothing is missing then.
    for node in ["broker-2", "zk-2"] {
        stack.signal(node, Signal::TERM);
        until("a stopped process", RECOVERY, || {
            let found = stack.node(node);
            if found["process"] == "stopped" { Ok(()) } else { Err(found.to_string()) }
        });
        fs::remove_dir_all(stack.data(node)).unwrap();
        stack.octad(&["up", "--yes"]).exits(10);
        let refilled = stack.octad(&["up", "--yes", "--refill", node]).exits(0);
        assert!(refilled.stderr.contains("(refill: its data is gone; "), "{}", refilled.stderr);
        stack.octad(&["status"]).exits(0);
    }
    assert_exactly(&read(bench.path(), &bootstrap, "activity"), &written);

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
    assert_eq!(destroyed.stdout, "The stack stops is gone.\n");
    stack.assert_gone();
}

#[test]
fn what_a_failed_up_left_is_destroyed_too() {
    let bench = Bench::new();
    let text = r#"
        program = "ha"
        [hosts]
        subnet = "SUBNET"
        [zookeeper]
        servers = 1
        [kafka]
        brokers = 1
        replication-factor = 1
        min-insync-replicas = 1
        [kafka.settings]
        "log.retention.hours" = "for ever"
    "#;
    let stack = bench.stack("fails", "127.90.5.", text);
    let failed = stack.octad(&["up", "--yes", "--gate-timeout", "60s"]).exits(10);
    assert!(failed.stderr.contains("kafka can't become healthy: broker-1 does not run"), "{}", failed.stderr);
    let said = stack.octad(&["logs", "broker-1", "--tail", "50"]).exits(0);
    assert!(
        said.stdout.contains("Invalid value for ever for configuration log.retention.hours"),
        "{}",
        said.stdout
    );
    assert!(!stack.processes().is_empty(), "the ensemble is up");

    stack.edit("\"for ever\"", "168");
    stack.up();
    stack.edit("168", "\"for ever\"");
    stack.octad(&["up", "--yes", "--no-put-back", "--gate-timeout", "60s"]).exits(10);
    stack.destroy();
    stack.assert_gone();
}

/// A topic with a replica on each broker, and none to spare.
const SCRATCH: &str = "[topics.scratch]\npartitions = 5\nreplication-factor = 1\n\
                       configs = { \"min.insync.replicas\" = 1 }\n";

#[test]
fn a_roll_waits_for_a_frozen_broker_and_interrupts_nothing_without_consent() {
    let bench = Bench::new();
    let stack = bench.stack("waits", "127.90.8.", &format!("{FIVE_AND_THREE}{SCRATCH}"));
    stack.up();

    let refused = stack.octad(&["roll", "broker-1", "--yes"]).exits(10);
    let why = "topic scratch has 1 replica and min.insync.replicas=1: no broker that holds it can stop";
    let hint = " roll broker-1 --interrupt scratch --stack ";
    assert!(refused.stderr.contains(why) && refused.stderr.contains(hint), "{}", refused.stderr);
    let process = stack.node("broker-1")["pid"].clone();
    stack.octad(&["roll", "broker-1", "--yes", "--interrupt", "scratch"]).exits(0);
    assert_ne!(stack.node("broker-1")["pid"], process);

    let frozen = stack.signal("broker-3", Signal::STOP);
    assert_eq!(stack.node("broker-3")["process"], "frozen");
    stack.edit("\"num.io.threads\" = 4", "\"num.io.threads\" = 5");
    let only_one = ["up", "--yes", "--interrupt", "scratch", "--target", "broker-1"];
    let run = stack.octad(&[&only_one[..], &["--gate-timeout", "60s"]].concat()).exits(10);
    let breaks = "would fall under min.insync.replicas=2 without broker 1 ";
    for told in ["stopped after 0 of 1 members: broker-3 is not up, and activity-", breaks] {
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }

    // It goes on as soon as the broker is back.
    let mut up = stack.spawn(&[&only_one[..], &["--output", "ndjson"]].concat());
    let mut said = Vec::new();
    for line in BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if line.contains(breaks) && line.contains("waiting: broker-3 is not up, and activity-") {
            kill_process(Pid::from_raw(frozen).unwrap(), Signal::CONT).unwrap();
        }
        said.push(line);
    }
    let said = said.join("\n");
    assert_eq!(up.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(turns(&said), ["broker-1"]);

    // Left frozen, it is started by `up`.
    stack.signal("broker-3", Signal::STOP);
    let preview = stack.octad(&["preview", "--target", "broker-3"]).exits(0);
    assert!(preview.stdout.contains("(is frozen)"), "{}", preview.stdout);
    stack.octad(&["up", "--yes", "--interrupt", "scratch"]).exits(0);
    assert_eq!(stack.node("broker-3")["process"], "running");
    stack.octad(&["status"]).exits(0);
    stack.destroy();
    stack.assert_gone();
}

#[test]
fn two_minimal_stacks_live_side_by_side() {
    let bench = Bench::new();
    let one = bench.stack("one", "127.90.6.", MINIMAL);
    let two = bench.stack("two", "127.90.7.", MINIMAL);
    one.up();
    two.up();
    for (stack, prefix) in [(&one, 1), (&two, 2)] {
        let written =
            Producer::of(bench.path(), &stack.bootstrap(), "activity", prefix, 1).finish().in_full();
        assert_exactly(&written, &values(prefix, 1));
        assert_exactly(&read(bench.path(), &stack.bootstrap(), "activity"), &written);
    }
    one.destroy();
    one.assert_gone();
    assert_exactly(&read(bench.path(), &two.bootstrap(), "activity"), &values(2, 1));
    two.octad(&["status"]).exits(0);
    two.destroy();
    two.assert_gone();
    assert!(!bench.path().join("state").exists(), "the last stack takes the state directory with it");
}
