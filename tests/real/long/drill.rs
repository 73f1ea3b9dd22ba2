//! A drill that restarts each broker twice.

use crate::bench::Bench;
use crate::cluster::FIVE_AND_THREE;
use crate::drill::a_drill_loses_no_record;
use crate::subnet::Subnet;

#[test]
#[ignore = "takes minutes: `.ci/run long` asks for it"]
fn an_octad_killed_in_a_roll_loses_no_record() {
    let bench = Bench::for_a_whole_cluster();
    let stack = bench.stack("killed", Subnet::local(), FIVE_AND_THREE);
    stack.up();
    let drilled = a_drill_loses_no_record(&stack, "roll-killed");
    // Each broker was restarted, whoever did it.
    let elections = &drilled["trials"][0]["replication"]["elections"];
    assert!(elections.as_u64() >= Some(5), "{drilled:#}");
    stack.destroy();
    stack.assert_gone();
}
