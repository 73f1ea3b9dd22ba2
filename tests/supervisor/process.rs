//! The supervisor itself: one per host, small, and the death of the host.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use octad::supervisor::{Desired, Signal, Supervisor, SupervisorError, UnitSpec};
use rustix::process::Signal as OsSignal;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::host::{
    OCTAD, TestHost, children, eventually, is_running, lives, reaches, send, sh, sleeper, state, status,
    stubborn, unit,
};

/// What a supervisor may hold that is its own, in kB, whatever the build: its heap and stacks. The pages of the program
/// that the loader wrote addresses into aren't counted, they grow with the program.
const OWN_MEMORY_LIMIT_KB: u64 = 2_000;
/// Resident memory that a supervisor may have: eight of them run beside eight JVMs.
const MEMORY_LIMIT_KB: u64 = 10 * 1024;

#[tokio::test]
async fn a_host_without_a_supervisor_has_none_to_connect_to() {
    let host = TestHost::new();
    assert!(Supervisor::connect(&host.dir).await.unwrap().is_none());
    assert!(Supervisor::connect(&host.dir.join("missing")).await.unwrap().is_none());
    let supervisor = host.supervisor().await;
    let found = Supervisor::connect(&host.dir).await.unwrap().unwrap();
    assert_eq!(found.hello(), supervisor.hello());
    found.shutdown().await.unwrap();
    assert!(Supervisor::connect(&host.dir).await.unwrap().is_none());
}

#[tokio::test]
async fn a_second_supervisor_is_refused() {
    let host = TestHost::new();
    let first = host.supervisor().await;
    let second = Command::new(OCTAD).arg("supervise").arg(&host.dir).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(said.contains("already") && said.contains(&first.hello().pid.to_string()), "{said}");
    assert_eq!(host.supervisor().await.hello(), first.hello(), "the first one was disturbed");
}

#[tokio::test]
async fn simultaneous_calls_agree_on_one_supervisor() {
    let host = TestHost::new();
    let calls = (0..6).map(|_| {
        let dir = host.dir.clone();
        tokio::spawn(
            async move { Supervisor::ensure(&dir, Path::new(OCTAD), None).await.unwrap().hello().pid },
        )
    });
    let mut pids = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        pids.push(call.await.unwrap());
    }
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

#[tokio::test]
async fn a_supervisor_that_cannot_start_is_reported_with_its_log() {
    let host = TestHost::new();
    fs::write(host.dir.join("run.json"), "{").unwrap();
    match Supervisor::ensure(&host.dir, Path::new(OCTAD), None).await {
        Err(error @ SupervisorError::NotUp { ended: Some(_), .. }) => {
            assert!(error.to_string().contains("run.json"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn killing_the_supervisor_is_losing_the_host_and_the_next_one_starts_it_again() {
    let host = TestHost::new();
    let (up, down) = (host.specify("up", sleeper()), host.specify("down", sleeper()));
    let supervisor = host.supervisor().await;
    let pid = supervisor.start(&up).await.unwrap().state.pid().unwrap();
    supervisor.start(&down).await.unwrap();
    supervisor.stop(&down, None, None).await.unwrap();

    let killed = Instant::now();
    send(supervisor.hello().pid, OsSignal::KILL);
    eventually("the end of the child", || !lives(pid)).await;
    assert!(killed.elapsed() < Duration::from_secs(2));

    let next = host.supervisor().await;
    assert_ne!(next.hello().pid, supervisor.hello().pid);
    let status_up = reaches(&next, &up, is_running).await;
    assert_ne!(status_up.state.pid(), Some(pid));
    assert_eq!(status(&next, &down).await.desired, Desired::Down);
}

#[tokio::test]
async fn shutdown_stops_all_units_at_once_and_keeps_what_is_wanted() {
    let host = TestHost::new();
    let mut pids = Vec::new();
    let supervisor = host.supervisor().await;
    for name in ["a", "b", "c"] {
        let unit = host.specify(name, UnitSpec { stop_timeout: 1, ..stubborn() });
        pids.extend(supervisor.start(&unit).await.unwrap().state.pid());
        eventually("the trap", || host.read(&format!("log/{name}.log")).contains("ready")).await;
    }
    let asked = Instant::now();
    supervisor.clone().shutdown().await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(2500), "one after the other: {:?}", asked.elapsed());
    assert!(pids.iter().all(|pid| !lives(*pid)));
    assert!(!host.dir.join("supervisor.sock").exists());
    eventually("the end of the supervisor", || !lives(supervisor.hello().pid)).await;
    assert_eq!(host.read("run.json").matches("\"up\"").count(), 3);
}

#[tokio::test]
async fn sigterm_is_a_shutdown_and_other_signals_are_ignored() {
    let host = TestHost::new();
    let unit =
        host.specify("u", sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"));
    let supervisor = host.supervisor().await;
    let pid = supervisor.hello().pid;
    let child = supervisor.start(&unit).await.unwrap().state.pid().unwrap();
    eventually("the trap", || host.read("log/u.log").contains("ready")).await;
    for ignored in [OsSignal::INT, OsSignal::HUP] {
        send(pid, ignored);
    }
    assert!(is_running(&status(&supervisor, &unit).await));

    send(pid, OsSignal::TERM);
    eventually("the end of both", || !lives(pid) && !lives(child)).await;
    assert!(host.read("log/u.log").contains("bye"), "the stop was not graceful");
    assert!(host.read("run.json").contains("\"up\""), "the desired state was changed");
}

#[tokio::test]
async fn units_inherit_nothing_of_whoever_started_the_supervisor() {
    let host = TestHost::new();
    let show =
        "grep -E 'Sig(Ign|Blk)' /proc/self/status; env; ls -l /proc/self/fd; echo shown; exec sleep 600";
    let unit = host.specify("u", sh(show));
    // A descriptor such as a build server or a shell leaves open for its children.
    let leak = fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let seen = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    assert!(String::from_utf8_lossy(&seen.stdout).contains("/dev/zero"), "the detector does not detect");
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    eventually("all of it", || host.read("log/u.log").contains("shown")).await;
    let log = host.read("log/u.log");
    let mask = |field: &str| {
        let line = log.lines().find_map(|line| line.split_once(field)).unwrap().1;
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0);
    for signal in [OsSignal::HUP, OsSignal::INT, OsSignal::PIPE, OsSignal::TERM] {
        assert_eq!(mask("SigIgn:") >> (signal.as_raw() - 1) & 1, 0, "{signal:?} is ignored");
    }
    assert!(!log.contains("CARGO_"), "the environment got through\n{log}");
    let descriptors = log.lines().filter(|line| line.contains(" -> ")).count();
    assert_eq!(descriptors, 4, "not the three and that of ls itself\n{log}");
}

#[tokio::test]
async fn a_host_directory_may_have_a_long_path() {
    let host = TestHost::below(&["a-rather-long-name-of-a-directory"; 6].join("/"));
    assert!(host.dir.as_os_str().len() > 108);
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    assert!(is_running(&supervisor.start(&unit).await.unwrap()));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_socket_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let host = TestHost::new();
    host.supervisor().await;
    let mode = fs::metadata(host.dir.join("supervisor.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_supervisor_is_small() {
    let host = TestHost::new();
    let talk = "i=0; while [ $i -lt 20000 ]; do echo a line of some length number $i; i=$((i+1)); done; exec sleep 600";
    let unit = host.specify("u", sh(talk));
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    eventually("the output", || host.read("log/u.log").contains("number 19999")).await;
    for _ in 0..50 {
        supervisor.status().await.unwrap();
    }
    let maps = fs::read_to_string(format!("/proc/{}/smaps", supervisor.hello().pid)).unwrap();
    let memory = Memory::of(&maps);
    println!("{} kB resident, {} of them heap and stacks", memory.resident, memory.own);
    assert!(0 < memory.own && memory.own <= OWN_MEMORY_LIMIT_KB, "{maps}");
    // The text of an unoptimised program is several times as large, and mapped once for all supervisors.
    if !cfg!(debug_assertions) {
        assert!(memory.resident <= MEMORY_LIMIT_KB, "{maps}");
    }
}

/// Resident memory of a process, in kB.
struct Memory {
    resident: u64,
    /// In no file.
    own: u64,
}

impl Memory {
    /// Of its `smaps`: a line that says what is mapped, with the file's path if it is one, before the lines that count it.
    fn of(smaps: &str) -> Self {
        let mut memory = Self { resident: 0, own: 0 };
        let mut of_file = false;
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("Rss:") => {
                    let kilobytes: u64 = words.next().unwrap().parse().unwrap();
                    memory.resident += kilobytes;
                    memory.own += if of_file { 0 } else { kilobytes };
                }
                Some(field) if field.ends_with(':') => {}
                _ => of_file = line.contains('/'),
            }
        }
        memory
    }
}

#[tokio::test]
async fn neither_zombies_nor_orphans_are_left() {
    let host = TestHost::new();
    // Each crash leaves a background process in the group of the unit.
    let crashing = host.specify("crashing", sh("sleep 601 & echo $! >>strays; exit 1"));
    let quiet = host.specify("quiet", sleeper());
    let supervisor = host.supervisor().await;
    let pid = supervisor.hello().pid;
    let child = supervisor.start(&quiet).await.unwrap().state.pid().unwrap();
    supervisor.start(&crashing).await.unwrap();
    reaches(&supervisor, &crashing, |s| s.restarts >= 3).await;
    supervisor.stop(&crashing, None, None).await.unwrap();
    assert_eq!(children(pid), [child], "zombies");
    let strays: Vec<u32> = host.read("strays").lines().map(|line| line.parse().unwrap()).collect();
    assert!(strays.len() >= 3);
    eventually("the end of the strays", || !strays.iter().any(|stray| lives(*stray))).await;
    supervisor.kill(&quiet, Signal::Kill).await.unwrap();
    supervisor.shutdown().await.unwrap();
    eventually("the end of all", || !lives(pid) && !lives(child)).await;
}

#[tokio::test]
async fn a_frozen_supervisor_is_reported_and_not_doubled() {
    let host = TestHost::new();
    let mut child = Command::new("flock")
        .args(["lock", "sleep", "600"])
        .current_dir(&host.dir)
        .stdin(Stdio::null())
        .process_group_of_its_own()
        .spawn()
        .unwrap();
    eventually("the lock", || !children(child.id()).is_empty() || !lives(child.id())).await;
    let found = Supervisor::ensure(&host.dir, Path::new(OCTAD), None).await;
    for pid in children(child.id()).into_iter().chain([child.id()]) {
        send(pid, OsSignal::KILL);
    }
    child.wait().unwrap();
    assert!(matches!(found, Err(SupervisorError::Unresponsive { .. })), "{found:?}");
}

#[tokio::test]
async fn what_was_asked_of_a_halted_supervisor_is_answered_for_in_time_and_not_done_later() {
    let host = TestHost::new();
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    let started = supervisor.start(&unit).await.unwrap();
    let pid = supervisor.hello().pid;

    send(pid, OsSignal::STOP);
    eventually("the halt", || state(pid) == Some('T')).await;
    let asked = Instant::now();
    let again = supervisor.clone();
    let (found, told, stopped) = tokio::join!(
        Supervisor::ensure(&host.dir, Path::new(OCTAD), None),
        again.status(),
        again.stop(&unit, Some(Duration::ZERO), None),
    );
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
    for error in [found.unwrap_err(), told.unwrap_err(), stopped.unwrap_err()] {
        assert!(
            matches!(&error, SupervisorError::Unresponsive { pid: Some(holder), .. } if *holder == pid),
            "{error:?}"
        );
        let said = error.to_string();
        assert!(said.contains(&pid.to_string()) && said.contains("is not known"), "{said}");
    }
    assert_eq!(host.supervisors(), [pid], "a second one was started");

    send(pid, OsSignal::CONT);
    // A unit does in order what it is asked: behind a stop, this would be another process.
    assert_eq!(supervisor.start(&unit).await.unwrap(), started, "a stop that was given up was done later");
    assert_eq!(host.supervisor().await.hello(), supervisor.hello());
}

#[tokio::test]
async fn a_process_that_outlives_its_kill_is_named_in_time() {
    let host = TestHost::new();
    let unit = unit("u");
    // A process that SIGKILL doesn't end can't be made at will, so this plays the supervisor of one.
    let lock = fs::File::create(host.dir.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let listener = tokio::net::UnixListener::bind(host.dir.join("supervisor.sock")).unwrap();
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        loop {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let request: serde_json::Value = serde_json::from_str(&line).unwrap();
            let at = "2026-01-01T00:00:00Z";
            let answer = match request["request"].as_str().unwrap() {
                "hello" => json!({"v": 1, "ok": {"protocol": 1, "pid": 1, "octad": "1", "started": at}}),
                "status" => json!({"v": 1, "ok": {"units": [{
                    "name": "u", "desired": "down", "restarts": 0, "generation": null,
                    "state": {"is": "stopping", "pid": 4242, "since": at},
                }]}}),
                _ => {
                    unanswered.push(stream);
                    continue;
                }
            };
            stream.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        }
    });
    let supervisor = Supervisor::connect(&host.dir).await.unwrap().unwrap();
    let asked = Instant::now();
    let error = supervisor.stop(&unit, Some(Duration::ZERO), None).await.unwrap_err();
    assert!(matches!(error, SupervisorError::NotEnded { pid: 4242, .. }), "{error:?}");
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
}

trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}
