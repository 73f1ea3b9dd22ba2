//! What people read when something is wrong: each failure tells what was tried, where, why, what changed and what to
//! do next. No server is started here.

#[path = "support/made.rs"]
mod made;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use insta::assert_snapshot;
use octad::engine::Lock;
use octad::tool::{self, Environment, Lack, Tool};
use serde_json::Value;
use tempfile::TempDir;

/// Addresses of these tests' own.
const STACK: &str = "program = \"minimal\"\n[hosts]\nsubnet = \"127.90.20.0/24\"\n";

/// How tools are had here. The package lists are read for it, which takes a second.
static HOW_TO_GET: LazyLock<[(&str, String); 2]> = LazyLock::new(|| {
    [tool::JAVA, tool::MAVEN].map(|name| (name, tool::how_to_get(&[Lack::of(Tool::named(name))])))
});

/// A directory in which octad is run, and the variables that it is run with.
struct Bench {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
    hidden: Vec<&'static str>,
}

impl Bench {
    fn new() -> Self {
        let hidden = vec!["OCTAD_STACK", "OCTAD_STATE_DIR", "OCTAD_ARTIFACTS", "OCTAD_JAVA", "JAVA_HOME"];
        Self { directory: tempfile::tempdir().unwrap(), variables: vec![], hidden }
    }

    /// A bench with a stack file.
    fn with(file: &str, text: &str) -> Self {
        let bench = Self::new();
        bench.write(file, text);
        bench
    }

    fn set(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.hidden.retain(|hidden| *hidden != variable);
        self.variables.push((variable, value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn program(&self, name: &str, body: &str) -> String {
        self.write(name, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(name).display().to_string()
    }

    /// Runs octad, which must end with this code; its result.
    #[track_caller]
    fn succeeds(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs octad; its exit code and what it says of its failure, without what differs from run to run.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        let failure = said.find("error: ").map_or(said.as_str(), |at| &said[at..]);
        let mut told = failure.replace(&*self.directory.path().to_string_lossy(), "[DIR]");
        // Packages are the distribution's.
        for (name, how) in &*HOW_TO_GET {
            told = told.replace(how, &format!("[HOW TO GET {name}]"));
        }
        format!("exit {}\n{told}", output.status.code().unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octad"));
        // As one calls it who has it on the PATH: hints repeat it.
        command.arg0("octad");
        for hidden in &self.hidden {
            command.env_remove(hidden);
        }
        command
            .current_dir(self.directory.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Asserts that nothing of the stack lies on the disk.
    #[track_caller]
    fn assert_untouched(&self) {
        assert!(!self.path(".octad").exists(), "nothing is left behind");
    }

    /// A stack that counts as made, of which nothing runs.
    fn made(&self, name: &str, text: &str) {
        made::made(&self.path(".octad").join(name), name, text);
    }
}

fn java() -> String {
    Environment::from_process().program("java").expect("these tests need Java").display().to_string()
}

#[test]
fn without_java() {
    let bench =
        Bench::with("here.toml", STACK).set("PATH", "/nonexistent").set("OCTAD_ARTIFACTS", "/no/jars");
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: this machine lacks java
      because no Java was found; looked for java on PATH
      nothing was changed
    hint: [HOW TO GET java], then the same command again
    ");
    let bench = bench.set("JAVA_HOME", "/no/jdk");
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: this machine lacks java
      because no Java was found; looked for $JAVA_HOME/bin/java (/no/jdk/bin/java), then java on PATH
      nothing was changed
    hint: [HOW TO GET java], then the same command again
    ");
    let bench = bench.set("OCTAD_JAVA", "/no/java");
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: could not prepare for the change
      because no Java was found; looked for $OCTAD_JAVA (/no/java)
      nothing was changed
    hint: [HOW TO GET java], or set OCTAD_JAVA to a java program
    ");
    bench.assert_untouched();
}

#[test]
fn with_a_java_that_is_too_old() {
    let bench = Bench::with("here.toml", STACK);
    let java = bench.program("old/java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2");
    let bench = bench.set("OCTAD_JAVA", java);
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: could not prepare for the change
      because [DIR]/old/java is Java 11.0.2; Java 17 or newer is needed
      nothing was changed
    hint: [HOW TO GET java], or set OCTAD_JAVA to a java program of version 17 or newer
    ");
    bench.assert_untouched();
}

#[test]
fn without_maven_and_without_jars() {
    let bench = Bench::with("here.toml", STACK).set("OCTAD_JAVA", java()).set("PATH", "/nonexistent");
    let store = bench.path("store").display().to_string();
    let bench = bench.set("OCTAD_STORE", store);
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: this machine lacks mvn
      because 17 jars of zookeeper 3.9.5 are missing from [DIR]/store and Maven, which fetches them, is not on PATH
      nothing was changed
    hint: [HOW TO GET mvn], then the same command again
    ");
    bench.assert_untouched();
}

#[test]
fn with_a_maven_that_is_offline_and_without_jars() {
    let bench = Bench::with("here.toml", STACK);
    bench.write("home/.m2/settings.xml", "<settings><offline>true</offline></settings>");
    let (store, home) = (bench.path("store").display().to_string(), bench.path("home").display().to_string());
    // Java takes the home directory from the user database and not from HOME, hence the property.
    let options = format!("-Duser.home={home}");
    let bench = bench.set("OCTAD_STORE", store).set("HOME", home).set("MAVEN_OPTS", options);
    let told = bench.fails(&["up", "--yes", "--stack", "here.toml"]);
    // Which plugin is missed first, and how that is said, is Maven's own.
    let (before, rest) = told.split_once("  because Plugin ").unwrap_or_else(|| panic!("{told}"));
    let (of_maven, after) = rest.split_once('\n').unwrap();
    assert!(of_maven.contains("in offline mode"), "{told}");
    assert_snapshot!(format!("{before}  because [MAVEN]\n{after}"), @"
    exit 1
    error: could not prepare for the change
      because 17 jars of zookeeper 3.9.5 are missing and Maven could not reach a repository that has them
      because [MAVEN]
      nothing was changed
    hint: connect to the network once (mirror and proxy come from Maven's settings.xml), or set OCTAD_ARTIFACTS to a directory with the jars
    ");
    bench.assert_untouched();
}

#[test]
fn with_jars_that_are_supplied_in_part() {
    let bench = Bench::with("here.toml", STACK);
    let supplied = bench.path("supplied").display().to_string();
    let bench = bench.set("OCTAD_ARTIFACTS", supplied);
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: could not prepare for the change
      because OCTAD_ARTIFACTS does not supply ch.qos.logback:logback-classic:1.3.15 for zookeeper 3.9.5 at [DIR]/supplied/jars/06c68fb7468143c3c6512d13bb8eb6676724b019330de3a5ab493e267dde2084-logback-classic-1.3.15.jar
      because it is missing
      nothing was changed
    hint: supply the jar, or unset OCTAD_ARTIFACTS to have Maven fetch it
    ");
    bench.assert_untouched();
}

#[test]
fn on_a_port_that_is_taken() {
    let bench = Bench::with("here.toml", &STACK.replace(".20.", ".24."));
    let _listener = TcpListener::bind("127.90.24.101:9092").unwrap();
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @r#"
    exit 1
    error: could not prepare for the change
      because broker-1 needs 127.90.24.101:9092, which another process listens on
      nothing was changed
    hint: `ss -ltnp 'sport = :9092'` tells who listens there. If that is another stack of yours, have it stop where it was made, which keeps its data; or give this stack other addresses with `subnet = "127.x.y.0/24"` under [hosts]
    "#);
    bench.assert_untouched();
    let text = fs::read_to_string(bench.path("here.toml")).unwrap();
    bench.write("here.toml", &text.replace("127.90.24.0", "192.0.2.0"));
    assert_snapshot!(bench.fails(&["up", "--yes", "--stack", "here.toml"]), @"
    exit 1
    error: could not prepare for the change
      because zk-1 needs the address 192.0.2.11:2181, which this machine can't listen on
      because Cannot assign requested address (os error 99)
      nothing was changed
    hint: give this stack addresses within 127.0.0.0/8 with `subnet` under [hosts]
    ");
    bench.assert_untouched();
}

#[test]
fn with_a_stack_file_that_asks_for_the_impossible() {
    let file = |text: &str| Bench::with("it.toml", text).fails(&["up", "--yes", "--stack", "it.toml"]);
    assert_snapshot!(file("program = \"ha\"\n[zookeeper]\nservers = 2\n"), @"
    exit 64
    error: zookeeper.servers: an ensemble of 2 servers can't be
     --> it.toml:3:11
      |
    3 | servers = 2
      |           ^
      |
    help: 2 tolerate no more failures than 1: write 1 or 3

    error: the stack file can't be used
    ");
    assert_snapshot!(file("program = \"ha\"\n[kafka]\nbrokers = 2\nreplication-factor = 3\n"), @"
    exit 64
    error: kafka.replication-factor: 3 replicas can't be on 2 brokers
     --> it.toml:4:22
      |
    4 | replication-factor = 3
      |                      ^
      |
    help: write 1 to 2, or more brokers

    error: the stack file can't be used
    ");
    assert_snapshot!(
        file("program = \"ha\"\n[kafka]\nreplication-factor = 3\nmin-insync-replicas = 4\n"), @"
    exit 64
    error: kafka.min-insync-replicas: 4 of 3 replicas can't be in sync
     --> it.toml:4:23
      |
    4 | min-insync-replicas = 4
      |                       ^
      |
    help: write 2: then one replica may be away while records are still taken

    error: the stack file can't be used
    ");
    let settings = "program = \"ha\"\n[zookeeper.settings]\nsyncLimit = 13\n[kafka.settings]\n\
                    \"zookeeper.session.timeout.ms\" = 13000\n";
    assert_snapshot!(file(settings), @r#"
    exit 64
    error: zookeeper.settings.syncLimit: a ZooKeeper leader that stands still keeps its followers for 13000 ms (syncLimit × tickTime), and sessions last 13000 ms: as it wakes, it would end all of them
     --> it.toml:3:13
      |
    3 | syncLimit = 13
      |             ^^
      |
    help: write `syncLimit` = 12 or less, or a longer `zookeeper.session.timeout.ms`

    error: kafka.settings.zookeeper.session.timeout.ms: a broker that can't receive keeps a session of 13000 ms for 22667 ms (5/3 and a tick), and its followers stay in the ISR for 22000 ms: then nobody may lead in its place
     --> it.toml:5:34
      |
    5 | "zookeeper.session.timeout.ms" = 13000
      |                                  ^^^^^
      |
    help: write `zookeeper.session.timeout.ms` = 12599 or less, or `replica.lag.time.max.ms` over 22667

    error: the stack file can't be used
    "#);
    assert_snapshot!(file("program = \"ha\"\n[kafka]\nversion = \"4.0.0\"\n"), @r#"
    exit 64
    error: kafka.version: octad carries no kafka 4.0.0
     --> it.toml:3:11
      |
    3 | version = "4.0.0"
      |           ^^^^^^^
      |
    help: known versions of kafka: 3.9.2

    error: the stack file can't be used
    "#);
    assert_snapshot!(file("program = \"ha\"\n[hosts]\nbackend = \"azure\"\n"), @r#"
    exit 64
    error: hosts.backend: there is no host backend `azure`
     --> it.toml:3:11
      |
    3 | backend = "azure"
      |           ^^^^^^^
      |
    help: known: local, nixos

    error: the stack file can't be used
    "#);
}

#[test]
fn with_a_stack_file_that_says_what_nobody_knows() {
    let file = |text: &str| Bench::with("it.toml", text).fails(&["preview", "--stack", "it.toml"]);
    assert_snapshot!(file("program = \"ha\"\n[kafka]\nbrokrs = 5\n"), @"
    exit 64
    error: kafka.brokrs: there is no key `brokrs` here
     --> it.toml:3:1
      |
    3 | brokrs = 5
      | ^^^^^^
      |
    help: did you mean `brokers`?

    error: the stack file can't be used
    ");
    assert_snapshot!(file("program = \"ah\"\n"), @r#"
    exit 64
    error: program: there is no program `ah`
     --> it.toml:1:11
      |
    1 | program = "ah"
      |           ^^^^
      |
    help: known: ha, minimal

    error: the stack file can't be used
    "#);
    assert_snapshot!(file("[kafka]\nbrokers = 5\n"), @r#"
    exit 64
    error: program: the line `program = "…"` is missing
    --> it.toml
     |
    help: known: ha, minimal

    error: the stack file can't be used
    "#);
    assert_snapshot!(file("program = \"ha\"\n[kafka]\nbrokers = \"five\"\n"), @r#"
    exit 64
    error: kafka.brokers: invalid type: string "five"
     --> it.toml:3:11
      |
    3 | brokers = "five"
      |           ^^^^^^
      |
    help: write a whole number from 0 to 65535

    error: the stack file can't be used
    "#);
    assert_snapshot!(file("program = \"ha\"\n[kafka\n"), @"
    exit 64
    error: unclosed table, expected `]`
     --> it.toml:2:7
      |
    2 | [kafka
      |       ^

    error: the stack file can't be used
    ");
}

#[test]
fn with_several_faults_all_are_told_at_once() {
    let text = r#"
program = "ha"
[hosts]
subnet = "127.90.20.0/16"
[zookeeper]
servers = 4
[kafka]
brokers = 2
heap-mib = 64
[kafka.settings]
"broker.id" = 7
[topics."page views"]
partitions = 1
[topics.activity]
partitions = 0
replication-factor = 2
"#;
    assert_snapshot!(Bench::with("it.toml", text).fails(&["up", "--stack", "it.toml"]), @r#"
    exit 64
    error: hosts.subnet: `127.90.20.0/16` is not a subnet of 256 addresses
     --> it.toml:4:10
      |
    4 | subnet = "127.90.20.0/16"
      |          ^^^^^^^^^^^^^^^^
      |
    help: write it like 127.80.1.0/24

    error: zookeeper.servers: an ensemble of 4 servers can't be
     --> it.toml:6:11
      |
    6 | servers = 4
      |           ^
      |
    help: 4 tolerate no more failures than 3: write 3 or 5

    error: kafka.replication-factor: 3 replicas can't be on 2 brokers
     --> it.toml:7:1
      |
    7 | [kafka]
      | ^^^^^^^
      |
    help: write 1 to 2, or more brokers

    error: kafka.heap-mib: 64 MiB are too little for a broker
     --> it.toml:9:12
      |
    9 | heap-mib = 64
      |            ^^
      |
    help: write 128 or more: 384 to 448 for a machine of 1 GB

    error: kafka.settings.broker.id: `broker.id` is set by Octad itself
      --> it.toml:11:15
       |
    11 | "broker.id" = 7
       |               ^
       |
    help: ids follow from the number of brokers

    error: topics.page views: `page views` is not a topic name: 1 to 249 letters, digits, dots, underscores or hyphens, not `.` or `..`
      --> it.toml:12:1
       |
    12 | [topics."page views"]
       | ^^^^^^^^^^^^^^^^^^^^^

    error: topics.activity.partitions: 0 partitions can't be
      --> it.toml:15:14
       |
    15 | partitions = 0
       |              ^
       |
    help: write 1 to 100000

    error: the stack file can't be used
    "#);
}

#[test]
fn for_a_stack_that_is_not_there() {
    let bench = Bench::new();
    assert_snapshot!(bench.fails(&["up", "--stack", "production"]), @"
    exit 64
    error: there is no stack `production`: neither a file stacks/production.toml nor one that needs none (ha, minimal)
    hint: `--stack FILE` takes the file of a stack of your own, `--stack ha` one that needs none
    ");
    assert_snapshot!(bench.fails(&["up", "--stack", "stacks/mine.toml"]), @"
    exit 64
    error: there is no stack file stacks/mine.toml
    hint: `--stack FILE` takes the file of a stack of your own, `--stack ha` one that needs none
    ");
    assert_snapshot!(bench.fails(&["status", "--stack", "minimal"]), @"
    exit 1
    error: there is no stack minimal in .octad
    hint: `octad up --stack minimal` makes it; if it was made elsewhere, `octad refresh --stack minimal` takes over what machines run, or name that place with --state-dir
    ");
    let told = bench.fails(&["status", "--stack", "minimal"]);
    for verb in ["outputs", "logs", "stop", "destroy"] {
        assert_eq!(bench.fails(&[verb, "--stack", "minimal"]), told, "{verb}");
    }
    bench.write("Mine.toml", STACK);
    assert_snapshot!(bench.fails(&["up", "--stack", "Mine.toml"]), @"
    exit 64
    error: a stack is named after its file
      because `Mine` is not a name: 1 to 63 lower-case letters, digits or hyphens, with a letter or digit at both ends
    hint: rename the file, to `my-cluster.toml` for instance
    ");
    bench.assert_untouched();
}

#[test]
fn without_consent() {
    let bench = Bench::with("here.toml", STACK);
    assert_snapshot!(bench.fails(&["up", "--stack", "here.toml"]), @"
    exit 64
    error: `up` changes things and needs your consent
      nothing was changed
    hint: add `--yes`, or run it on a terminal
    ");
    bench.assert_untouched();
    bench.made("here", STACK);
    assert_snapshot!(bench.fails(&["destroy", "--stack", "here.toml"]), @"
    exit 64
    error: `destroy` changes things and needs your consent
      nothing was changed
    hint: add `--yes`, or run it on a terminal
    ");
    assert_snapshot!(bench.fails(&["stop", "--stack", "here.toml"]), @"
    exit 64
    error: `stop` changes things and needs your consent
      nothing was changed
    hint: add `--yes`, or run it on a terminal
    ");
    assert!(bench.path(".octad/here").exists(), "what was not to be removed is there");
}

#[test]
fn for_nodes_and_outputs_that_are_not_there() {
    let bench = Bench::new();
    bench.made("minimal", STACK);
    assert_snapshot!(bench.fails(&["logs", "broker-9", "--stack", "minimal"]), @"
    exit 64
    error: the stack minimal has no node `broker-9`
    hint: it has: broker-1, zk-1
    ");
    assert_snapshot!(bench.fails(&["outputs", "bootstrap", "--stack", "minimal"]), @"
    exit 64
    error: the stack minimal has no output `bootstrap`
    hint: it has: bootstrap servers, zookeeper connect
    ");
}

#[test]
fn while_another_octad_works_on_the_stack() {
    let bench = Bench::new();
    bench.made("minimal", STACK);
    let _lock = Lock::take(&bench.path(".octad/minimal"), "up").unwrap();
    let told = ["up", "stop", "destroy"].map(|verb| bench.fails(&[verb, "--yes", "--stack", "minimal"]));
    assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
    let (before, rest) = told[0].split_once(" of ").unwrap();
    let (holder, after) = rest.split_once(")\n").unwrap();
    assert!(holder.contains(&format!("(process {}, since 2", std::process::id())), "{holder}");
    assert_snapshot!(format!("{before} of [HOLDER])\n{after}"), @"
    exit 12
    error: the stack is locked by `octad up` of [HOLDER])
      nothing was changed
    hint: wait for it, with `--lock-timeout 10m`, or `octad cancel --stack minimal` to have it stop
    ");
}

#[test]
fn with_a_state_that_is_not_readable() {
    let bench = Bench::new();
    bench.made("minimal", STACK);
    let journal = bench.path(".octad/minimal").join("journal.ndjson");
    let state = bench.path(".octad/minimal").join("state.json");
    let _ = fs::remove_file(&journal);
    let told = |text: &str| {
        fs::write(&state, text).unwrap();
        fs::write(state.with_file_name("state.copy.json"), text).unwrap();
        bench.fails(&["up", "--yes", "--stack", "minimal"])
    };
    assert_snapshot!(told("{ not JSON"), @"
    exit 1
    error: [DIR]/.octad/minimal/state.json is damaged
      because key must be a string at line 1 column 3
    hint: nothing was lost yet: put a copy of [DIR]/.octad/minimal/state.json aside before anything else, and restore it from a backup
    ");
    let other = r#"{"format":4,"stack":"other","serial":0,"resources":{},"groups":{},"outputs":{}}"#;
    assert_snapshot!(told(other), @"
    exit 1
    error: [DIR]/.octad/minimal/state.json belongs to the stack `other`, not to `minimal`
    hint: use another --stack or --state-dir
    ");
    assert_snapshot!(told(&other.replace("\"format\":4", "\"format\":99")), @"
    exit 1
    error: [DIR]/.octad/minimal/state.json has format 99, and this Octad knows formats up to 4
    hint: use the newer Octad that wrote it
    ");
    assert_eq!(
        fs::read_to_string(&state).unwrap(),
        other.replace("\"format\":4", "\"format\":99"),
        "left alone"
    );
}

#[test]
fn on_a_wrong_command_line() {
    let bench = Bench::new();
    assert_snapshot!(bench.fails(&["frobnicate"]), @"
    exit 64
    error: unrecognized subcommand 'frobnicate'

    Usage: octad [OPTIONS] [COMMAND]

    For more information, try '--help'.
    ");
    assert_snapshot!(bench.fails(&["up", "--parallel", "0"]), @"
    exit 64
    error: invalid value '0' for '--parallel <N>': 0 is not in 1..=65535

    For more information, try '--help'.
    ");
    assert_snapshot!(bench.fails(&["logs", "--since", "yesterday"]), @"
    exit 64
    error: invalid value 'yesterday' for '--since <TIME>': expected number at 0

    For more information, try '--help'.
    ");
    assert_snapshot!(bench.fails(&["status", "--output", "xml"]), @"
    exit 64
    error: invalid value 'xml' for '--output <OUTPUT>'
      [possible values: text, json, ndjson]

    For more information, try '--help'.
    ");
}

#[test]
fn failures_are_for_scripts_too() {
    let output = Command::new(env!("CARGO_BIN_EXE_octad"))
        .args(["--output", "ndjson", "--stack", "production", "up"])
        .current_dir(Path::new("/"))
        .output()
        .unwrap();
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &event["failure"]["code"]), (Some(64), &Value::from(64)));
    assert_eq!(
        event["failure"]["message"],
        "there is no stack `production`: neither a file stacks/production.toml nor one that needs none (ha, minimal)"
    );
}

#[test]
fn faults_of_a_stack_file_are_for_scripts_too() {
    let bench = Bench::with("it.toml", "program = \"ha\"\n[kafka]\nbrokrs = 5\nheap-mib = true\n");
    let output = Command::new(env!("CARGO_BIN_EXE_octad"))
        .args(["--output", "ndjson", "--stack", "it.toml", "preview"])
        .current_dir(bench.directory.path())
        .output()
        .unwrap();
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&event["failure"]["faults"]).unwrap(), @r#"
    [
      {
        "column": 1,
        "file": "it.toml",
        "hint": "did you mean `brokers`?",
        "line": 3,
        "message": "there is no key `brokrs` here",
        "path": "kafka.brokrs",
        "value": "brokrs"
      },
      {
        "column": 12,
        "file": "it.toml",
        "hint": "write a whole number from 0 to 4294967295",
        "line": 4,
        "message": "invalid type: boolean `true`",
        "path": "kafka.heap-mib",
        "value": "true"
      }
    ]
    "#);
}

#[test]
fn a_saved_plan_of_another_stack() {
    let bench = Bench::with("here.toml", STACK);
    bench.write("there.toml", &STACK.replace(".20.0", ".21.0"));
    bench.succeeds(&["preview", "--stack", "here.toml", "--save-plan", "a.plan"], 0);
    assert_snapshot!(bench.fails(&["up", "--stack", "there.toml", "--plan", "a.plan"]), @"
    exit 64
    error: the plan a.plan is for the stack `here`, not for `there`
      nothing was changed
    hint: `octad up --stack here` takes it
    ");
    assert_snapshot!(bench.fails(&["preview", "--stack", "here.toml", "--save-plan", "no/a.plan"]), @"
    exit 1
    error: could not save the plan to no/a.plan
      because No such file or directory (os error 2)
      nothing was changed
    hint: name a file in a directory that exists and can be written
    ");
    bench.assert_untouched();
}

#[test]
fn changes_where_none_is_expected() {
    let bench = Bench::with("here.toml", STACK);
    bench.succeeds(&["preview", "--stack", "here.toml", "--detailed-exitcode"], 2);
    assert_snapshot!(bench.fails(&["preview", "--stack", "here.toml", "--expect-no-changes"]), @"
    exit 1
    error: 4 changes of the stack here are to be made, and none was expected
      nothing was changed
    hint: `octad preview --stack here.toml` shows what differs from the stack file, `octad up --stack here.toml` makes it so
    ");
    assert_snapshot!(bench.fails(&["up", "--stack", "here.toml", "--expect-no-changes"]), @"
    exit 1
    error: 4 changes of the stack here are to be made, and none was expected
      nothing was changed
    hint: `octad preview --stack here.toml` shows what differs from the stack file, `octad up --stack here.toml` makes it so
    ");
    bench.assert_untouched();
}

#[test]
fn a_target_that_nothing_is_named() {
    let bench = Bench::with("here.toml", STACK);
    assert_snapshot!(bench.fails(&["up", "--stack", "here.toml", "--target", "broker-2"]), @"
    exit 64
    error: the stack here has nothing named `broker-2`
      nothing was changed
    hint: did you mean `broker-1`?
    ");
    bench.assert_untouched();
}

#[test]
fn files_that_are_to_be_are_shown_before_anything_exists() {
    let bench = Bench::with("here.toml", STACK);
    let shown = bench.succeeds(&["preview", "--stack", "here.toml", "--diff"], 0);
    assert!(shown.contains("server.properties (broker-1)"), "{shown}");
    assert!(shown.contains("+advertised.listeners=PLAINTEXT://127.90.20."), "{shown}");
    let json = bench.succeeds(&["preview", "--stack", "here.toml", "--diff", "--output", "json"], 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"][0]["nodes"], serde_json::json!(["zk-1"]));
    bench.assert_untouched();
}
