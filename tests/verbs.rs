//! Verbs of the real program that start no server: the state, its history, facts and the diagram.

#[path = "support/made.rs"]
mod made;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use octad::engine::Lock;
use octad::model::{DEPLOYMENT_VERSION, Deployment};
use serde_json::Value;
use tempfile::TempDir;

const STACK: &str =
    "program = \"minimal\"\n[hosts]\nsubnet = \"127.90.21.0/24\"\n[topics.orders]\npartitions = 2\n";

/// A directory with a stack file, and a stack that counts as made, of which nothing exists.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        fs::write(bench.0.path().join("here.toml"), STACK).unwrap();
        bench
    }

    fn made() -> Self {
        let bench = Self::new();
        made::made(&bench.site(), "here", STACK);
        bench
    }

    fn site(&self) -> PathBuf {
        self.0.path().join(".octad/here")
    }

    /// The exit code, the results and what was said beside them.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octad"));
        for hidden in ["OCTAD_STACK", "OCTAD_STATE_DIR"] {
            command.env_remove(hidden);
        }
        let output = command
            .arg0("octad")
            .current_dir(self.0.path())
            .args(arguments)
            .args(["--stack", "here.toml"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// What octad writes on a terminal.
    fn on_terminal(&self, arguments: &str) -> String {
        let octad = env!("CARGO_BIN_EXE_octad");
        let output = Command::new("script")
            .args(["-qec", &format!("{octad} {arguments} --stack here.toml"), "/dev/null"])
            .current_dir(self.0.path())
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, said) = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!((code, said.as_str()), (0, ""));
        serde_json::from_str(&out).unwrap()
    }
}

#[test]
fn the_state_is_listed_and_shown() {
    let bench = Bench::made();
    assert_snapshot!(bench.run(&["state", "list"]).1, @r"
    KIND   NAME      NOTE
    host   broker-1
    host   zk-1
    node   broker-1
    node   zk-1
    topic  orders
    ");
    let shown = bench.run(&["state", "show", "orders"]).1;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["kind"], &shown["inputs"]["partitions"]), (&"topic".into(), &2.into()));
    let (code, _, said) = bench.run(&["state", "show", "zk-1"]);
    assert_snapshot!(format!("exit {code}\n{said}"), @r"
    exit 64
    error: `zk-1` is the name of several resources
    hint: say which: host/zk-1, node/zk-1
    ");
}

#[test]
fn the_state_is_edited_with_consent_only_and_the_history_tells_of_it() {
    let bench = Bench::made();
    let (code, _, said) = bench.run(&["state", "rm", "topic/orders"]);
    assert_snapshot!(format!("exit {code}\n{said}"), @r"
    exit 64
    error: `state rm` changes things and needs your consent
      nothing was changed
    hint: add `--yes`, or run it on a terminal
    ");
    assert_eq!(bench.json(&["state", "list"]).as_array().unwrap().len(), 5);
    assert_eq!(bench.json(&["history"]), Value::Array(vec![]));

    assert_eq!(bench.run(&["state", "rm", "topic/orders", "--yes"]).0, 0);
    assert_eq!(bench.run(&["state", "unprotect", "node/zk-1", "--yes"]).0, 0);
    let listed = bench.json(&["state", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[3]["unprotected"], true);
    let history = bench.json(&["history"]);
    let told = |place: usize, field: &str| history[place][field].as_str().unwrap().to_owned();
    assert_eq!([told(0, "verb"), told(1, "verb")], ["state unprotect", "state rm"]);
    assert_eq!(history[1]["changes"][0], "forget topic/orders");
    assert_eq!(history[1]["result"]["result"], "ok");
    assert!(told(1, "by").contains('@') && told(1, "begun").ends_with('Z'), "{history}");
    assert_eq!(bench.json(&["history", "--limit", "1"]).as_array().unwrap().len(), 1);
}

#[test]
fn drift_is_a_failure_where_none_is_expected() {
    let bench = Bench::made();
    let before = fs::read(bench.site().join("journal.ndjson")).unwrap();
    let (code, out, said) = bench.run(&["refresh", "--expect-no-changes"]);
    assert_snapshot!(format!("exit {code}\n{out}{said}"), @"
    exit 1
    Drift of the stack here

      ! host  broker-1     is gone
      ! host  zk-1         is gone
      ! node  broker-1     its data is gone
      ! node  zk-1         its data is gone
      ? topic orders       no broker answered: 127.90.21.101:9092 (cannot connect: Connection refused (os error 111))

    5 differ from the state, 0 as recorded
    error: 5 resources differ from the state
    hint: `octad preview --stack here.toml` shows how `up` would mend it; `octad refresh --stack here.toml` takes it into the state
    ");
    assert_eq!(fs::read(bench.site().join("journal.ndjson")).unwrap(), before, "only looked at");
    // What is gone or can't be asked is not forgotten.
    assert_eq!(bench.run(&["refresh", "--yes"]).0, 0);
    assert_eq!(bench.json(&["state", "list"]).as_array().unwrap().len(), 5);
}

#[test]
fn facts_and_the_diagram_need_no_stack() {
    let bench = Bench::new();
    let all = bench.json(&["facts"]);
    let (code, ..) = bench.run(&["facts", "--dir", "facts"]);
    assert_eq!(code, 0);
    let nodes: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(nodes, ["broker-1", "zk-1"]);
    for node in nodes {
        let text = fs::read_to_string(bench.0.path().join(format!("facts/{node}.json"))).unwrap();
        let document: Deployment = serde_json::from_str(&text).unwrap();
        assert_eq!((document.version, &document.facts.node), (DEPLOYMENT_VERSION, node));
        assert_eq!(serde_json::to_value(&document).unwrap(), all[node]);
        assert_eq!(bench.json(&["facts", node]), all[node]);
    }
    assert_snapshot!(bench.run(&["graph"]).1, @r#"
    flowchart TB
      subgraph group_kafka["kafka: 1 × broker"]
        direction TB
        subgraph host_broker_1["host broker-1"]
          node_broker_1["<b>broker-1</b><br>broker<br>127.90.21.101:9092"]
        end
      end
      subgraph group_zookeeper["zookeeper: 1 × zookeeper"]
        direction TB
        subgraph host_zk_1["host zk-1"]
          node_zk_1["<b>zk-1</b><br>zookeeper<br>127.90.21.11:2181"]
        end
      end
      topic_orders[("topic <b>orders</b><br>2 partitions × 1 replica")] --- group_kafka
      group_kafka -- needs --> group_zookeeper
    "#);
    assert!(!bench.site().exists(), "nothing is left behind");
}

#[test]
fn nothing_is_imported_into_a_stack_that_is_not_there() {
    let bench = Bench::new();
    let (code, _, said) = bench.run(&["import", "topic/orders", "--yes"]);
    assert_snapshot!(format!("exit {code}\n{said}"), @"
    exit 1
    error: there is no stack here in .octad
    hint: `octad up --stack here.toml` makes it; if it was made elsewhere, `octad refresh --stack here.toml` takes over what machines run, or name that place with --state-dir
    ");
    assert!(!bench.site().exists(), "nothing is left behind");
}

#[test]
fn only_nodes_are_refilled() {
    let (code, _, said) = Bench::new().run(&["preview", "--refill", "orders"]);
    assert_snapshot!(format!("exit {code}\n{said}"), @"
    exit 64
    error: there is no resource `orders`
    hint: there are: node/broker-1, node/zk-1
    ");
}

#[test]
fn only_what_is_declared_is_imported() {
    let bench = Bench::made();
    let (code, _, said) = bench.run(&["import", "topic/strange", "--yes"]);
    assert_snapshot!(format!("exit {code}\n{said}"), @r"
    exit 10
    error: topic/strange: it is not declared
      nothing was changed
    hint: declare it in the stack file first, as it is to be
    ");
    let (code, _, said) = bench.run(&["import", "strange", "--yes"]);
    assert_eq!(code, 64);
    assert!(said.contains("`strange` is not a resource: expected kind/name"), "{said}");
}

#[test]
fn what_only_looks_needs_no_lock() {
    let bench = Bench::made();
    let log = bench.site().join("hosts/broker-1/log");
    fs::create_dir_all(&log).unwrap();
    fs::write(log.join("broker-1.log"), "2026-01-01T00:00:00.000Z started\n").unwrap();
    let looks: [&[&str]; 12] = [
        &[],
        &["status"],
        &["preview", "--diff"],
        &["preview", "--destroy"],
        &["outputs"],
        &["logs", "broker-1"],
        &["history"],
        &["state", "list"],
        &["state", "show", "orders"],
        &["facts"],
        &["graph"],
        &["refresh", "--expect-no-changes"],
    ];
    let free: Vec<_> = looks.iter().map(|arguments| bench.run(arguments)).collect();

    let _held = Lock::take(&bench.site(), "up").unwrap();
    for changes in [&["up", "--yes"][..], &["destroy", "--yes"], &["refresh", "--yes"]] {
        let (code, _, said) = bench.run(changes);
        assert!(code == 12 && said.contains("`octad up`"), "the detector: the lock is held: {code}\n{said}");
    }
    for (arguments, free) in looks.iter().zip(free) {
        assert!([0, 1, 10].contains(&free.0), "{arguments:?}: {free:?}");
        assert_eq!(bench.run(arguments), free, "{arguments:?}");
    }
}

#[test]
fn a_terminal_gets_control_characters_from_nobody_but_us() {
    let bench = Bench::made();
    let log = bench.site().join("hosts/broker-1/log");
    fs::create_dir_all(&log).unwrap();
    let loud = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31mred\rback";
    fs::write(log.join("broker-1.log"), format!("2026-01-01T00:00:00.000Z {loud}\n")).unwrap();

    let arguments = ["logs", "broker-1"];
    let (code, piped, _) = bench.run(&arguments);
    assert_eq!((code, piped.as_str()), (0, format!("00:00:00.000 broker-1 | {loud}\n").as_str()));
    let json = bench.json(&arguments);
    assert_eq!(json["line"], loud);

    let shown = bench.on_terminal("logs broker-1");
    let escaped = r"\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31mred\rback";
    assert!(shown.ends_with(&format!(" {escaped}\n")), "{shown:?}");
    assert!(shown.contains("\u{1b}[2m00:00:00.000\u{1b}[0m"), "our own colours stay: {shown:?}");

    // In what is said beside the results too: another octad's lock, which anybody may have written.
    let lock = Lock::take(&bench.site(), "up").unwrap();
    let path = bench.site().join("lock");
    let text = fs::read_to_string(&path).unwrap().replace("\"verb\":\"up\"", r#""verb":"\u001b[8mup""#);
    fs::write(&path, text).unwrap();
    let said = bench.on_terminal("up --yes");
    assert!(said.contains(r"\u{1b}[8mup") && !said.contains("\u{1b}[8m"), "{said:?}");
    drop(lock);
}

#[test]
fn a_setting_that_nobody_knows_is_told_and_stops_nothing() {
    let bench = Bench::new();
    let text = "program = \"ha\"\n[kafka.settings]\n\"num.io.thread\" = 4\n";
    fs::write(bench.0.path().join("here.toml"), text).unwrap();
    let (code, out, said) = bench.run(&["preview"]);
    assert!(code == 0 && out.contains("to create"), "{code}\n{out}");
    assert_snapshot!(said, @"note: kafka.settings.num.io.thread: kafka 3.9.2 knows no broker setting `num.io.thread` (did you mean `num.io.threads`? `allow-unknown` names what only a plugin knows)");
}

#[test]
fn a_gate_that_could_ask_nobody_is_no_leave() {
    let bench = Bench::made();
    bench.run(&["facts", "--dir", "facts"]);
    for asked in [&["gate", "broker-1"][..], &["gate", "broker-1", "--facts", "facts"]] {
        let (code, out, said) = bench.run(asked);
        assert_eq!((code, out.as_str()), (1, ""), "{said}");
        assert!(
            said.starts_with("error: whether kafka can do without broker-1 could not be asked\n"),
            "{said}"
        );
        assert!(said.contains("\nhint: "), "{said}");
    }
    let (code, _, said) = bench.run(&["gate", "broker-2", "--facts", "facts"]);
    assert_eq!(code, 64);
    assert!(said.contains("there is no resource `broker-2`\n") && said.contains("broker-1"), "{said}");
    fs::create_dir(bench.0.path().join("none")).unwrap();
    let (code, _, said) = bench.run(&["gate", "broker-1", "--facts", "none"]);
    assert_eq!(code, 64);
    assert!(said.contains("none describes no cluster") && said.contains("octad facts --dir DIR"), "{said}");
}
