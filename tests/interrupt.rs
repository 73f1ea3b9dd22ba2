//! ^C once and twice, `octad cancel` and `octad unlock`, with the real binary. A program that only sleeps stands for
//! Java, so that gates wait for as long as a test needs.

#[path = "real/traces.rs"]
#[allow(dead_code, reason = "the tests of real clusters use the rest")]
mod traces;

use insta::assert_snapshot;
use octad::engine::Lock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Anything here takes far less, be the machine as busy as it may.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn until(what: &str, mut there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn exists(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

struct Bench {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Bench {
    /// A stack on addresses of its own: each test here has its own number.
    fn new(number: u8) -> Self {
        let bench = Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() };
        let subnet = format!("127.90.{number}.0/24");
        let stack = format!("program = \"minimal\"\n[hosts]\nsubnet = \"{subnet}\"\n");
        fs::write(bench.path("it.toml"), stack).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn site(&self) -> PathBuf {
        self.path(".octad/it")
    }

    fn program(&self, name: &str, body: &str) -> String {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(name).display().to_string()
    }

    /// A Java that tells its version; as a server it does `serve`.
    fn with_java(mut self, serve: &str) -> Self {
        let tell = "echo 'openjdk version \"17.0.9\" 2023-10-17' >&2";
        let java = self.program("java", &format!("case \"$*\" in *-version*) {tell};; *) {serve};; esac"));
        self.variables.push(("OCTAD_JAVA", java));
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octad"));
        for variable in ["OCTAD_STACK", "OCTAD_STATE_DIR", "OCTAD_JAVA", "JAVA_HOME"] {
            command.env_remove(variable);
        }
        command
            .arg0("octad")
            .current_dir(self.directory.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .args(["--stack", "it.toml"])
            .stdin(Stdio::null());
        command
    }

    fn octad(&self, arguments: &[&str]) -> String {
        self.told(&self.command(arguments).output().unwrap())
    }

    fn told(&self, output: &Output) -> String {
        let said = format!(
            "exit {}\n{}{}",
            output.status.code().expect("octad was not killed"),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        said.replace(&*self.directory.path().to_string_lossy(), "[DIR]")
    }

    /// Begins a run; what it says goes to files.
    fn begin(&self, arguments: &[&str]) -> Running<'_> {
        let file = |name| fs::File::create(self.path(name)).unwrap();
        let mut command = self.command(arguments);
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { bench: self, child }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for supervisor in traces::supervisors_of(&self.site()) {
            // Its servers die with it.
            let _ = kill_process(supervisor, Signal::KILL);
            until("the end of a supervisor", || !exists(supervisor.as_raw_nonzero().get()));
        }
    }
}

/// A run of octad that is under way.
struct Running<'a> {
    bench: &'a Bench,
    child: Child,
}

impl Running<'_> {
    fn said(&self) -> String {
        fs::read_to_string(self.bench.path("stderr")).unwrap()
    }

    #[track_caller]
    fn says(&self, text: &str) {
        until(&format!("`{text}` in\n{}", self.said()), || self.said().contains(text));
    }

    /// Waits until it would not die of ^C.
    fn listens(&self) {
        let status = format!("/proc/{}/status", self.child.id());
        until("a handler of ^C", || {
            let status = fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
            u64::from_str_radix(caught, 16).unwrap() & 1 << (2 - 1) != 0
        });
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end; its code, and what it said from `from` on.
    #[track_caller]
    fn ends(mut self, from: &str) -> String {
        let mut status = None;
        until("the end of octad", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let said = self.said();
        let said = &said[said.find(from).unwrap_or_else(|| panic!("no `{from}` in\n{said}"))..];
        let code = status.unwrap().code().expect("octad was not killed");
        format!("exit {code}\n{said}").replace(&*self.bench.directory.path().to_string_lossy(), "[DIR]")
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Fails where it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn while_maven_resolves_it_stops_at_the_first_and_maven_is_gone() {
    let mut bench = Bench::new(41).with_java("exec sleep 600");
    bench.program("bin/mvn", "echo $$ >maven; sleep 600 & echo $! >child.new; mv child.new child; wait");
    bench.variables.push(("PATH", format!("{}:/usr/bin:/bin", bench.path("bin").display())));
    bench.variables.push(("OCTAD_STORE", bench.path("store").display().to_string()));
    let up = bench.begin(&["up", "--yes"]);
    // Maven is called in a directory of its own.
    let mut found = Vec::new();
    until("Maven and its child", || {
        found = find(&bench.path("store"), &["maven", "child"]);
        found.len() == 2
    });
    assert!(found.iter().all(|pid| exists(*pid)), "the detector: they are seen");
    up.interrupt();
    assert_snapshot!(up.ends("error: "), @"
    exit 8
    error: stopped, as you asked
      nothing was changed
    ");
    until("the end of Maven and its child", || !found.iter().any(|pid| exists(*pid)));
    assert!(!bench.site().exists(), "nothing is left behind");
}

/// The process ids in the files of these names below a directory.
fn find(directory: &Path, names: &[&str]) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        if entry.path().is_dir() {
            found.extend(find(&entry.path(), names));
        } else if names.iter().any(|name| *name == entry.file_name()) {
            found.extend(
                fs::read_to_string(entry.path()).ok().and_then(|text| text.trim().parse::<i32>().ok()),
            );
        }
    }
    found
}

#[test]
fn while_a_gate_waits_it_stops_at_the_first_and_keeps_what_it_made() {
    let bench = Bench::new(42).with_java("exec sleep 600");
    let up = bench.begin(&["up", "--yes", "--parallel", "1"]);
    up.says("waiting for zookeeper");
    up.interrupt();
    assert_snapshot!(up.ends("error: "), @"
    exit 8
    error: the stack is not as declared yet
      because stopped while waiting for zookeeper: 0 of 1 servers serve, without zk-1
      done: create host/broker-1, create host/zk-1, create node/zk-1
      not done: gate group/zookeeper, create node/broker-1, gate group/kafka
    hint: the same command goes on from here
    ");
    let servers = traces::processes_of(&bench.site());
    assert_eq!(servers.len(), 3, "two supervisors and a server: what runs, runs on");

    let again = bench.begin(&["up", "--yes"]);
    again.says("waiting for zookeeper");
    let cancelled = bench.octad(&["cancel"]);
    let expected = format!("exit 0\n`octad up` (process {}) has stopped.\n", again.child.id());
    assert_eq!(cancelled, expected);
    assert!(again.ends("error: ").starts_with("exit 8\n"));
    assert_eq!(traces::processes_of(&bench.site()), servers, "nothing was started twice");
    assert_eq!(bench.octad(&["cancel"]), "exit 0\nNo octad works on the stack it.\n");
    assert!(bench.octad(&["destroy", "--yes"]).starts_with("exit 0\n"));
    assert_eq!(traces::processes_of(&bench.site()), [0; 0]);
}

#[test]
fn an_act_that_lasts_is_finished_after_the_first_and_left_at_the_second() {
    // A server that won't end at SIGTERM has minutes.
    let bench = Bench::new(43).with_java("trap '' TERM; exec sleep 600");
    let up = bench.begin(&["up", "--yes"]);
    up.says("waiting for zookeeper");
    up.interrupt();
    up.ends("error: ");
    let server = || {
        let called = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        traces::processes_of(&bench.site()).into_iter().find(|pid| called(pid).starts_with(b"sleep\x00600"))
    };
    let before = server();
    assert!(before.is_some(), "the detector");

    let stop = bench.begin(&["stop", "--yes"]);
    stop.says("stopping node/zk-1");
    stop.interrupt();
    stop.says("finishing what is under way; once more to stop at once");
    std::thread::sleep(Duration::from_millis(300));
    stop.interrupt();
    assert_snapshot!(stop.ends("error: "), @"
    exit 8
    error: stopped at once; operations under way were left as they are
    hint: the same command goes on from here
    ");
    assert_eq!(server(), before, "the server is still about to end");
    let preview = bench.octad(&["preview"]);
    assert!(preview.contains("(is stopping)"), "what is about to be gone is not counted on:\n{preview}");

    let stop = bench.begin(&["stop", "--yes"]);
    stop.says("stopping node/zk-1");
    assert_snapshot!(bench.octad(&["cancel", "--timeout", "200ms"]).replace(&stop.child.id().to_string(), "[PID]"), @"
    exit 1
    error: `octad stop` (process [PID]) was asked to stop and is still at it after 200ms
    hint: give it time, or `octad cancel --force --stack it.toml`; the next `octad up --stack it.toml` goes on from there
    ");
    assert!(bench.octad(&["cancel", "--force"]).ends_with("has stopped.\n"));
    assert!(stop.ends("error: ").starts_with("exit 8\n"));
}

#[test]
fn while_it_waits_for_the_lock_it_stops_at_the_first() {
    let bench = Bench::new(44);
    let _lock = Lock::take(&bench.site(), "up").unwrap();
    let up = bench.begin(&["up", "--yes", "--lock-timeout", "10m"]);
    up.listens();
    up.interrupt();
    assert_snapshot!(up.ends("error: "), @"
    exit 8
    error: stopped, as you asked
      nothing was changed
    ");
}

#[test]
fn a_host_that_can_not_be_asked_is_waited_for_in_seconds_and_never_taken_for_gone() {
    let bench = Bench::new(47).with_java("exec sleep 600");
    let up = bench.begin(&["up", "--yes"]);
    up.says("waiting for zookeeper");
    up.interrupt();
    up.ends("error: ");
    let before = traces::processes_of(&bench.site());
    let holder = fs::read_to_string(bench.site().join("hosts/zk-1/lock")).unwrap();
    let halted = Pid::from_raw(holder.trim().parse().unwrap()).unwrap();
    kill_process(halted, Signal::STOP).unwrap();
    let told = |text: String| text.replace(&halted.as_raw_nonzero().to_string(), "[PID]");

    let status = told(bench.octad(&["status"]));
    assert!(status.starts_with("exit 1\n"), "{status}");
    let unknown =
        "the supervisor of [DIR]/.octad/it/hosts/zk-1 (process [PID]) did not answer \"hello\" within 10 s";
    assert!(status.contains(unknown), "{status}");
    assert!(!status.contains("zookeeper: stopped"), "who can't be asked may run:\n{status}");
    let refused = told(bench.octad(&["up", "--yes"]));
    assert!(refused.starts_with("exit 10\n"), "{refused}");
    assert!(refused.contains(unknown) && refused.contains("`kill -CONT`"), "{refused}");
    assert!(refused.ends_with("nothing was changed\n"), "{refused}");
    assert_eq!(traces::processes_of(&bench.site()), before, "nothing was started");
    let failed = told(bench.octad(&["stop", "--yes"]));
    assert!(failed.starts_with("exit 1\n") && failed.contains(unknown), "{failed}");
    assert!(failed.contains("`kill -CONT [PID]` has it go on"), "{failed}");
    assert_eq!(bench.octad(&["cancel"]), "exit 0\nNo octad works on the stack it.\n");

    // ^C doesn't wait for it.
    let stop = bench.begin(&["stop", "--yes"]);
    stop.listens();
    until("the lock", || {
        fs::read_to_string(bench.site().join("lock")).is_ok_and(|text| text.contains("stop"))
    });
    stop.interrupt();
    stop.says("once more to stop at once");
    stop.interrupt();
    assert!(stop.ends("error: ").starts_with("exit 8\n"));
    let on_it = |process: &&i32| traces::processes_of(&bench.path(".octad/it/hosts/zk-1")).contains(process);
    assert_eq!(before.iter().filter(on_it).count(), 2, "its supervisor and its server are as before");

    kill_process(halted, Signal::CONT).unwrap();
    assert!(bench.octad(&["destroy", "--yes"]).starts_with("exit 0\n"));
    assert_eq!(traces::processes_of(&bench.site()), [0; 0]);
}

/// A stack that is locked, as its lock's file tells, by somebody else than this test.
fn locked(bench: &Bench, pid: u32, started: &str, host: &str) -> Lock {
    let lock = Lock::take(&bench.site(), "up").unwrap();
    let holder = json!({
        "id": "5f3a-1", "pid": pid, "started": started, "user": "ops", "host": host, "verb": "up",
        // Clocks are set back and forth.
        "since": "2999-01-01T00:00:00Z",
    });
    fs::write(bench.site().join("lock"), holder.to_string()).unwrap();
    lock
}

fn own_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// When a process began, as locks have it.
fn started(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    format!("{}:{ticks}", fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim())
}

#[test]
fn who_can_not_be_asked_is_never_signalled() {
    let bench = Bench::new(45);
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = other.id();
    let told = |text: String| text.replace(&pid.to_string(), "[PID]").replace(&own_host(), "[HOST]");

    let lock = locked(&bench, pid, "of another boot:17", &own_host());
    assert_snapshot!(told(bench.octad(&["cancel"])), @"
    exit 1
    error: the lock [DIR]/.octad/it/lock is held by `octad up` of ops@[HOST] (process [PID], since 2999-01-01T00:00:00Z, lock 5f3a-1); that process can't be seen from here
    hint: it may run in a container: `octad cancel --stack it.toml` there, or, where it is gone, `octad unlock 5f3a-1 --stack it.toml`
    ");
    drop(lock);
    let lock = locked(&bench, pid, &started(pid), "far-away");
    assert_snapshot!(told(bench.octad(&["cancel"])), @"
    exit 1
    error: `octad up` works on the stack on far-away, and can't be asked from [HOST]
    hint: `octad cancel --stack it.toml` on far-away; where that machine is gone, `octad unlock 5f3a-1 --stack it.toml`
    ");
    assert_snapshot!(told(bench.octad(&["up", "--yes"])), @"
    exit 12
    error: the stack is locked by `octad up` of ops@far-away (process [PID], since 2999-01-01T00:00:00Z, lock 5f3a-1)
      nothing was changed
    hint: wait for it, with `--lock-timeout 10m`, or `octad cancel --stack it.toml` on far-away; where that machine is gone, `octad unlock 5f3a-1 --stack it.toml`
    ");
    assert!(other.try_wait().unwrap().is_none(), "it lives on");
    drop(lock);
    let lock = locked(&bench, pid, &started(pid), &own_host());
    assert_snapshot!(told(bench.octad(&["unlock", "5f3a-1", "--yes"])), @"
    exit 1
    error: `octad up` of ops (process [PID]) is alive on this machine
    hint: `octad cancel --stack it.toml`, or `octad cancel --force --stack it.toml`; where it hangs all the same, `kill -9 [PID]` frees the lock
    ");
    assert!(other.try_wait().unwrap().is_none(), "it lives on");
    // The detector: who is meant is signalled.
    let mut cancel = bench.begin(&["cancel"]);
    until("its end", || other.try_wait().unwrap().is_some());
    assert!(cancel.child.wait().unwrap().success());
    drop(lock);
}

#[test]
fn a_lock_of_another_machine_is_taken_away_by_its_id() {
    let bench = Bench::new(46);
    let lock = locked(&bench, 1, "of another boot:17", "far-away");
    assert_snapshot!(bench.octad(&["unlock", "5f3a-1"]), @"
    exit 64
    error: `unlock` changes things and needs your consent
      nothing was changed
    hint: add `--yes`, or run it on a terminal
    ");
    assert_snapshot!(bench.octad(&["unlock", "another", "--yes"]), @"
    exit 1
    error: the lock another is not held; the stack is locked by `octad up` of ops@far-away (process 1, since 2999-01-01T00:00:00Z, lock 5f3a-1)
    ");
    assert!(lock.holds());
    assert_snapshot!(bench.octad(&["unlock", "5f3a-1", "--yes"]), @"
    exit 0
    The lock of `octad up` of ops@far-away (process 1) is taken away.
    ");
    assert!(!lock.holds());
    assert_snapshot!(bench.octad(&["unlock", "5f3a-1", "--yes"]), @"
    exit 1
    error: the lock 5f3a-1 is not held
    ");
    Lock::take(&bench.site(), "up").unwrap();
}
