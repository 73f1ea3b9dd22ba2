//! Has a shell run the script as a unit of a machine would, and tells what the machine was at each instant of that.
//!
//! The shell waits before each of its commands until note has been taken of what is there: a SIGKILL at that command leaves
//! that, and a power cut leaves of it what was written, or what was synced. Left out: bash stands for the machine's `sh`, which
//! is bash as well, and what the script writes below `/run` is no part of a machine, since what begins it removes that.

use super::stand_in::{Also, Late, Outcome, StandIns};
use super::world::{SYSTEMS, System, World};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) const SCRIPT: &str = include_str!("../../src/host/nixos/scripts/change.sh");

/// Stands before the script: asks by descriptor 3, is let on by 4 and answered by 5. The functions stand for programs, of which
/// they do what the script wants of them: what is sorted there is in order already.
const PRELUDE: &str = r#"exec 3>&1 4<&0 5<&2 >/dev/null 2>/dev/null </dev/null
call() {
  local code said
  printf '%s\n' "$*" >&3
  IFS=' ' read -r code said <&5
  printf %b "$said"
  return "$code"
}
systemctl() { call systemctl "$@"; }
sync() { call sync "$@"; }
sleep() { call sleep "$@"; }
mkdir() { call mkdir "$@"; }
mv() { call mv "$@"; }
rm() { call rm "$@"; }
cmp() { call cmp "$@"; }
readlink() { call readlink "$@"; }
tr() {
  local text from
  IFS= read -r -d '' text
  case $* in
    "-d "*) printf -v from %b "$2" && printf %s "${text//"$from"/}" ;;
    *) printf -v from %b "$1" && printf %s "${text//"$from"/"$2"}" ;;
  esac
}
sort() {
  local text
  IFS= read -r -d '' text
  printf %s "$text"
}
comm() {
  local line before
  IFS= read -r -d '' before <"$2"
  while read -r line; do case $before in *"$line"*) ;; *) printf '%s\n' "$line" ;; esac; done
}
cat() {
  local text
  IFS= read -r -d '' text <"$1"
  printf %s "$text"
}
nix-env() { call nix-env "$@"; }
timeout() {
  case $1 in --*) shift ;; esac
  shift
  case $1 in */bin/switch-to-configuration) call switch "$@" ;; *) "$@" ;; esac
}
"#;

/// Has each command wait.
const TRACE: &str = r#"set -T
trap '[[ " call cat comm sort tr " = *" ${FUNCNAME[0]-.} "* ]] || { echo . >&3; read -r <&4; }' DEBUG
"#;

/// What the script is told to do, as `Goal` in `src/host/nixos/change.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Goal {
    /// To run this on trial, with `a` and `e` begun anew, of which `e` is stopped for good before.
    Try(System),
    /// To run this on trial, where nobody is asked to be begun anew.
    TryBeside(System),
    Keep(System),
    Confirm,
    Revert,
}

impl Goal {
    /// What is to be run, where it is told.
    pub(crate) fn wanted(self) -> Option<System> {
        match self {
            Self::Try(system) | Self::TryBeside(system) | Self::Keep(system) => Some(system),
            Self::Confirm | Self::Revert => None,
        }
    }

    /// The variables that `Goal::script` writes before the script. Deadlines are half a minute after the machine's clock.
    fn told(self, systems: &Path) -> String {
        let what = match self {
            Self::Try(_) | Self::TryBeside(_) => "try",
            Self::Keep(_) => "keep",
            Self::Confirm => "confirm",
            Self::Revert => "revert",
        };
        let new = self.wanted().map(|system| systems.join(system).display().to_string()).unwrap_or_default();
        let anew = if matches!(self, Self::Try(_)) { "a=130000 e=-" } else { "" };
        let deadline = if matches!(self, Self::Try(_) | Self::Revert) { "130000" } else { "-" };
        format!(
            "what={what}\nnew='{new}'\nmade=\nanew='{anew}'\ndeadline={deadline}\npatience=1\nreach=1\nlongest=600\n"
        )
    }
}

/// What came of a run of the script.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What the machine was, in order, each once.
    pub(crate) instants: Vec<World>,
    /// What it was in the end.
    pub(crate) end: World,
    /// The first word of what the script said last.
    pub(crate) phase: String,
    /// How many commands the shell ran.
    pub(crate) commands: usize,
}

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To its end, and note is taken of each instant.
    End,
    /// To its end, and note is taken where a program is called only, which is faster: that is where all but its own notes changes.
    EndUntraced,
    /// Until the command of this number, before which it is killed.
    Killed(usize),
}

/// Whether a call changes nothing: what was written before it is seen at the next one as well.
fn only_looks(words: &[&str]) -> bool {
    matches!(
        words,
        ["readlink" | "cmp" | "sleep", ..]
            | ["systemctl", "show" | "list-units" | "thaw" | "reset-failed", ..]
    )
}

/// What programs do that only deal with files, without the time that it takes to start them.
fn files(words: &[&str]) -> Option<(u8, String)> {
    let is_done = match words {
        ["mkdir", "-p", paths @ ..] => paths.iter().all(|path| fs::create_dir_all(path).is_ok()),
        ["mv", from, to] => fs::rename(from, to).is_ok(),
        ["rm", "-f", paths @ ..] => {
            paths.iter().for_each(|path| drop(fs::remove_file(path)));
            true
        }
        ["cmp", "-s", one, other] => fs::read(one).ok() == fs::read(other).ok(),
        ["readlink", "-f", path] => {
            let to = fs::canonicalize(path).expect("all links lead somewhere");
            return Some((0, format!("{}\\n", to.display())));
        }
        _ => return None,
    };
    Some((u8::from(!is_done), String::new()))
}

/// Directories for runs, one after the other.
pub(crate) struct Lab {
    place: PathBuf,
    systems: PathBuf,
}

impl Lab {
    /// Makes the systems.
    pub(crate) fn systems(root: &Path) -> PathBuf {
        let systems = root.join("systems");
        for (system, nodes) in SYSTEMS {
            let units = systems.join(system).join("etc/systemd/system");
            fs::create_dir_all(&units).unwrap();
            for (node, document) in nodes {
                fs::write(units.join(format!("octad-{node}.service")), format!("document {document}\n"))
                    .unwrap();
            }
            let program = systems.join(system).join("bin/switch-to-configuration");
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        systems
    }

    pub(crate) fn new(root: &Path, name: &str) -> Self {
        Self { place: root.join(name), systems: root.join("systems") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Has the machine's files be those of a world.
    fn lay_out(&self, world: &World) {
        let _ = fs::remove_dir_all(&self.place);
        fs::create_dir_all(self.at("state/stopped")).unwrap();
        fs::create_dir_all(self.at("run")).unwrap();
        for (path, kept) in &world.files {
            if let Some(text) = &kept.written {
                fs::write(self.at("state").join(path), text).unwrap();
            }
        }
        fs::write(self.at("boot_id"), format!("{}\n", world.boot)).unwrap();
        self.lead(world);
    }

    fn set_clock(&self, uptime: &str) {
        fs::write(self.at("uptime"), format!("{uptime} 0.00\n")).unwrap();
    }

    /// Has the links lead to what the world runs and boots.
    fn lead(&self, world: &World) {
        for (name, system) in [("current-system", world.current), ("profile", world.profile.written)] {
            let _ = fs::remove_file(self.at(name));
            symlink(self.systems.join(system), self.at(name)).unwrap();
        }
    }

    /// The files of the state directory.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for directory in ["", "stopped/"] {
            for entry in fs::read_dir(self.at("state").join(directory)).unwrap() {
                let entry = entry.unwrap();
                // It may have been renamed meanwhile.
                if entry.file_type().unwrap().is_file()
                    && let Ok(text) = fs::read_to_string(entry.path())
                {
                    files.insert(format!("{directory}{}", entry.file_name().to_str().unwrap()), text);
                }
            }
        }
        files
    }

    /// Starts the shell: it, where it asks, where it is let on, and where it is answered.
    fn shell(
        &self,
        script: &str,
        goal: Goal,
        trace: &str,
    ) -> (Child, BufReader<PipeReader>, PipeWriter, PipeWriter) {
        let place = self.place.display();
        let mut script = script.to_owned();
        for (path, name) in [
            ("/var/lib/octad-deploy", "state"),
            ("/run/octad-deploy", "run"),
            ("/run/current-system", "current-system"),
            ("/nix/var/nix/profiles/system", "profile"),
            ("/proc/sys/kernel/random/boot_id", "boot_id"),
            ("/proc/uptime", "uptime"),
        ] {
            assert!(script.contains(path), "the script has no {path}");
            script = script.replace(path, &format!("{place}/{name}"));
        }
        let ((go, let_on), (answer, answers), (asked, ask)) =
            (std::io::pipe().unwrap(), std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", &format!("{PRELUDE}{trace}{}{script}", goal.told(&self.systems))]);
        command.env("LC_ALL", "C").stdin(go).stdout(ask).stderr(Stdio::from(answer)).process_group(0);
        (command.spawn().expect("bash is here"), BufReader::new(asked), let_on, answers)
    }

    /// Runs a script from a world.
    pub(crate) fn run(&self, script: &str, begun: &World, goal: Goal, outcome: Outcome, until: Until) -> Run {
        self.lay_out(begun);
        self.set_clock(if outcome.late == Late::AtOnce { "200.00" } else { "100.00" });
        let mut instants: Vec<World> = vec![begun.clone()];
        let mut note = |world: &World| {
            if instants.last() != Some(world) {
                instants.push(world.clone());
            }
        };
        let mut stand_ins = StandIns {
            world: begun.clone(),
            wanted: goal.wanted(),
            outcome,
            has_failed: false,
            note: &mut note,
        };
        let (mut shell, mut asked, mut let_on, mut answers) =
            self.shell(script, goal, if until == Until::EndUntraced { "" } else { TRACE });
        let (mut line, mut commands) = (String::new(), 0);
        while asked.read_line(&mut line).unwrap() > 0 {
            let words: Vec<&str> = line.split_whitespace().collect();
            if until != Until::EndUntraced || !only_looks(&words) {
                stand_ins.world.see(&self.files());
                (stand_ins.note)(&stand_ins.world);
            }
            if words == ["."] {
                commands += 1;
                if until == Until::Killed(commands) {
                    let group = rustix::process::Pid::from_child(&shell);
                    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
                    break;
                }
                // Who is killed meanwhile reads no more.
                let _ = let_on.write_all(b"\n");
            } else {
                let (code, said, also) = match files(&words) {
                    Some((code, said)) => (code, said, Also::Nothing),
                    None => stand_ins.call(&words),
                };
                match also {
                    Also::Nothing => {}
                    Also::Moved => self.lead(&stand_ins.world),
                    Also::Listed if outcome.late == Late::AtLast => self.set_clock("200.00"),
                    Also::Wait if outcome.is_reached => fs::write(self.at("run/reached"), "").unwrap(),
                    Also::Listed | Also::Wait => {}
                }
                answers.write_all(format!("{code} {said}\n").as_bytes()).unwrap();
            }
            line.clear();
        }
        shell.wait().unwrap();
        stand_ins.world.see(&self.files());
        (stand_ins.note)(&stand_ins.world);
        let end = stand_ins.world;
        let phase = fs::read_to_string(self.at("run/phase")).unwrap_or_default();
        let phase = phase.split_whitespace().next().unwrap_or_default().to_owned();
        Run { instants, end, phase, commands }
    }
}
