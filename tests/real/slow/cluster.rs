//! What a whole cluster goes through besides: topics that change, ends that nobody asked for, changes that fail, a stop,
//! and disks that are lost.

use crate::subnet::Subnet;
use std::fs;
use std::time::Duration;

use crate::bench::{Bench, Stack, until};
use crate::client::{Producer, assert_holds, wait_for};
use crate::cluster::{FIVE_AND_THREE, RECOVERY, turns};
use crate::watch::{describe, kafka};
use octad::kafka::{KafkaError, NewTopic};
use rustix::process::{Pid, Signal, kill_process};

#[test]
#[ignore = "takes minutes: `scripts/test --all` asks for it"]
fn a_cluster_changes_stops_and_starts_and_loses_nothing() {
    let bench = Bench::for_a_whole_cluster();
    let stack = bench.stack("rolls", Subnet::local(), FIVE_AND_THREE);
    stack.up();
    let written = Producer::of(bench.path(), &stack.bootstrap(), "activity", 1, 5_000).finish().in_full();
    its_topics_change_where_that_is_safe_and_its_members_do_not(&stack);
    it_starts_again_whom_another_hand_ended(&stack);
    a_change_that_fails_is_put_back_and_an_ensemble_rolls(&bench, &stack, &written);
    its_data_survives_a_stop_and_a_lost_disk_is_never_taken_for_an_empty_one(&bench, &stack, &written);
    stack.destroy();
    stack.assert_gone();
}

fn its_topics_change_where_that_is_safe_and_its_members_do_not(stack: &Stack) {
    let bootstrap = stack.bootstrap();

    stack.edit("partitions = 7", "partitions = 9\nconfigs = { \"retention.ms\" = 3600000 }");
    // `--yes` is no consent to what lets records go sooner.
    let refused = stack.octad(&["up", "--yes"]).exits(10);
    let lost = "✗ topic/orders  retention.ms 7days → 1h: records are deleted sooner\n";
    assert!(refused.stderr.contains(lost), "{}", refused.stderr);
    assert!(refused.stderr.contains("`--allow-loss topic/orders` consents to it\n"), "{}", refused.stderr);
    let up = stack.octad(&["up", "--yes", "--allow-loss", "topic/orders"]).exits(0);
    assert!(up.stderr.contains("      configs.retention.ms: (none) → 3600000\n"), "{}", up.stderr);
    assert!(up.stderr.contains("      partitions: 7 → 9\n"), "{}", up.stderr);
    let topic = describe(&bootstrap).topics["orders"].clone();
    assert_eq!((topic.partitions.len(), topic.configs["retention.ms"].as_str()), (9, "3600000"));

    wait_for(async { kafka(&bootstrap).delete_topic("orders").await }).unwrap();
    let preview = stack.octad(&["preview"]).exits(0);
    assert!(preview.stdout.contains("(was deleted by another hand)"), "{}", preview.stdout);
    stack.up();
    assert_eq!(describe(&bootstrap).topics["orders"].partitions.len(), 9);

    it_leaves_what_others_set_and_what_others_made(stack);

    let refused = |from: &str, to: &str| {
        stack.edit(from, to);
        let run = stack.octad(&["up", "--yes"]).exits(10);
        stack.edit(to, from);
        let refusals = run.stderr.lines().filter(|line| line.contains('✗') || line.contains("hint:"));
        refusals.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(refused("partitions = 9", "partitions = 8"), @"
    ✗ topic/orders  its partitions can't shrink from 9 to 8: the records in the others would be lost
    hint: declare 9 of them, or another topic with fewer, and move the records
    ");
    insta::assert_snapshot!(refused("partitions = 9", "replication-factor = 2\npartitions = 9"), @"
    ✗ topic/orders  its replication factor can't change from 3 to 2 yet
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

/// The throttle of a reassignment under way stays, and so does a topic that another hand deleted and made anew, until
/// somebody says that it is this stack's.
fn it_leaves_what_others_set_and_what_others_made(stack: &Stack) {
    let bootstrap = stack.bootstrap();
    const THROTTLE: &str = "leader.replication.throttled.replicas";
    let throttle = [(THROTTLE.to_owned(), "*".to_owned())].into();
    wait_for(async { kafka(&bootstrap).alter_topic_configs("orders", &throttle, &[].into()).await }).unwrap();
    let up = stack.up();
    let left = format!("· topic/orders  {THROTTLE}=* was set by another hand and is left\n");
    assert!(up.stderr.contains(&left) && up.stderr.contains("nothing to change"), "{}", up.stderr);
    let before = describe(&bootstrap).topics["orders"].clone();
    assert_eq!(before.configs[THROTTLE], "*");
    let mut configs = before.configs;
    configs.remove(THROTTLE);

    let id = before.id.unwrap();
    let made = wait_for(async {
        kafka(&bootstrap).delete_topic_of_id("orders", &id).await?;
        let topic = NewTopic {
            name: "orders".into(),
            partitions: 9,
            replication_factor: 3,
            configs,
            placement: vec![],
        };
        loop {
            match kafka(&bootstrap).create_topic(&topic).await {
                Err(KafkaError::TopicExists { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
                made => return made,
            }
        }
    })
    .unwrap()
    .unwrap();
    let another = format!("(its id is {made}, and {id} is known)");
    let preview = stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    assert!(preview.stdout.contains(&another), "{}", preview.stdout);
    stack.edit("partitions = 9", "partitions = 10");
    let refused = stack.octad(&["up", "--yes"]).exits(10);
    assert!(refused.stderr.contains("✗ topic/orders  it is not changed: "), "{}", refused.stderr);
    stack.edit("partitions = 10\nconfigs", "partitions = 9\nconfigs");
    // Nor is it removed, with whatever consent.
    stack.edit("[topics.orders]", "[topics.others]");
    stack.octad(&["state", "unprotect", "topic/orders", "--yes"]).exits(0);
    let refused = stack.octad(&["up", "--yes"]).exits(10);
    assert!(refused.stderr.contains("is not removed: it is another one"), "{}", refused.stderr);
    stack.edit("[topics.others]", "[topics.orders]");
    assert_eq!(describe(&bootstrap).topics["orders"].id.as_ref(), Some(&made));
    stack.octad(&["import", "topic/orders", "--yes"]).exits(0);
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);

    // Its own one goes by its id, after consent by its name: the consent of before was to another one's removal.
    stack.edit("[topics.orders]", "[topics.others]");
    let refused = stack.octad(&["up", "--yes"]).exits(10);
    assert!(refused.stderr.contains(" state unprotect topic/orders"), "{}", refused.stderr);
    stack.octad(&["state", "unprotect", "topic/orders", "--yes"]).exits(0);
    stack.up();
    let topics = describe(&bootstrap).topics;
    assert!(!topics.contains_key("orders") && topics["others"].partitions.len() == 9, "{topics:?}");
    stack.edit("[topics.others]", "[topics.orders]");
    stack.octad(&["state", "unprotect", "topic/others", "--yes"]).exits(0);
    stack.up();
}

fn it_starts_again_whom_another_hand_ended(stack: &Stack) {
    for node in ["broker-3", "zk-3"] {
        let ended = stack.signal(node, Signal::TERM);
        until("it again, and a healthy stack", RECOVERY, || {
            let (status, found) = (stack.status(), stack.node(node));
            let back = status["healthy"] == true && found["restarts"].as_u64() >= Some(1);
            if back && found["pid"] != ended { Ok(()) } else { Err(format!("{status:#}")) }
        });
    }
    // It handed its leaders over and said goodbye: nothing is left to fence.
    let log = fs::read_to_string(stack.site().join("hosts/broker-3/supervisor.log")).unwrap();
    assert!(log.contains("cleaning up: nothing to end: the broker is not registered"), "{log}");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
}

fn a_change_that_fails_is_put_back_and_an_ensemble_rolls(bench: &Bench, stack: &Stack, written: &[String]) {
    // Kafka ends at once with this: the broker is put back, and nobody but it was touched.
    let broken = "\"num.io.threads\" = 4\n\"metric.reporters\" = \"no.such.Reporter\"";
    stack.edit("\"num.io.threads\" = 4", broken);
    let run = stack.octad(&["up", "--yes"]).exits(11);
    let told = "was put back to what it was\n";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    stack.octad(&["status"]).exits(0);
    stack.edit(broken, "\"num.io.threads\" = 4");
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    assert_holds(bench.path(), &stack.bootstrap(), "activity", written);

    // A ZooKeeper server rolls as well, without the brokers.
    stack.edit("servers = 3", "servers = 3\nheap-mib = 144");
    let leader = stack.leader("zookeeper");
    let run = stack.octad(&["up", "--yes", "--output", "ndjson"]).exits(0);
    let turns = turns(&run.stdout);
    assert_eq!((turns.len(), turns.last()), (3, Some(&leader)), "the leader last: {turns:?}");
}

fn its_data_survives_a_stop_and_a_lost_disk_is_never_taken_for_an_empty_one(
    bench: &Bench,
    stack: &Stack,
    written: &[String],
) {
    let bootstrap = stack.bootstrap();
    // What prepares a server, or its class archive, may be there for a moment besides.
    let all = "the detector finds 8 servers, their supervisors and 5 watchdogs";
    until(all, Duration::from_secs(60), || match stack.processes() {
        found if found.len() == 21 => Ok(()),
        found => Err(format!("{found:?}")),
    });
    assert_eq!(
        stack.listeners().len(),
        5 + 3 + 3 + 1,
        "the detector: ports are found, one of a leader's peers"
    );

    let stop = stack.octad(&["stop", "--yes"]).exits(0);
    assert_eq!(stop.stdout, "The stack rolls is stopped; its data is kept.\n");
    for id in 1..=5 {
        // Kafka's own mark that the log needs no recovery.
        let mark = stack.data(&format!("broker-{id}")).join(".kafka_cleanshutdown");
        assert!(mark.exists(), "broker-{id} was not stopped in order");
    }
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
    assert_holds(bench.path(), &bootstrap, "activity", written);

    // Lost for good, one at a time: the others fill an empty disk, and nothing is missing then.
    for node in ["broker-2", "zk-2"] {
        let frozen = stack.freeze(node);
        fs::remove_dir_all(stack.data(node)).unwrap();
        kill_process(Pid::from_raw(frozen).unwrap(), Signal::KILL).unwrap();
        let log = stack.site().join(format!("hosts/{node}/supervisor.log"));
        until("no start without a disk", RECOVERY, || {
            let said = fs::read_to_string(&log).unwrap();
            if said.contains("is required and missing") { Ok(()) } else { Err(said) }
        });
        stack.octad(&["up", "--yes"]).exits(10);
        let refilled = stack.octad(&["up", "--yes", "--refill", node]).exits(0);
        assert!(refilled.stderr.contains("(refill: its data is gone; "), "{}", refilled.stderr);
        stack.octad(&["status"]).exits(0);
    }
    assert_holds(bench.path(), &bootstrap, "activity", written);
}
