//! The NixOS half knows no role and has no defaults of its own: what it reads is what Octad says of its nodes, and the
//! files and commands that it makes of that are those that local hosts have, in its own directories.
//!
//! `OCTAD_UPDATE_FACTS=1` writes what it reads; `scripts/check-nix --update` writes what NixOS makes of that.

#[path = "../examples/canary.rs"]
#[allow(dead_code, reason = "its main is for whoever runs it")]
mod canary;
#[path = "support/skip.rs"]
mod skip;

use octad::artifact::Java;
use octad::model::{Deployment, Jvm, Key, Layout, Process, Source, property};
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::resource::{KindError, NodeKind};
use octad::supervisor::LEAVE_FILE;
use octad::tool::Environment;
use serde_json::json;
use skip::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of each file under a directory, by its path from there.
fn texts(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(directory).unwrap().to_owned();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

/// A stack of examples/canary.rs on machines. Its cluster is as that of any other stack.
const CANARY: &str =
    "program = \"canary\"\nhosts.subnet = \"10.77.2.0/24\"\nhosts.machine.platform = \"raw\"\n";

/// All nodes on machines in all stack files, and the example's, as `STACK/NODE.json`.
fn declared() -> BTreeMap<PathBuf, Deployment> {
    let mut nodes = BTreeMap::new();
    let files = texts(&repository().join("stacks")).into_iter();
    for (file, text) in files.filter(|(file, _)| file.extension().is_some_and(|ending| ending == "toml")) {
        let stack = file.file_stem().unwrap().to_str().unwrap();
        nodes.extend(of_text(stack, &text, &Programs::standard(), &Registry::standard()));
    }
    let programs = Programs::standard().program("canary", canary::program);
    let example = of_text("canary-nixos", CANARY, &programs, &Registry::standard().role(canary::Canary));
    nodes.extend(example.into_iter().filter(|(_, node)| node.facts.role == canary::Canary::NAME));
    assert!(nodes.len() > 10, "{:?}", nodes.keys());
    nodes
}

fn of_text(
    stack: &str,
    text: &str,
    programs: &Programs,
    registry: &Registry,
) -> BTreeMap<PathBuf, Deployment> {
    let declared = StackFile::of_text(stack.parse().unwrap(), text).declare(programs, registry).unwrap();
    let nodes = declared.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME);
    let nodes = nodes.map(|(key, node)| {
        let path = PathBuf::from(format!("{stack}/{}.json", key.name));
        (path, registry.deployment(key, &node.inputs).unwrap())
    });
    nodes.filter(|(_, node)| node.facts.host.machine.is_some()).collect()
}

#[test]
fn what_nix_reads_is_what_the_stack_files_declare() {
    let directory = repository().join("nix/facts");
    let declared: BTreeMap<_, _> =
        declared().into_iter().map(|(path, node)| (path, format!("{:#}\n", json!(node)))).collect();
    if std::env::var_os("OCTAD_UPDATE_FACTS").is_some_and(|value| value == "1") {
        let _ = fs::remove_dir_all(&directory);
        for (path, text) in &declared {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    assert!(texts(&directory) == declared, "nix/facts is stale: OCTAD_UPDATE_FACTS=1 cargo test --test nix");
}

/// Settings that hold whatever a properties file has a meaning of its own for, and the file that says them.
fn strange() -> (BTreeMap<String, String>, String) {
    let read = |name: &str| fs::read_to_string(repository().join("tests/support").join(name)).unwrap();
    (serde_json::from_str(&read("properties.json")).unwrap(), read("properties.txt"))
}

#[test]
fn what_has_a_meaning_in_properties_is_escaped() {
    let (settings, file) = strange();
    let ours: String = settings.iter().map(|(name, value)| property(name, value)).collect();
    assert_eq!(ours, file);
    assert_eq!(file.lines().count(), settings.len(), "each stays one line");
}

/// Reads a properties file as Kafka and ZooKeeper do, and writes names and values, each with a NUL behind it.
const READER: &str = r#"
import java.io.*;
import java.util.*;

class Reader {
    public static void main(String[] arguments) throws Exception {
        Properties read = new Properties();
        try (InputStream in = new FileInputStream(arguments[0])) { read.load(in); }
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (String name : new TreeSet<>(read.stringPropertyNames())) {
            out.print(name + "\0" + read.getProperty(name) + "\0");
        }
    }
}
"#;

#[tokio::test]
async fn java_reads_back_what_was_written() {
    let java = Java::find(&Environment::from_process()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let reader = dir.path().join("Reader.java");
    fs::write(&reader, READER).unwrap();
    let file = repository().join("tests/support/properties.txt");
    let read = Command::new(&java.path).arg(&reader).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    if said.contains("jdk.compiler") {
        return skip("this Java has no compiler to read properties with");
    }
    assert!(read.status.success(), "{said}");
    let words: Vec<_> = std::str::from_utf8(&read.stdout).unwrap().split_terminator('\0').collect();
    let read: BTreeMap<String, String> =
        words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    assert_eq!(read, strange().0);
}

#[test]
fn what_is_not_known_yet_is_said_rather_than_left_out() {
    let registry = Registry::standard();
    let deployment = declared().remove(Path::new("minimal-nixos/broker-1.json")).unwrap();
    let key = Key::new(NodeKind::NAME, "broker-1");
    let mut inputs = json!(deployment.facts);
    assert!(registry.deployment(&key, &inputs).is_ok(), "the detector: all of it is known");
    inputs["settings"]["listeners"] = json!({ "$ref": "host/broker-1", "field": "address" });
    assert!(matches!(registry.deployment(&key, &inputs), Err(KindError::NotYetKnown { .. })));
}

#[test]
fn both_halves_know_an_empty_disk_by_the_same_sign() {
    for file in ["format-data-disk.nix", "node.nix"] {
        let text = fs::read_to_string(repository().join("nix").join(file)).unwrap();
        assert!(text.contains(LEAVE_FILE), "{file}");
    }
}

/// What a command is in a unit. Names in the store are left out.
fn line<'a>(what: &str, words: impl IntoIterator<Item = &'a String>) -> String {
    let escaped = |word: &String| json!(word).to_string().replace('%', "%%").replace('$', "$$");
    let words: Vec<_> = words.into_iter().map(escaped).collect();
    format!("{what}{}\n", words.join(" "))
}

/// What NixOS adds to a command of Java's: where it lies there, and where its metrics are read.
const OF_NIXOS: [&str; 3] =
    ["-Dcom.sun.management.jmxremote.", "-Djava.rmi.server.hostname=", "-Xshare:auto"];

/// The commands of a node's unit on NixOS.
fn commands(node: &Deployment, place: &Layout) -> String {
    let beside = |words: &Option<Vec<String>>| Some(place.command(words.as_ref()?, "STORE/bin/octad"));
    let mut all = String::new();
    if let Some(admit) = beside(&node.admit) {
        all += &line("ExecStartPre=", &admit);
    }
    for file in node.data_files.keys() {
        let to = place.data.join(file).display().to_string();
        all += &line("ExecStartPre=", &["STORE/bin/install".into(), "-m600".into(), "STORE".into(), to]);
    }
    let own = match &node.process {
        Process::Java { options, main, arguments } => {
            let java = ["STORE/bin/java", "@STORE", "-XX:SharedArchiveFile=STORE"].map(str::to_owned);
            let limits = node.facts.jvm.as_ref().map(Jvm::flags).unwrap_or_default();
            let (options, arguments) = (place.fill_all(options), place.fill_all(arguments));
            [java.into(), limits, options, vec![main.clone()], arguments].concat()
        }
        Process::Program { executable, arguments, .. } => {
            let within = match node.facts.software.source {
                Source::Installed { .. } => "bin/",
                Source::Archive { .. } | Source::Jars { .. } => "",
            };
            [vec![format!("STORE/{within}{executable}")], place.fill_all(arguments)].concat()
        }
    };
    if let Process::Program { environment, .. } = &node.process {
        for (name, value) in environment {
            all += &format!("Environment={name}={}\n", place.fill(value));
        }
    }
    all += &line("ExecStart=", &[beside(&node.watchdog).unwrap_or_default(), own].concat());
    if let Some(fence) = beside(&node.fence) {
        all += &line("ExecStopPost=-", &fence);
    }
    all
}

#[test]
fn nixos_runs_a_node_as_local_hosts_do() {
    let mut golden = texts(&repository().join("nix/golden"));
    // What systemd is told besides is NixOS's alone: scripts/run-units runs it.
    golden.retain(|path, _| !path.ends_with("unit"));
    let mut ours = BTreeMap::new();
    for (path, node) in declared() {
        let name = &node.facts.node;
        let place = Layout {
            config: "STORE".into(),
            data: format!("/var/lib/octad/{name}").into(),
            runtime: format!("/run/octad-{name}").into(),
            software: "STORE".into(),
        };
        let directory = path.with_extension("").display().to_string().replace('/', "-");
        let directory = Path::new(&directory);
        for (file, content) in &node.files {
            ours.insert(directory.join("config").join(file), place.file(content));
        }
        ours.insert(directory.join("commands"), commands(&node, &place));
    }
    let is_own = |word: &&str| !OF_NIXOS.iter().any(|own| word.contains(own));
    for (path, theirs) in &golden {
        let words: Vec<_> = theirs.split(' ').filter(is_own).collect();
        assert_eq!(ours.get(path), Some(&words.join(" ")), "{}", path.display());
    }
    assert_eq!(golden.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "what each node has");
}
