//! The example role, with its program run for real: brought up, crashed, changed, removed.

use crate::subnet::Subnet;
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
    if !has_python() {
        return crate::skip::skip("the example is not run: there is no python3");
    }
    let bench = Bench::new();
    let mut stack = bench.stack("canaries", Subnet::local(), TWO);
    stack.of_program(Path::new(env!("CARGO_BIN_EXE_octad")).with_file_name("examples/canary"));

    stack.up();
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    assert!(!stack.data("canary-1").exists(), "it has no disk");
    assert_eq!(health(&stack, "canary-1"), Some(200));
    assert_eq!(stack.node("canary-1")["address"], format!("{}201:8080", stack.subnet()));
    until("what it says of the broker", RECOVERY, || {
        let said = stack.octad(&["logs", "canary-1"]).exits(0).stdout;
        if said.contains(&format!("{}101:9092 answers", stack.subnet())) { Ok(()) } else { Err(said) }
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

#[test]
fn another_build_of_the_program_is_seen_rolled_and_put_back_where_it_fails() {
    if !has_python() {
        return crate::skip::skip("the example is not run: there is no python3");
    }
    let bench = Bench::new();
    let mut stack = bench.stack("builds", Subnet::local(), TWO);
    stack.of_program(Path::new(env!("CARGO_BIN_EXE_octad")).with_file_name("examples/canary_next"));
    stack.up();
    let script = include_str!("../../examples/canary.py").to_owned();
    assert_eq!(lying(&stack, "canary-1"), script);

    let next = script + "# of the next build\n";
    std::fs::write(bench.path().join("next.py"), &next).unwrap();
    let preview = || stack.octad(&["preview", "--detailed-exitcode"]).exits(2).stdout;
    let rolls = "  ~ roll  canary       2 restart one at a time: canary-1, canary-2\n      \
                 files.canary.py.text: -0 of its lines, +1 (`preview --diff` shows them)\n";
    assert!(preview().contains(rolls), "{}", preview());
    let diff = stack.octad(&["preview", "--diff"]).exits(0).stdout;
    assert!(
        diff.contains("canary.py (canary-1, canary-2)") && diff.contains("+# of the next build"),
        "{diff}"
    );

    // A restart is of what was there.
    let pid = stack.node("canary-1")["pid"].clone();
    stack.octad(&["roll", "--yes", "@canary"]).exits(0);
    assert_ne!(stack.node("canary-1")["pid"], pid, "the detector");
    assert!(preview().contains(rolls), "{}", preview());

    stack.up();
    for canary in ["canary-1", "canary-2"] {
        assert_eq!((lying(&stack, canary), health(&stack, canary)), (next.clone(), Some(200)));
    }
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);

    // Another one ends as soon as it is started.
    std::fs::write(bench.path().join("next.py"), "raise SystemExit(1)\n").unwrap();
    let pid = stack.node("canary-2")["pid"].clone();
    let failed = stack.octad(&["up", "--yes"]).exits(11).stderr;
    assert!(failed.contains("canary-1 did not become healthy with its change and was put back"), "{failed}");
    for canary in ["canary-1", "canary-2"] {
        assert_eq!((lying(&stack, canary), health(&stack, canary)), (next.clone(), Some(200)));
    }
    assert_eq!(stack.node("canary-2")["pid"], pid, "its turn never came");
    std::fs::write(bench.path().join("next.py"), next).unwrap();
    stack.octad(&["preview", "--detailed-exitcode"]).exits(0);
    stack.destroy();
    stack.assert_gone();
}

#[test]
fn another_process_at_its_port_is_not_taken_for_a_member() {
    if !has_python() {
        return crate::skip::skip("the example is not run: there is no python3");
    }
    let bench = Bench::new();
    let mut stack = bench.stack("taken", Subnet::local(), TWO);
    stack.of_program(Path::new(env!("CARGO_BIN_EXE_octad")).with_file_name("examples/canary"));
    stack.up();
    stack.signal("canary-1", Signal::KILL);
    // Its supervisor starts it again after a second.
    let taken = until("the port", Duration::from_secs(1), || {
        std::net::TcpListener::bind(format!("{}201:8080", stack.subnet())).map_err(|error| error.to_string())
    });
    let answers = taken.try_clone().unwrap();
    std::thread::spawn(move || {
        for stream in answers.incoming() {
            use std::io::{Read as _, Write as _};
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    until("that it can't be started", Duration::from_secs(10), || match &stack.node("canary-1")["process"] {
        process if process == "failed" => Ok(()),
        process => Err(process.to_string()),
    });
    assert_eq!(health(&stack, "canary-1"), Some(200), "the detector: the other one answers as it would");
    let status = stack.status();
    assert_eq!(status["groups"]["canary"]["healthy"], false, "{status:#}");
    let told = stack.octad(&["up", "--yes"]).exits(1).stderr;
    assert!(
        told.contains(&format!("{}201:8080, which another process listens on", stack.subnet())),
        "{told}"
    );
    // The thread waits in `accept`, and holds the port as long.
    rustix::net::shutdown(&taken, rustix::net::Shutdown::Both).unwrap();
    drop(taken);
    until("the canary itself", Duration::from_secs(30), || match stack.status()["healthy"] == true {
        true => Ok(()),
        false => Err(stack.status().to_string()),
    });
    stack.destroy();
    stack.assert_gone();
}

fn has_python() -> bool {
    Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The script that a canary was last installed with.
fn lying(stack: &Stack, node: &str) -> String {
    let current = stack.site().join("hosts").join(node).join("nodes").join(node).join("current");
    std::fs::read_to_string(current.join("canary.py")).unwrap()
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
