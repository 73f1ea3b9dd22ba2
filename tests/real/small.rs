//! Clusters of a few servers, where no more are needed.

use crate::subnet::Subnet;
use std::time::Duration;

use rustix::process::Signal;

use crate::bench::{Bench, Stack, until};
use crate::client::{Producer, assert_exactly, assert_holds, values};

const MINIMAL: &str = r#"
program = "minimal"
[hosts]
subnet = "SUBNET"
[topics.activity]
partitions = 1
"#;

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
        "metric.reporters" = "no.such.Reporter"
    "#;
    let stack = bench.stack("fails", Subnet::local(), text);
    let failed = stack.octad(&["up", "--yes", "--gate-timeout", "60s"]).exits(10);
    assert!(failed.stderr.contains("kafka can't become healthy: broker-1 does not run"), "{}", failed.stderr);
    let said = stack.octad(&["logs", "broker-1", "--tail", "50"]).exits(0);
    assert!(
        said.stdout.contains("no.such.Reporter cannot be found")
            || said.stdout.contains("ClassNotFoundException"),
        "{}",
        said.stdout
    );
    assert!(!stack.processes().is_empty(), "the ensemble is up");

    stack.edit("no.such.Reporter", "org.apache.kafka.common.metrics.JmxReporter");
    stack.up();
    stack.edit("org.apache.kafka.common.metrics.JmxReporter", "no.such.Reporter");
    stack.octad(&["up", "--yes", "--no-put-back", "--gate-timeout", "60s"]).exits(10);
    stack.destroy();
    stack.assert_gone();
}

#[test]
fn two_minimal_stacks_live_side_by_side() {
    let bench = Bench::new();
    let one = bench.stack("one", Subnet::local(), MINIMAL);
    let two = bench.stack("two", Subnet::local(), MINIMAL);
    one.up();
    two.up();
    for (stack, prefix) in [(&one, 1), (&two, 2)] {
        let written =
            Producer::of(bench.path(), &stack.bootstrap(), "activity", prefix, 1).finish().in_full();
        assert_exactly(&written, &values(prefix, 1));
        assert_holds(bench.path(), &stack.bootstrap(), "activity", &written);
    }
    a_stack_leaves_another_cluster_at_its_addresses_alone(&bench, &one);
    one.destroy();
    one.assert_gone();
    assert_holds(bench.path(), &two.bootstrap(), "activity", &values(2, 1));
    two.octad(&["status"]).exits(0);
    two.destroy();
    two.assert_gone();
    assert!(!bench.path().join("state").exists(), "the last stack takes the state directory with it");
}

/// A clone of the stack, in another place, has its addresses while it is stopped.
fn a_stack_leaves_another_cluster_at_its_addresses_alone(bench: &Bench, stack: &Stack) {
    stack.octad(&["stop", "--yes"]).exits(0);
    let elsewhere = Bench::new();
    let clone = elsewhere.stack("one", stack.subnet().clone(), MINIMAL);
    clone.up();
    let written = Producer::of(elsewhere.path(), &clone.bootstrap(), "activity", 9, 1).finish().in_full();
    let mut attempts = vec![vec!["up"], vec!["roll"], vec!["destroy"]];
    if cfg!(feature = "drill") {
        attempts.push(vec!["drill", "broker-crash"]);
    }
    for verb in attempts {
        let refused = stack.octad(&[&verb[..], &["--yes"]].concat()).exits(10);
        let told = "another one answers at its addresses: its id is ";
        assert!(refused.stderr.contains(told), "{verb:?}: {}", refused.stderr);
    }
    // Reads show it.
    let seen = stack.octad(&["preview"]).exits(10);
    assert!(seen.stdout.contains("✗ group/kafka"), "{}", seen.stdout);
    let status = stack.octad(&["status", "--output", "json"]);
    assert!(status.stdout.contains("\"controller\""), "{}", status.stdout);
    assert_holds(elsewhere.path(), &clone.bootstrap(), "activity", &written);
    clone.destroy();
    stack.up();
    assert_holds(bench.path(), &stack.bootstrap(), "activity", &values(1, 1));
}

/// Three brokers, of which one may be away, and a topic with a replica on each and none to spare.
pub(crate) const THREE_AND_ONE: &str = r#"
program = "ha"
[hosts]
subnet = "SUBNET"
[zookeeper]
servers = 1
[kafka]
brokers = 3
[kafka.settings]
"num.io.threads" = 4
[topics.activity]
partitions = 10
[topics.scratch]
partitions = 5
replication-factor = 1
configs = { "min.insync.replicas" = 1 }
"#;

#[test]
fn a_broker_is_fenced_and_started_again_where_octad_is_gone() {
    let bench = Bench::new();
    let octad = bench.path().join("clone/octad");
    std::fs::create_dir(bench.path().join("clone")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_octad"), &octad).unwrap();
    let stack = bench.stack("keeps", Subnet::local(), THREE_AND_ONE);
    stack.run_by(&octad, &["up", "--yes"]).exits(0);
    std::fs::remove_dir_all(bench.path().join("clone")).unwrap();

    let killed = stack.signal("broker-2", Signal::KILL);
    until("broker-2 again, and a healthy stack", Duration::from_secs(60), || {
        let (status, node) = (stack.status(), stack.node("broker-2"));
        let back = node["pid"].as_i64().is_some_and(|pid| pid != i64::from(killed));
        if back && status["healthy"] == true { Ok(()) } else { Err(format!("{status:#}")) }
    });
    let log = std::fs::read_to_string(stack.site().join("hosts/broker-2/supervisor.log")).unwrap();
    assert!(log.contains("cleaning up: ended the dead broker's session 0x"), "{log}");
    let said = stack.octad(&["logs", "broker-2", "--tail", "200"]).exits(0).stdout;
    assert!(!said.contains("cannot start"), "{said}");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    stack.destroy();
    stack.assert_gone();
}
