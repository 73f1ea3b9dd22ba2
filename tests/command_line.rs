//! What octad says of itself: how things stand, what shells complete, its manual. No server is started here.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;

fn octad(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_octad"))
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
      octad preview  what `up` would make: 5 brokers and 3 ZooKeeper servers by default
      octad up       make it
      octad --help   all verbs
    ");
    let elsewhere = ["--state-dir", "states", "--stack", "minimal"];
    assert_snapshot!(says(empty.path(), &elsewhere), @"
    No stack has been made here yet.

    Next:
      octad preview --stack minimal --state-dir states  what `up` would make: 5 brokers and 3 ZooKeeper servers by default
      octad up --stack minimal --state-dir states       make it
      octad --help --stack minimal --state-dir states   all verbs
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
