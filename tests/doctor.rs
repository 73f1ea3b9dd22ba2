//! What this machine lacks: told, and installed where the user agrees. The package manager is a script here; the real
//! one is tried by scripts/try-bare.

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use octad::tool::Family;
use skip::skip;
use tempfile::TempDir;

/// A machine with nothing on its path but what a test puts there.
struct Machine {
    directory: TempDir,
}

impl Machine {
    /// `None`, and said so, where octad installs nothing by itself.
    fn new() -> Option<Self> {
        if Family::of_this_machine() != Some(Family::Debian) {
            skip("nothing is installed here: this is no Debian");
            return None;
        }
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        machine.program("env", "shift; exec \"$@\"");
        machine.program("sudo", "while [ \"$1\" = -n ]; do shift; done; exec \"$@\"");
        // A list of packages with one that isn't the first choice.
        machine.program("apt-cache", "case $* in *openjdk-21*) echo Package: it;; *) exit 100;; esac");
        Some(machine)
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.directory.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `apt-get` that notes how it was called, and installs by `install`.
    fn package_manager(&self, install: &str) {
        let calls = self.directory.path().join("calls");
        self.program(
            "apt-get",
            &format!("echo \"$*\" >>'{}'\ncase $* in *install*) {install};; esac", calls.display()),
        );
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.directory.path().join("calls")).unwrap_or_default()
    }

    fn octad(&self, arguments: &[&str]) -> String {
        self.run(Path::new(env!("CARGO_BIN_EXE_octad")), arguments)
    }

    fn run(&self, octad: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(octad);
        let output = command
            .arg0("octad")
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", self.directory.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = format!(
            "exit {}\n{}{}",
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        text.replace(&*self.directory.path().to_string_lossy(), "[DIR]").replace("sudo -n ", "")
    }

    /// What installs a Java as Octad finds it.
    fn java(&self) -> String {
        let path = self.directory.path().display();
        format!(
            "printf '#!/bin/sh\\necho openjdk version \\\\\"21.0.1\\\\\"\\n' >{path}/java; /bin/chmod +x {path}/java"
        )
    }
}

#[test]
fn nothing_is_installed_unless_it_is_asked_for() {
    let Some(machine) = Machine::new() else { return };
    machine.package_manager(&machine.java());
    assert_snapshot!(machine.octad(&["doctor", "--for", "servers"]), @"
    exit 1
    ✗ java  running the servers  no Java was found; looked for java on PATH
    error: this machine lacks java
      because no Java was found; looked for java on PATH
      nothing was changed
    hint: add `--install` to have octad run `apt-get -q install -y --no-install-recommends --no-remove openjdk-21-jre-headless`
    ");
    assert_eq!(machine.calls(), "");
}

#[test]
fn what_is_asked_for_is_installed_from_the_first_package_that_there_is() {
    let Some(machine) = Machine::new() else { return };
    machine.package_manager(&machine.java());
    assert_snapshot!(machine.octad(&["doctor", "--for", "servers", "--install"]), @"
    exit 0
    ✓ java  running the servers  [DIR]/java (21.0.1)
    note: installing java
    ");
    assert_snapshot!(machine.calls(), @"
    -q update
    -q install -y --no-install-recommends --no-remove openjdk-21-jre-headless
    ");
    assert_snapshot!(machine.octad(&["doctor", "--for", "servers", "--install"]), @"
    exit 0
    ✓ java  running the servers  [DIR]/java (21.0.1)
    ");
    assert_eq!(machine.calls().lines().count(), 2, "what is there is left alone");
}

#[test]
fn a_package_manager_that_fails_or_brings_nothing_is_told_of() {
    let Some(machine) = Machine::new() else { return };
    machine.package_manager("echo 'E: Unable to fetch some archives' >&2; exit 100");
    assert_snapshot!(machine.octad(&["doctor", "--for", "servers", "--install"]), @"
    exit 1
    ✗ java  running the servers  no Java was found; looked for java on PATH
    note: installing java
    E: Unable to fetch some archives
    error: could not install what this machine lacks
      because `apt-get -q install -y --no-install-recommends --no-remove openjdk-21-jre-headless` failed (exit status: 100)
    hint: it has said why above; the same command goes on from here once that is mended
    ");
    machine.package_manager(":");
    assert_snapshot!(machine.octad(&["doctor", "--for", "servers", "--install"]), @"
    exit 1
    ✗ java  running the servers  no Java was found; looked for java on PATH
    note: installing java
    error: this machine still lacks java
      because no Java was found; looked for java on PATH
    hint: `octad doctor` tells what it looks for; an OCTAD_JAVA, JAVA_HOME or PATH may lead elsewhere
    ");
}

#[test]
fn a_program_that_a_node_runs_is_told_of_as_java_is() {
    let Some(machine) = Machine::new() else { return };
    machine.program("java", "echo 'openjdk version \"21.0.1\"'");
    machine.program("mvn", "exit 1");
    machine.package_manager(":");
    let canary = Path::new(env!("CARGO_BIN_EXE_octad")).with_file_name("examples/canary");
    let up = || machine.run(&canary, &["up", "--yes", "--state-dir", "state"]);
    let lacks = |said: String| said.split_once("error: ").unwrap().1.to_owned();
    assert_snapshot!(lacks(up()), @"
    this machine lacks python3
      because python3 is not on PATH; python3 3.9 or newer is needed
      nothing was changed
    hint: add `--install` to have octad run `apt-get -q install -y --no-install-recommends --no-remove python3`
    ");
    let doctor = || machine.run(&canary, &["doctor", "--for", "servers"]);
    assert_snapshot!(doctor(), @"
    exit 1
    ✓ java     running the servers  [DIR]/java (21.0.1)
    ✗ python3  the role canary      python3 is not on PATH; python3 3.9 or newer is needed
    error: this machine lacks python3
      because python3 is not on PATH; python3 3.9 or newer is needed
      nothing was changed
    hint: add `--install` to have octad run `apt-get -q install -y --no-install-recommends --no-remove python3`
    ");
    machine.program("python3", "echo Python 3.11.2");
    assert_snapshot!(doctor(), @"
    exit 0
    ✓ java     running the servers  [DIR]/java (21.0.1)
    ✓ python3  the role canary      [DIR]/python3 (3.11.2)
    ");
    machine.program("python3", "echo Python 3.8.10");
    assert_snapshot!(lacks(up()), @"
    this machine lacks python3
      because [DIR]/python3 is version 3.8.10; python3 3.9 or newer is needed
      nothing was changed
    hint: add `--install` to have octad run `apt-get -q install -y --no-install-recommends --no-remove python3`
    ");
}
