//! A roll that has to wait.

use crate::subnet::Subnet;
use std::io::{BufRead as _, BufReader};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Bench;
use crate::cluster::turns;
use crate::small::THREE_AND_ONE;

#[test]
#[ignore = "takes minutes: `scripts/test --all` asks for it"]
fn a_roll_waits_for_a_frozen_broker_and_interrupts_nothing_without_consent() {
    let bench = Bench::new();
    let stack = bench.stack("waits", Subnet::local(), THREE_AND_ONE);
    stack.up();

    let refused = stack.octad(&["roll", "broker-1", "--yes"]).exits(10);
    let why = "topic scratch has 1 replica and min.insync.replicas=1: no broker that holds it can stop";
    let hint = " roll broker-1 --interrupt scratch --stack ";
    assert!(refused.stderr.contains(why) && refused.stderr.contains(hint), "{}", refused.stderr);
    let process = stack.node("broker-1")["pid"].clone();
    stack.octad(&["roll", "broker-1", "--yes", "--interrupt", "scratch"]).exits(0);
    assert_ne!(stack.node("broker-1")["pid"], process);

    let frozen = stack.freeze("broker-3");
    stack.edit("\"num.io.threads\" = 4", "\"num.io.threads\" = 5");
    let only_one = ["up", "--yes", "--interrupt", "scratch", "--target", "broker-1"];
    let run = stack.octad(&[&only_one[..], &["--gate-timeout", "30s"]].concat()).exits(10);
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
    stack.freeze("broker-3");
    let preview = stack.octad(&["preview", "--target", "broker-3"]).exits(0);
    assert!(preview.stdout.contains("is frozen"), "{}", preview.stdout);
    stack.octad(&["up", "--yes", "--interrupt", "scratch"]).exits(0);
    assert_eq!(stack.node("broker-3")["process"], "running");
    stack.octad(&["status"]).exits(0);
    stack.destroy();
    stack.assert_gone();
}
