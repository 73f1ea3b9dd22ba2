//! Drills on real clusters. First of all: does a drill see a loss where there is one?

use crate::subnet::Subnet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

use octad::supervisor::{Supervisor, UnitName};
use serde_json::Value;

use crate::bench::{Bench, Run, Stack};
use crate::client::wait_for;

const ONE_AND_ONE: &str = r#"
program = "minimal"
[hosts]
subnet = "SUBNET"
"#;

/// Two brokers whose topics take records with one replica in sync.
const TWO_AND_ONE: &str = r#"
program = "ha"
[hosts]
subnet = "SUBNET"
[zookeeper]
servers = 1
[kafka]
brokers = 2
replication-factor = 2
min-insync-replicas = 1
"#;

/// Stops a broker as its operator would, and has it stay down; or starts it again.
fn set_running(stack: &Stack, broker: &str, running: bool) {
    wait_for(async {
        let host = Supervisor::connect(&stack.site().join("hosts").join(broker)).await.unwrap().unwrap();
        let unit = UnitName::new(broker).unwrap();
        if running {
            host.start(&unit).await.unwrap();
        } else {
            host.stop(&unit, None, None).await.unwrap();
        }
    });
}

/// Drills what `fault` does, with a probe of these terms. Brokers are away for seconds: whatever takes less than two
/// minutes passes.
fn drilled(stack: &Stack, terms: &[&str], fault: impl FnOnce()) -> (i32, Value) {
    let arguments = ["drill", "external", "--yes", "--max-interruption", "120s", "--output", "json"];
    let mut drill = stack.spawn(&[&arguments[..], terms].concat());
    let mut said = BufReader::new(drill.stderr.take().unwrap()).lines().map_while(Result::ok);
    let ready = said.by_ref().find(|line| line.contains("ready"));
    let tell = |what: &str, drill: &mut std::process::Child| {
        writeln!(drill.stdin.as_mut().unwrap(), "{what}").unwrap();
    };
    if ready.is_some() {
        tell("inject", &mut drill);
        fault();
        tell("heal", &mut drill);
    }
    let rest: Vec<String> = said.collect();
    let run = Run::of(drill.wait_with_output().unwrap());
    let report =
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no report: {run:?}\n{rest:#?}"));
    (run.code, report)
}

/// What was missed, in words.
fn missed(report: &Value) -> Vec<String> {
    serde_json::from_value(report["faults"][0]["missed"].clone()).unwrap()
}

/// The books as the second client has them.
fn confirmed(report: &Value) -> &Value {
    let confirmation = &report["faults"][0]["trials"][0]["confirmation"]["java"];
    assert_eq!(confirmation["disputed"], 0, "{report:#}");
    &confirmation["account"]
}

#[test]
#[ignore = "takes minutes: `scripts/test --all` asks for it"]
fn a_drill_tells_of_records_that_a_broker_lost_and_only_of_those() {
    let bench = Bench::new();
    let stack = bench.stack("lossy", Subnet::local(), ONE_AND_ONE);
    stack.up();

    let (code, report) = drilled(&stack, &[], || {});
    let nothing = &report["faults"][0];
    assert_eq!((code, &nothing["finding"]), (3, &"inconclusive".into()), "a drill of nothing: {report:#}");
    assert_eq!(nothing["unseen"], serde_json::json!(["not seen: ZooKeeper told of a change"]));
    assert_eq!(missed(&report), [""; 0], "all went well: {report:#}");

    let one_replica = ["--replicas", "1"];
    let restarted_around = |between: &mut dyn FnMut()| {
        drilled(&stack, &one_replica, || {
            set_running(&stack, "broker-1", false);
            between();
            set_running(&stack, "broker-1", true);
        })
    };
    // Once in a while librdkafka's consumer (2.12.1) gets nothing more of a partition whose only leader was restarted,
    // however long one waits: that is a client's fault, told by the drill, and no broker's.
    let stuck = |report: &Value| matches!(&missed(report)[..], [one] if one.starts_with("records acknowledged that never came to the consumers"));
    let (code, report) = match restarted_around(&mut || {}) {
        (1, report) if stuck(&report) => restarted_around(&mut || {}),
        drilled => drilled,
    };
    let account = &report["faults"][0]["account"];
    assert_eq!(code, 0, "a broker that comes back with its data has lost nothing: {report:#}");
    assert!(account["acked"].as_u64() > Some(100), "{report:#}");
    assert_eq!(account["lost"], 0);
    assert_eq!(report["faults"][0]["finding"], "passed");
    assert_eq!(confirmed(&report), account, "Kafka's own consumer reads the same");

    let mut removed = 0;
    let (code, report) = restarted_around(&mut || {
        for entry in fs::read_dir(stack.data("broker-1")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // What is left of the topic before it goes a minute later.
            if name.starts_with("octad-drill-") && !name.ends_with("-delete") {
                fs::remove_dir_all(path).unwrap();
                removed += 1;
            }
        }
    });
    assert_eq!(removed, 2, "the logs of the probe's partitions");
    assert_eq!((code, &report["faults"][0]["finding"]), (1, &"failed".into()), "{report:#}");
    let account = &report["faults"][0]["account"];
    assert!(account["lost"].as_u64() > Some(100), "{report:#}");
    assert_eq!(confirmed(&report), account, "{report:#}");
    let lost = format!("records acknowledged and lost: {}", account["lost"]);
    assert!(missed(&report).contains(&lost), "{report:#}");
    assert!(!stack.site().join("disturbed").exists());
    stack.destroy();
    stack.assert_gone();
}

#[test]
#[ignore = "takes minutes: `scripts/test --all` asks for it"]
fn a_drill_tells_of_a_leader_that_was_not_in_sync_and_of_what_it_lost() {
    let bench = Bench::new();
    let stack = bench.stack("unclean", Subnet::local(), TWO_AND_ONE);
    stack.up();

    let unclean = ["--acks", "1", "--replicas", "2", "--topic-config", "unclean.leader.election.enable=true"];
    let (code, report) = drilled(&stack, &unclean, || {
        set_running(&stack, "broker-1", false);
        // What only broker-2 has by the time it goes.
        std::thread::sleep(Duration::from_secs(3));
        set_running(&stack, "broker-2", false);
        set_running(&stack, "broker-1", true);
        std::thread::sleep(Duration::from_secs(10));
        set_running(&stack, "broker-2", true);
    });
    assert_eq!(code, 1, "{report:#}");
    let account = &report["faults"][0]["account"];
    assert!(account["lost"].as_u64() > Some(10), "{report:#}");
    assert_eq!(confirmed(&report), account, "{report:#}");
    let told = missed(&report);
    for what in ["records acknowledged and lost: ", "leaders elected that were not in sync: "] {
        assert!(told.iter().any(|missed| missed.starts_with(what)), "{what}: {told:#?}");
    }
    stack.destroy();
    stack.assert_gone();
}
