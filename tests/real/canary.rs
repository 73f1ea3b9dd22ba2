//! The example role, with its program run for real: brought up, crashed, changed, removed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::bench::{Bench, Stack, until};
use crate::cluster::RECOVERY;

const TWO: &str = r#"
program = "canary"
canaries = 2
pause = 1
[hosts]
subnet = "SUBNET"
"#;

#[test]
fn a_program_of_the_machine_is_brought_up_crashes_is_changed_and_removed() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return crate::skip::skip("the example is not run: there is no python3");
    }
    let bench = Bench::new();
    let mut stack = bench.stack("canaries", "127.90.14.", TWO);
    stack.of_program(Path::new(env!("CARGO_BIN_EXE_octad")).with_file_name("examples/canary"));

    stack.up();
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    assert!(!stack.data("canary-1").exists(), "it has no disk");
    assert_eq!(health(&stack, "canary-1"), Some(200));
    until("what it says of the broker", RECOVERY, || {
        let said = stack.octad(&["logs", "canary-1"]).exits(0).stdout;
        if said.contains("127.90.14.101:9092 answers") { Ok(()) } else { Err(said) }
    });

    it_comes_back(&stack);
    it_says_what_it_finds(&stack);

    stack.edit("pause = 1", "pause = 2");
    let preview = stack.octad(&["preview", "--detailed-exitcode"]).exits(2).stdout;
    let rolls =
        "  ~ roll  canary       2 restart one at a time: canary-1, canary-2\n      settings.pause: 1 → 2\n";
    assert!(preview.contains(rolls), "{preview}");
    stack.up();
    assert_eq!(command(&stack, "canary-2").last().map(String::as_str), Some("2"));

    stack.edit("canaries = 2", "canaries = 1");
    stack.up();
    assert_eq!(health(&stack, "canary-2"), None);
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    stack.destroy();
    stack.assert_gone();
}

/// What a canary answers to whoever asks for its health; `None` where nobody does.
fn health(stack: &Stack, node: &str) -> Option<u16> {
    use std::io::{Read as _, Write as _};
    let number = node.strip_prefix("canary-").unwrap();
    let mut stream = std::net::TcpStream::connect(format!("{}20{number}:8080", stack.subnet())).ok()?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// The command of a node's process.
fn command(stack: &Stack, node: &str) -> Vec<String> {
    let pid = stack.node(node)["pid"].as_i64().unwrap();
    let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    words.split_terminator('\0').map(str::to_owned).collect()
}

fn it_comes_back(stack: &Stack) {
    let killed = stack.signal("canary-1", Signal::KILL);
    until("the canary again", Duration::from_secs(30), || {
        let node = stack.node("canary-1");
        let back = node["pid"].as_i64().is_some_and(|pid| pid != i64::from(killed));
        if back && health(stack, "canary-1") == Some(200) { Ok(()) } else { Err(node.to_string()) }
    });
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
}

/// Where the broker stands still, connections are still taken; where it is killed, they are not, until it is back.
fn it_says_what_it_finds(stack: &Stack) {
    stack.signal("broker-1", Signal::KILL);
    until("that the canary can't reach it", Duration::from_secs(30), || match health(stack, "canary-1") {
        Some(503) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    until("that it can again", RECOVERY, || match health(stack, "canary-1") {
        Some(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    until("a healthy stack", RECOVERY, || {
        let status = stack.status();
        if status["healthy"] == true { Ok(()) } else { Err(format!("{status:#}")) }
    });
}
