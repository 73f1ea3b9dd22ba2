//! A host directory for one test, and what the tests ask of processes. Nothing of it outlives the test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use octad::supervisor::{Supervisor, UnitName, UnitSpec, UnitState, UnitStatus};
use rustix::process::{Pid, Signal, kill_process};

/// The program under test.
pub(crate) const OCTAD: &str = env!("CARGO_BIN_EXE_octad");

/// A host directory. Dropping it kills its supervisor and what that left.
pub(crate) struct TestHost {
    _root: tempfile::TempDir,
    pub(crate) dir: PathBuf,
}

impl TestHost {
    pub(crate) fn new() -> Self {
        Self::below("h")
    }

    /// A host whose directory is `path` below a temporary one.
    pub(crate) fn below(path: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().canonicalize().unwrap().join(path);
        fs::create_dir_all(&dir).unwrap();
        Self { _root: root, dir }
    }

    pub(crate) async fn supervisor(&self) -> Supervisor {
        Supervisor::ensure(&self.dir, Path::new(OCTAD), None).await.unwrap()
    }

    /// Writes the specification of a unit.
    pub(crate) fn specify(&self, name: &str, spec: UnitSpec) -> UnitName {
        let name = unit(name);
        spec.store(&self.dir, &name).unwrap();
        name
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.join(path)).unwrap_or_default()
    }

    /// The supervisors of this host that live; several while they find out which one holds the lock.
    pub(crate) fn supervisors(&self) -> Vec<u32> {
        let ours = format!("supervise\0{}\0", self.dir.display());
        let processes = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        processes
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|command| command.ends_with(&ours))
            })
            .collect()
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        loop {
            let supervisors = self.supervisors();
            if supervisors.is_empty() {
                return;
            }
            for supervisor in supervisors {
                for pid in children(supervisor).into_iter().chain([supervisor]) {
                    send(pid, Signal::KILL);
                }
            }
        }
    }
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

/// A unit that runs a shell script; quick to restart.
pub(crate) fn sh(script: &str) -> UnitSpec {
    let mut spec = UnitSpec::new("/bin/sh", ["-c", script]);
    spec.restart.min_backoff_ms = 50;
    spec
}

/// A unit that does nothing for long.
pub(crate) fn sleeper() -> UnitSpec {
    UnitSpec::new("sleep", ["600"])
}

/// A unit that only SIGKILL ends. It says `ready` when that is so.
pub(crate) fn stubborn() -> UnitSpec {
    sh("trap '' TERM; echo ready; while :; do sleep 0.05; done")
}

pub(crate) fn send(pid: u32, signal: Signal) {
    // It may be gone already.
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

/// Whether the process exists and is no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The letter of the process's state; `None` without a process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Waits until `holds`, at most a minute: what is done at the lowest priority waits for all others' processors.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(60), "{caller}: never came: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) async fn status(supervisor: &Supervisor, unit: &UnitName) -> UnitStatus {
    let units = supervisor.status().await.unwrap();
    units.into_iter().find(|status| status.name == *unit).expect("the unit is not listed")
}

/// Waits until the unit's status is as `wanted`, at most five seconds.
pub(crate) async fn reaches(
    supervisor: &Supervisor,
    unit: &UnitName,
    wanted: impl Fn(&UnitStatus) -> bool,
) -> UnitStatus {
    let start = Instant::now();
    loop {
        let status = status(supervisor, unit).await;
        if wanted(&status) {
            return status;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "stuck in {status:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn is_running(status: &UnitStatus) -> bool {
    matches!(status.state, UnitState::Running { .. })
}
