//! The NixOS half has no facts and no defaults of its own: its facts are those that Octad declares, and the files that
//! it writes from them say what Octad's own for local hosts say.
//!
//! `OCTAD_UPDATE_FACTS=1` writes the facts; `scripts/check-nix --update` writes what NixOS makes of them.

#[path = "support/skip.rs"]
mod skip;

use octad::artifact::Java;
use octad::model::{Layout, NodeFacts, property};
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::resource::NodeKind;
use octad::role::Role;
use octad::supervisor::LEAVE_FILE;
use octad::tool::Environment;
use serde_json::Value;
use skip::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

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

/// The facts of all nodes on machines in all stack files, as `STACK/NODE.json`.
fn declared() -> BTreeMap<PathBuf, Value> {
    let mut facts = BTreeMap::new();
    let files = texts(&repository().join("stacks")).into_iter();
    for (file, text) in files.filter(|(file, _)| file.extension().is_some_and(|ending| ending == "toml")) {
        let stack = file.file_stem().unwrap().to_str().unwrap();
        let declared = StackFile::of_text(stack.parse().unwrap(), &text)
            .declare(&Programs::standard(), &Registry::standard())
            .unwrap();
        let nodes = declared.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME);
        for (key, node) in nodes.filter(|(_, node)| node.inputs.pointer("/host/machine").is_some()) {
            facts.insert(PathBuf::from(format!("{stack}/{}.json", key.name)), node.inputs.clone());
        }
    }
    assert!(!facts.is_empty());
    facts
}

#[test]
fn the_facts_that_nix_reads_are_those_that_the_stack_files_declare() {
    let directory = repository().join("nix/facts");
    let declared: BTreeMap<_, _> =
        declared().into_iter().map(|(path, facts)| (path, format!("{facts:#}\n"))).collect();
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

/// Settings that hold whatever a properties file has a meaning of its own for, and the file that says them. scripts/check-nix
/// and the flake compare that file with what the Nix half makes of the settings.
fn strange() -> (BTreeMap<String, String>, String) {
    let read = |name: &str| fs::read_to_string(repository().join("nix/java").join(name)).unwrap();
    (serde_json::from_str(&read("properties.json")).unwrap(), read("properties.txt"))
}

#[test]
fn local_hosts_escape_in_properties_what_has_a_meaning_there() {
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
    let file = repository().join("nix/java/properties.txt");
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

fn role(name: &str) -> Arc<dyn Role> {
    Registry::standard().role_named(name).unwrap().clone()
}

/// What `octad admit` is told in front of a node's start.
fn admission(facts: &NodeFacts) -> Option<Vec<String>> {
    let setting = |name: &str| facts.settings[name].known().unwrap().clone();
    let mut arguments = vec!["--data".to_owned(), "/var/lib/octad".to_owned()];
    if facts.role == "broker" {
        arguments.extend(["--zookeeper".into(), setting("zookeeper.connect")]);
        arguments.extend(["--broker".into(), facts.id.to_string()]);
        arguments.extend(["--min-insync-replicas".into(), setting("min.insync.replicas")]);
    } else {
        let servers = facts.settings.iter().filter(|(name, _)| name.starts_with("server."));
        let client =
            |server: &str| format!("{}:{}", server.split(':').next().unwrap(), facts.ports["client"]);
        let servers: Vec<String> = servers.map(|(_, server)| client(server.known().unwrap())).collect();
        if !servers.is_empty() {
            arguments.extend(["--servers".into(), servers.join(",")]);
            let own = format!("{}:{}", facts.host.address.known().unwrap(), facts.ports["client"]);
            arguments.extend(["--own".into(), own]);
        }
    }
    Some(arguments)
}

#[test]
fn both_halves_know_an_empty_disk_by_the_same_signs() {
    let module = |name: &str| fs::read_to_string(repository().join("nix/modules").join(name)).unwrap();
    assert!(module("data-disk.nix").contains(LEAVE_FILE), "who formats a disk leaves it there");
    let asserted = module("kafka.nix");
    for sign in [LEAVE_FILE, role("broker").written().unwrap()] {
        assert!(asserted.contains(&format!("\"|${{dataDir}}/{sign}\"")), "{sign}");
    }
    // What holds once for a disk is no fact of a node, which is there for good.
    assert!(declared().values().all(|facts| facts.pointer("/host/machine/fresh").is_none()));
}

#[test]
fn nixos_writes_what_local_hosts_read() {
    let golden = texts(&repository().join("nix/golden"));
    let layout = Layout { config: "/c".into(), data: "/var/lib/octad".into(), runtime: "/r".into() };
    let mut compared = 0;
    for (path, facts) in declared() {
        let node = path.with_extension("");
        let name = node.display().to_string().replace('/', "-");
        let facts: NodeFacts = serde_json::from_value(facts).unwrap();
        let role = role(&facts.role);
        let files = role.files(&facts);
        let ours: BTreeMap<_, _> =
            files.iter().map(|(name, file)| (name.as_str(), layout.file(file))).collect();
        for file in ["server.properties", "zoo.cfg"].into_iter().filter(|file| ours.contains_key(file)) {
            let theirs = golden.get(&Path::new(&name).join(file)).unwrap_or_else(|| panic!("{name}/{file}"));
            assert_eq!(theirs, &ours[file], "{name}/{file}");
            compared += 1;
        }
        let told = [
            ("fence", role.fence(&facts)),
            ("watchdog", role.watchdog(&facts)),
            ("admit", admission(&facts)),
        ];
        for (file, arguments) in told {
            let ours: Vec<_> = arguments.iter().flatten().map(|word| format!("\"{word}\"")).collect();
            let theirs = golden[&Path::new(&name).join(file)].trim();
            assert_eq!(theirs, ours.join(" "), "{name}/{file}: what octad is told beside the node");
        }
    }
    assert_eq!(compared, declared().len(), "every node has one configuration file");
}
