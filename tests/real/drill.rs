//! What a drill tells of a cluster that another test brought up.

use serde_json::Value;

use crate::bench::Stack;

/// Drills what takes registrations of brokers away, on a cluster of another test's; the fault's part of the report.
/// Machines that run tests are busy: here only a whole minute counts as too long, and fewer records are written.
pub(crate) fn a_drill_loses_no_record(stack: &Stack, fault: &str) -> Value {
    let drill = ["drill", fault, "--yes", "--max-interruption", "60s", "--rate", "5", "--output", "json"];
    let run = stack.octad(&drill).exits(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no report: {run:?}"));
    let drilled = &report["faults"][0];
    assert_eq!(drilled["fault"], fault);
    let account = &drilled["account"];
    assert!(account["acked"].as_u64() > Some(100), "{report:#}");
    for wrong in ["lost", "duplicates", "reorders"] {
        assert_eq!(account[wrong], 0, "{wrong}: {report:#}");
    }
    assert_eq!(drilled["trials"][0]["confirmation"]["java"]["disputed"], 0, "{report:#}");
    let evidence = drilled["trials"][0]["evidence"].as_array().unwrap();
    assert!(!evidence.is_empty(), "{report:#}");
    for one in evidence {
        let sign = one["sign"].as_str().unwrap();
        assert!(sign.starts_with("ZooKeeper ended the registration of broker-"), "{report:#}");
        assert!(one["seen_after_ms"].is_u64(), "{report:#}");
    }
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    drilled.clone()
}
