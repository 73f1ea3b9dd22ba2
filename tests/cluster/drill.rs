//! Drills on real clusters. First of all: does a drill see a loss where there is one?

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};

use octad::supervisor::{Supervisor, UnitName};
use serde_json::Value;

use crate::bench::{Bench, Run, Stack};
use crate::client::wait_for;

const ONE_AND_ONE: &str = r#"
program = "minimal"
[hosts]
subnet = "SUBNET"
"#;

/// Drills what `between` does to broker-1, which is stopped before and started after it. The topic has no second
/// replica, and the broker is away for seconds: whatever takes less than a minute passes.
fn drilled(stack: &Stack, between: impl FnOnce()) -> (i32, Value) {
    let arguments =
        ["drill", "external", "--yes", "--replicas", "1", "--max-interruption", "60s", "--output", "json"];
    let mut drill = stack.spawn(&arguments);
    let mut said = BufReader::new(drill.stderr.take().unwrap()).lines().map_while(Result::ok);
    let ready = said.by_ref().find(|line| line.contains("ready"));
    let tell = |what: &str, drill: &mut std::process::Child| {
        writeln!(drill.stdin.as_mut().unwrap(), "{what}").unwrap();
    };
    if ready.is_some() {
        tell("inject", &mut drill);
        wait_for(async {
            let host = Supervisor::connect(&stack.site().join("hosts/broker-1")).await.unwrap().unwrap();
            let unit = UnitName::new("broker-1").unwrap();
            host.stop(&unit, None).await.unwrap();
            between();
            host.start(&unit).await.unwrap();
        });
        tell("heal", &mut drill);
    }
    let rest: Vec<String> = said.collect();
    let run = Run::of(drill.wait_with_output().unwrap());
    let report =
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no report: {run:?}\n{rest:#?}"));
    (run.code, report)
}

#[test]
fn a_drill_tells_of_records_that_a_broker_lost_and_only_of_those() {
    let bench = Bench::new();
    let stack = bench.stack("lossy", "127.94.1.", ONE_AND_ONE);
    stack.up();

    let (code, report) = drilled(&stack, || {});
    let account = &report["faults"][0]["account"];
    assert_eq!(code, 0, "a broker that comes back with its data has lost nothing: {report:#}");
    assert!(account["acked"].as_u64() > Some(100), "{report:#}");
    assert_eq!(account["lost"], 0);

    let mut removed = 0;
    let (code, report) = drilled(&stack, || {
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
    assert_eq!(code, 1, "{report:#}");
    let account = &report["faults"][0]["account"];
    assert!(account["lost"].as_u64() > Some(100), "{report:#}");
    let missed = report["faults"][0]["missed"].as_array().unwrap();
    let lost = format!("records acknowledged and lost: {}", account["lost"]);
    assert!(missed.iter().any(|missed| *missed == lost.as_str()), "{report:#}");
    assert!(!stack.site().join("disturbed").exists());
    stack.destroy();
    stack.assert_gone();
}
