//! What a unit is: the file `units/<name>.json`, written by others, read at each start of the unit.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{begin::Beginning, error::SupervisorError, layout, name::UnitName, replace::replace};

/// One service of a host. Unknown fields are ignored, so that an older supervisor runs a newer specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSpec {
    /// The program: an absolute path, or a name looked up in the supervisor's `PATH`.
    pub program: PathBuf,
    /// Its arguments; those of the archive go in front of them.
    #[serde(default)]
    pub args: Vec<String>,
    /// A command that gets the program with all its arguments behind its own, and becomes it: the same process. None
    /// where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub launcher: Vec<String>,
    /// Its environment, over the supervisor's small one.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it runs; default: the host directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// Files (absolute) that must exist before each start, such as the marker of the data directory: an unmounted disk
    /// looks like an empty one, and a server started on that would begin from nothing.
    #[serde(default)]
    pub requires: Vec<PathBuf>,
    /// Where its process will listen. It is not started while another process does: whoever asks there would take that for
    /// this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listens: Vec<SocketAddr>,
    /// What tells whether the data disk was ever written to, for servers that must not start on an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Beginning>,
    /// Seconds between SIGTERM and SIGKILL.
    #[serde(default = "default_stop_timeout")]
    pub stop_timeout: u64,
    /// When it is started again after an end that nobody asked for.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Its class-data archive, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,
    /// What is run once its process is certainly gone, however it ended, before it is started again: systemd's
    /// `ExecStopPost`. Older supervisors, which know it by its old name, run it after failures only.
    #[serde(default, rename = "after_failure", skip_serializing_if = "Option::is_none")]
    pub after_end: Option<AfterEnd>,
    /// What the specification was rendered from. The status tells the one that the running process was
    /// started with.
    #[serde(default)]
    pub generation: String,
}

/// The delay before a restart doubles from the first to the second; there is no limit on the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Milliseconds before the first restart.
    pub min_backoff_ms: u64,
    /// Milliseconds at most.
    pub max_backoff_ms: u64,
}

/// A class-data archive (AppCDS): made in the background of the first start, used from the next start on,
/// never a reason to fail. It may be shared by hosts; one of them makes it.
///
/// In `present` and the dump's arguments `{archive}` stands for its path; the dump gets that of a temporary file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSpec {
    /// The archive.
    pub path: PathBuf,
    /// Arguments when it exists, in front of all others.
    #[serde(default)]
    pub present: Vec<String>,
    /// What makes it.
    pub dump: DumpCommand,
    /// Seconds after the start that the dump begins. The start needs the processors more.
    #[serde(default = "default_after_secs")]
    pub after_secs: u64,
}

/// A program that cleans up behind a process; run with the unit's environment and directory. The restart waits for it,
/// and so does a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterEnd {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Milliseconds after which it is killed.
    #[serde(default = "default_after_end_ms")]
    pub limit_ms: u64,
}

/// A program that makes an archive; run with the unit's environment and directory, at nice 19.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, with placeholders.
    #[serde(default)]
    pub args: Vec<String>,
}

impl UnitSpec {
    /// A unit that runs `program` with `args` and the defaults for the rest.
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            launcher: Vec::new(),
            env: BTreeMap::new(),
            working_dir: None,
            requires: Vec::new(),
            listens: Vec::new(),
            begins: None,
            stop_timeout: default_stop_timeout(),
            restart: RestartPolicy::default(),
            archive: None,
            after_end: None,
            generation: String::new(),
        }
    }

    /// Reads the specification of `name` on the host at `dir`.
    pub fn load(dir: &Path, name: &UnitName) -> Result<Self, SupervisorError> {
        let path = layout::unit(dir, name);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| SupervisorError::Malformed { path, source })
            }
            Err(source) => Err(SupervisorError::File { action: "read", path, source }),
        }
    }

    /// Writes it as the specification of `name` on the host at `dir`; it holds from the unit's next start.
    pub fn store(&self, dir: &Path, name: &UnitName) -> Result<(), SupervisorError> {
        let path = layout::unit(dir, name);
        let written = fs::create_dir_all(layout::units(dir))
            .and_then(|()| replace(&path, &serde_json::to_vec_pretty(self)?));
        written.map_err(|source| SupervisorError::File { action: "write", path, source })
    }

    /// The time between SIGTERM and SIGKILL.
    pub(super) fn stop_timeout(&self) -> Duration {
        Duration::from_secs(self.stop_timeout)
    }

    /// The file that a start executes: the launcher's where there is one.
    pub(super) fn executable(&self) -> &Path {
        self.launcher.first().map_or(&self.program, Path::new)
    }

    /// The command of a start at this moment.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.executable());
        if let [_, arguments @ ..] = self.launcher.as_slice() {
            command.args(arguments).arg(&self.program);
        }
        command.args(self.arguments()).envs(&self.env);
        command
    }

    /// The arguments of a start at this moment: which of the archive's come first depends on its presence.
    fn arguments(&self) -> Vec<String> {
        let archive = self.archive.as_ref().map(ArchiveSpec::arguments).unwrap_or_default();
        archive.into_iter().chain(self.args.iter().cloned()).collect()
    }
}

impl AfterEnd {
    /// A program with the default limit of 3 s.
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self { program, args, limit_ms: default_after_end_ms() }
    }
}

impl ArchiveSpec {
    fn arguments(&self) -> Vec<String> {
        let present = self.present.iter().filter(|_| self.path.exists());
        present.map(|arg| fill(arg, &self.path)).collect()
    }
}

impl DumpCommand {
    /// The arguments for a dump into `archive`.
    pub(super) fn arguments(&self, archive: &Path) -> Vec<String> {
        self.args.iter().map(|arg| fill(arg, archive)).collect()
    }
}

fn fill(arg: &str, archive: &Path) -> String {
    arg.replace("{archive}", &archive.to_string_lossy())
}

impl Default for RestartPolicy {
    fn default() -> Self {
        // All hosts share this machine: a JVM that starts takes two processors for seconds, just when the others elect.
        Self { min_backoff_ms: 1_000, max_backoff_ms: 10_000 }
    }
}

/// A broker with many partitions needs minutes for an orderly stop; `TimeoutStopSec` on NixOS is the same.
fn default_stop_timeout() -> u64 {
    300
}

/// The crash fence gives ZooKeeper 2 s; this is for one that doesn't keep to that.
fn default_after_end_ms() -> u64 {
    3_000
}

/// A cluster has begun by then, on a busy machine too.
fn default_after_secs() -> u64 {
    20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_needs_only_a_program() {
        let spec: UnitSpec = serde_json::from_str(r#"{"program": "java", "from_the_future": 1}"#).unwrap();
        assert_eq!(spec, UnitSpec::new("java", [""; 0]));
        assert_eq!((spec.stop_timeout, spec.restart.max_backoff_ms), (300, 10_000));
    }

    #[test]
    fn a_specification_survives_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let name = UnitName::new("broker").unwrap();
        let spec = UnitSpec { generation: "7".into(), ..UnitSpec::new("sleep", ["1"]) };
        spec.store(dir.path(), &name).unwrap();
        assert_eq!(UnitSpec::load(dir.path(), &name).unwrap(), spec);
    }

    #[test]
    fn an_archive_is_used_where_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsa");
        let mut spec = UnitSpec::new("java", ["Main"]);
        spec.archive = Some(ArchiveSpec {
            path: path.clone(),
            present: vec!["-XX:SharedArchiveFile={archive}".into()],
            dump: DumpCommand { program: "java".into(), args: vec![] },
            after_secs: 1,
        });
        assert_eq!(spec.arguments(), ["Main"]);
        fs::write(&path, "").unwrap();
        assert_eq!(spec.arguments(), [format!("-XX:SharedArchiveFile={}", path.display()), "Main".into()]);
    }
}
