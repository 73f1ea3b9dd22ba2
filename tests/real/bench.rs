//! Where real clusters are tested: few large ones at a time on this machine, each with a directory and addresses of its own.

use crate::subnet::Subnet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::traces;

/// How often something awaited is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Looks again and again until `wanted` gives something; tells what was last seen where it never does.
pub(crate) fn until<T>(what: &str, patience: Duration, mut wanted: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match wanted() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => {
                panic!("not within {patience:?}: {what}; last:\n{seen}")
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// The right to run a cluster of eight servers: a core carries one at a time, whichever of the user's
/// tests run it. A cluster waits about as long
/// as it works, so that two on two cores take turns.
struct Turn {
    path: PathBuf,
    _file: File,
}

/// So many at most, however many cores there are: each takes up to 2 GB of memory.
const MOST: usize = 4;

impl Turn {
    fn wait() -> Self {
        let places = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        loop {
            if let Some(turn) = (0..places).find_map(Self::take) {
                return turn;
            }
            std::thread::sleep(POLL);
        }
    }

    fn take(place: usize) -> Option<Self> {
        let user = geteuid().as_raw();
        let path = std::env::temp_dir().join(format!("octad-{user}-real-cluster-{place}.lock"));
        let file = File::create(&path).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        // The holder before may have removed the file: then it guards nothing.
        let guards = fs::metadata(&path).is_ok_and(|now| now.ino() == file.metadata().unwrap().ino());
        guards.then_some(Self { path, _file: file })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // While the lock is still held, so that nobody else's file goes.
        let _ = fs::remove_file(&self.path);
    }
}

/// A directory for stacks.
pub(crate) struct Bench {
    directory: TempDir,
    _turn: Option<Turn>,
}

impl Bench {
    /// For stacks of a few servers.
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), _turn: None }
    }

    /// Waits for the turn to run eight servers.
    pub(crate) fn for_a_whole_cluster() -> Self {
        Self { _turn: Some(Turn::wait()), ..Self::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A stack with this file; nothing is started yet.
    pub(crate) fn stack(&self, name: &str, subnet: Subnet, text: &str) -> Stack {
        let text = text.replace("SUBNET", &format!("{subnet}0/24"));
        let file = self.path().join(format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let octad = env!("CARGO_BIN_EXE_octad").into();
        Stack { name: name.into(), subnet, directory: self.path().to_owned(), file, octad }
    }
}

/// What one run of octad gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("octad writes UTF-8");
        Self {
            code: output.status.code().expect("octad was not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The same, having seen that it ended with `code`.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A stack of the real binary. Destroyed on drop, also when the test panics.
pub(crate) struct Stack {
    name: String,
    subnet: Subnet,
    directory: PathBuf,
    file: PathBuf,
    /// The binary that is run for it.
    octad: PathBuf,
}

impl Stack {
    /// Has another binary run for it, of a program that octad doesn't have.
    pub(crate) fn of_program(&mut self, octad: PathBuf) {
        self.octad = octad;
    }

    pub(crate) fn subnet(&self) -> &Subnet {
        &self.subnet
    }

    /// Runs octad for this stack and waits for it.
    pub(crate) fn octad(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// The same with the octad that lies there.
    pub(crate) fn run_by(&self, octad: &Path, arguments: &[&str]) -> Run {
        Run::of(self.command_of(octad, arguments).output().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.octad, arguments)
    }

    fn command_of(&self, octad: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(octad);
        command
            .current_dir(&self.directory)
            .env_remove("OCTAD_STACK")
            .arg("--state-dir")
            .arg(self.directory.join("state"))
            .arg("--stack")
            .arg(&self.file)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Starts octad for this stack, to be spoken with.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn up(&self) -> Run {
        self.octad(&["up", "--yes"]).exits(0)
    }

    pub(crate) fn destroy(&self) -> Run {
        self.octad(&["destroy", "--yes"]).exits(0)
    }

    pub(crate) fn status(&self) -> Value {
        let run = self.octad(&["status", "--output", "json"]);
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no status: {run:?}"))
    }

    /// A node's part of the status.
    pub(crate) fn node(&self, node: &str) -> Value {
        let status = self.status();
        let nodes = status["nodes"].as_array().unwrap();
        nodes
            .iter()
            .find(|found| found["node"] == node)
            .unwrap_or_else(|| panic!("no {node}: {status}"))
            .clone()
    }

    /// The member that leads a group.
    pub(crate) fn leader(&self, group: &str) -> String {
        self.status()["groups"][group]["leader"].as_str().unwrap().to_owned()
    }

    /// Sends a signal to a node's process, behind Octad's back. Returns the process id.
    pub(crate) fn signal(&self, node: &str, signal: Signal) -> i32 {
        let pid = i32::try_from(self.node(node)["pid"].as_i64().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        pid
    }

    /// Halts a node's process, and waits until all of its threads stand still.
    pub(crate) fn freeze(&self, node: &str) -> i32 {
        let pid = self.signal(node, Signal::STOP);
        until("a frozen process", Duration::from_secs(10), || match &self.node(node)["process"] {
            process if process == "frozen" => Ok(()),
            process => Err(process.to_string()),
        });
        pid
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.octad(&["outputs", "bootstrap servers"]).exits(0).stdout.trim().to_owned()
    }

    /// Changes the stack file: `from`, which must be there, becomes `to`.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        fs::write(&self.file, text.replace(from, to)).unwrap();
    }

    /// The stack's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where a node keeps its data.
    pub(crate) fn data(&self, node: &str) -> PathBuf {
        self.site().join("hosts").join(node).join("nodes").join(node).join("data")
    }

    /// The stack's own directory.
    pub(crate) fn site(&self) -> PathBuf {
        self.directory.join("state").join(&self.name)
    }

    /// The processes that work in the stack's directory or name it: supervisors and servers.
    pub(crate) fn processes(&self) -> Vec<i32> {
        traces::processes_of(&self.site())
    }

    /// The ports that are listened on at the stack's addresses.
    pub(crate) fn listeners(&self) -> Vec<String> {
        traces::listeners_at(&self.subnet.to_string())
    }

    /// Asserts that nothing of the stack runs, listens or lies on the disk any more.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert_eq!(self.processes(), [0; 0], "processes are left");
        assert_eq!(self.listeners(), [""; 0], "ports are left");
        assert!(!self.site().exists(), "{} is left", self.site().display());
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !self.site().exists() {
            return;
        }
        if std::thread::panicking() {
            for arguments in [&["status"][..], &["logs", "--tail", "5"]] {
                let run = self.octad(arguments);
                eprintln!("octad {}:\n{}{}", arguments.join(" "), run.stdout, run.stderr);
            }
        }
        let destroyed = self.octad(&["destroy", "--yes"]);
        if destroyed.code != 0 {
            eprintln!("could not destroy the stack {}: {}", self.name, destroyed.stderr);
        }
        for supervisor in traces::supervisors_of(&self.site()) {
            // Its units die with it.
            let _ = kill_process(supervisor, Signal::KILL);
        }
    }
}
