//! What octad says of itself: how things stand, what shells complete, its manual. No server is started here.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;

fn octad(directory: &Path, arguments: &[&str]) -> Output {
    run(Path::new(env!("CARGO_BIN_EXE_octad")), directory, arguments)
}

fn run(program: &Path, directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .arg0("octad")
        .env_remove("OCTAD_STACK")
        .env_remove("OCTAD_STATE_DIR")
        .current_dir(directory)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn says(directory: &Path, arguments: &[&str]) -> String {
    let output = octad(directory, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn without_a_verb_it_tells_how_things_stand_and_what_to_do_next() {
    let empty = tempfile::tempdir().unwrap();
    assert_snapshot!(says(empty.path(), &[]), @"
    No stack has been made here yet.

    Next:
      octad preview  what `up` would make
      octad up       make it
      octad --help   all verbs
    ");
    let elsewhere = ["--state-dir", "states", "--stack", "minimal"];
    assert_snapshot!(says(empty.path(), &elsewhere), @"
    No stack has been made here yet.

    Next:
      octad preview --stack minimal --state-dir states  what `up` would make
      octad up --stack minimal --state-dir states       make it
      octad --help                                      all verbs
    ");
    let made: serde_json::Value = serde_json::from_str(&says(empty.path(), &["--output", "json"])).unwrap();
    assert_eq!(made["stacks"], serde_json::json!([]));
}

#[test]
fn every_shell_gets_completions_that_know_the_verbs() {
    let here = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = says(here.path(), &["completions", shell]);
        for word in ["preview", "destroy", "--stack", "state-dir"] {
            assert!(script.contains(word.trim_start_matches("--")), "{shell} doesn't know {word}");
        }
        assert!(!script.contains("supervise"), "{shell} offers what is hidden");
    }
    // The shell that is at hand everywhere reads its own.
    std::fs::write(here.path().join("script"), says(here.path(), &["completions", "bash"])).unwrap();
    let completed = Command::new("bash")
        .args(["-c", "source ./script; COMP_WORDS=(octad pre) COMP_CWORD=1; _octad octad pre octad; echo ${COMPREPLY[@]}"])
        .current_dir(here.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "preview");
}

#[test]
fn the_manual_has_a_page_for_each_verb() {
    let here = tempfile::tempdir().unwrap();
    assert!(says(here.path(), &["man"]).contains(".TH octad 1"));
    says(here.path(), &["man", "--dir", "man1"]);
    for page in ["octad.1", "octad-up.1", "octad-preview.1"] {
        let text = std::fs::read_to_string(here.path().join("man1").join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    std::fs::write(here.path().join("taken"), "").unwrap();
    let failed = octad(here.path(), &["man", "--dir", "taken"]);
    assert_snapshot!(String::from_utf8_lossy(&failed.stderr), @"
    error: could not write the manual into taken
      because File exists (os error 17)
    ");
}

#[test]
fn a_program_of_ones_own_has_all_verbs_and_a_stack_of_its_own() {
    let here = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_BIN_EXE_octad")).with_file_name("examples");
    let says = |example: &str, arguments: &[&str]| {
        let output = run(&examples.join(example), here.path(), arguments);
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // How much is kept depends on what this machine has free.
        let (free, rest): (Vec<&str>, Vec<&str>) =
            said.lines().partition(|line| line.contains("free for each broker"));
        assert!(free.len() <= 2, "{free:?}");
        rest.join("\n")
    };
    assert_snapshot!(says("two_topics", &["preview"]), @"
    Preview of the stack two-topics

      + host  broker-1     local 127.116.173.101
      + host  broker-2     local 127.116.173.102
      + host  broker-3     local 127.116.173.103
      + host  zk-1         local 127.116.173.11
      + host  zk-2         local 127.116.173.12
      + host  zk-3         local 127.116.173.13
      + node  zk-1         zookeeper 3.9.5 on zk-1, heap 128 MiB
      + node  zk-2         zookeeper 3.9.5 on zk-2, heap 128 MiB
      + node  zk-3         zookeeper 3.9.5 on zk-3, heap 128 MiB
      + node  broker-1     kafka 3.9.2 on broker-1, heap 400 MiB
      + node  broker-2     kafka 3.9.2 on broker-2, heap 400 MiB
      + node  broker-3     kafka 3.9.2 on broker-3, heap 400 MiB
      + topic customers    3 partitions, 3 replicas
      + topic orders       6 partitions, 3 replicas

    14 to create
    ");
    assert_snapshot!(says("canary", &["preview"]), @"
    Preview of the stack canary

      + host  broker-1     local 127.93.57.101
      + host  canary-1     local 127.93.57.201
      + host  zk-1         local 127.93.57.11
      + node  zk-1         zookeeper 3.9.5 on zk-1, heap 128 MiB
      + node  broker-1     kafka 3.9.2 on broker-1, heap 400 MiB
      + node  canary-1     python3 3.9 or newer on canary-1
      + topic activity     1 partition, 1 replica

    7 to create
    ");
    let own = std::fs::create_dir(here.path().join("stacks"));
    own.and_then(|()| {
        std::fs::write(here.path().join("stacks/two-topics.toml"), "program = \"two-topics\"\ndays = 0\n")
    })
    .unwrap();
    assert_snapshot!(says("two_topics", &["preview"]), @"
    error: days: orders that are kept for 0 days are lost
     --> stacks/two-topics.toml:2:8
      |
    2 | days = 0
      |        ^
      |
    help: write at least 1

    error: the stack file can't be used
    ");
    assert_snapshot!(says("two_topics", &["status", "--stack", "minimal"]), @"
    error: there is no stack minimal in .octad
    hint: `octad up --stack minimal` makes it; if it was made elsewhere, `octad refresh --stack minimal` takes over what machines run, or name that place with --state-dir
    ");
}

/// What octad writes on a terminal so many columns wide.
fn on_terminal(directory: &Path, columns: usize, setting: &str, arguments: &str) -> String {
    let octad = env!("CARGO_BIN_EXE_octad");
    let output = Command::new("script")
        .args(["-qec", &format!("stty cols {columns}; {setting} {octad} {arguments}"), "/dev/null"])
        .current_dir(directory)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let here = tempfile::tempdir().unwrap();
    // What is free on the disk, of which a share would be told otherwise, changes beside this test.
    let bound = "\n[topics.activity.configs]\n\"retention.bytes\" = 1073741824\n";
    let minimal = format!("{}{bound}", include_str!("../stacks/minimal.toml"));
    std::fs::write(here.path().join("bound.toml"), minimal).unwrap();
    let terminal = |setting, arguments| on_terminal(here.path(), 100, setting, arguments);
    let piped = says(here.path(), &["preview", "--stack", "bound.toml"]);
    assert!(!piped.contains('\x1b'));
    assert!(
        says(here.path(), &["preview", "--stack", "bound.toml", "--color", "always"]).contains("\x1b[32m")
    );
    assert!(terminal("", "preview --stack bound.toml").contains("\x1b[32m"));
    assert_eq!(terminal("NO_COLOR=1", "preview --stack bound.toml"), piped);
    assert_eq!(terminal("TERM=dumb", "preview --stack bound.toml"), piped);
    assert_eq!(terminal("", "preview --stack bound.toml --color never"), piped);
    // Nothing is cut off where it is too narrow for a line: the terminal breaks it.
    assert_eq!(on_terminal(here.path(), 20, "NO_COLOR=1", "preview --stack bound.toml"), piped);
}

#[test]
fn the_docs_show_the_default_stack_as_it_is_drawn() {
    let here = tempfile::tempdir().unwrap();
    let shown = include_str!("../docs/commands.md");
    assert!(shown.contains(&format!("```mermaid\n{}```\n", says(here.path(), &["graph"]))));
}

#[cfg(feature = "drill")]
#[test]
fn a_drill_says_what_there_is_and_does_nothing_without_consent() {
    let here = tempfile::tempdir().unwrap();
    let list = says(here.path(), &["drill", "list"]);
    assert!(list.starts_with("broker-stop               a broker is stopped in order (SIGTERM)\n"), "{list}");
    let disk =
        "disk-full                 the disk of a broker's data is full; takes hosts with disks of their own";
    assert!(list.lines().any(|line| line.starts_with(disk)), "{list}");
    let faults: serde_json::Value =
        serde_json::from_str(&says(here.path(), &["drill", "list", "--output", "json"])).unwrap();
    assert_eq!(faults.as_array().unwrap().len(), list.lines().count());

    let refused = |arguments: &[&str]| {
        let output = octad(here.path(), &[&["drill"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&["broker-crush"]);
    assert_eq!(code, Some(64));
    assert!(
        said.starts_with("error: there is no fault `broker-crush`\nhint: did you mean `broker-crash`? "),
        "{said}"
    );
    let (code, said) = refused(&[]);
    assert_eq!(code, Some(64));
    assert!(
        said.contains("`octad drill list` tells what there is; `octad drill --all` drills all"),
        "{said}"
    );
    let (code, said) = refused(&["broker-crash"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("error: there is no stack ha in .octad\n"), "{said}");
    for arguments in [&["--all", "broker-crash"][..], &["broker-crash", "--under-load", "5mb"]] {
        assert_eq!(refused(arguments).0, Some(64), "{arguments:?}");
    }
}

#[test]
fn a_server_starts_on_an_empty_disk_only_by_leave_that_lies_on_it() {
    let here = tempfile::tempdir().unwrap();
    let file = |name: &str| here.path().join(name);
    let data = here.path().to_str().unwrap();
    // Nobody listens there.
    let broker = ["admit", "--data", data, "--zookeeper", "127.0.0.1:1", "--broker", "1"];
    let answer = |arguments: &[&str]| {
        let output = octad(here.path(), arguments);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = answer(&broker);
    assert!(code == Some(10) && said.contains("nobody gave leave"), "{said}");
    std::fs::write(file("octad-fresh"), "new\n").unwrap();
    let (code, said) = answer(&broker);
    assert!(code == Some(10) && said.contains("ZooKeeper could not be asked"), "{said}");
    assert!(file("octad-fresh").exists(), "the next attempt may need it");
    std::fs::write(file("meta.properties"), "").unwrap();
    assert_eq!(answer(&broker).0, Some(0));
    assert!(!file("octad-fresh").exists());
    std::fs::remove_file(file("meta.properties")).unwrap();
    assert_eq!(answer(&broker).0, Some(10));

    // Nobody else is heard.
    let servers = ["admit", "--data", data, "--servers", "127.74.1.1:2181,127.0.0.1:1"];
    let server = [&servers[..], &["--own", "127.74.1.1:2181", "--limit", "10ms"]].concat();
    assert_eq!(answer(&server).0, Some(0));
    assert!(!file("initialize").exists(), "it asks the others before it votes");
    std::fs::write(file("octad-fresh"), "refill\n").unwrap();
    assert_eq!(answer(&server).0, Some(0));
    assert!(!file("initialize").exists() && !file("octad-fresh").exists());
    std::fs::write(file("octad-fresh"), "new\n").unwrap();
    let (code, said) = answer(&server);
    assert!(code == Some(10) && said.contains("127.0.0.1:1 is not known to be as new"), "{said}");
    assert!(!file("initialize").exists() && file("octad-fresh").exists());
    // One that is alone in its ensemble.
    assert_eq!(answer(&["admit", "--data", data]).0, Some(0));
    assert!(file("initialize").exists() && !file("octad-fresh").exists());
}
