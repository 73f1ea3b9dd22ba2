//! A broker on a host that is cut off from the other brokers only.

use crate::subnet::Subnet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::bench::Bench;
use crate::slow::isolated::can_be_had;

const THREE_AND_ONE: &str = r#"
program = "ha"
[hosts]
subnet = "SUBNET"
isolation = "netns"
[zookeeper]
servers = 1
[kafka]
brokers = 3
"#;

#[test]
#[ignore = "takes minutes: `.ci/run long` asks for it"]
fn a_leader_that_is_cut_off_from_its_peers_only_is_stopped_by_its_watchdog_and_comes_back() {
    if !can_be_had("nothing is cut off") {
        return;
    }
    let bench = Bench::new();
    let stack = bench.stack("apart", Subnet::apart(), THREE_AND_ONE);
    stack.up();

    // How soon is for a quiet machine. Here it counts that others lead while it is still cut off.
    let drill = ["drill", "cut-off-peers", "--yes", "--max-interruption", "2m", "--output", "json"];
    let drilled = stack.octad(&drill);
    let report: Value = serde_json::from_str(&drilled.stdout).unwrap_or_else(|_| panic!("{drilled:?}"));
    let verdict = &report["faults"][0];
    assert_eq!((drilled.code, &verdict["missed"]), (0, &Value::Array(vec![])), "{report:#}");
    assert!(verdict["interruption_ms"].as_u64() > Some(2_000), "it was cut off at all: {report:#}");
    assert_eq!(verdict["account"]["lost"], 0);

    let hit = verdict["trials"][0]["target"].as_str().unwrap();
    let log = fs::read_to_string(stack.site().join(format!("hosts/{hit}/log/{hit}.log"))).unwrap();
    assert!(log.contains("stopped it so that they lead"), "{log}");
    stack.octad(&["status"]).exits(0);
    stack.destroy();
    stack.assert_gone();
    let subnet = format!("{}0/24", stack.subnet());
    let holders = Command::new("ip").args(["-o", "address", "show", "to", &subnet]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&holders.stdout), "", "the switch is left");
}
