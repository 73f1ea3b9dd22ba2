//! `octad push` to real hosts: sshds and Nix daemons on this machine, each with a /nix of its own.

mod build;
mod faults;
mod lab;
mod shell;
#[path = "../support/skip.rs"]
mod skip;
mod ssh;

use lab::{Lab, Sort, said};
use serde_json::Value;
use skip::skip;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// `None` where the test is skipped.
fn lab() -> Option<Lab> {
    Lab::new().map_err(|why| skip(&format!("no hosts to push to: {why}"))).ok()
}

/// What the only host of a push says of its failure.
fn failure(result: &(i32, Value)) -> String {
    let (code, result) = result;
    assert_eq!(*code, 1, "{result}");
    result["hosts"][0]["error"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned()
}

#[test]
fn a_closure_arrives_whole_and_is_sent_once() {
    let Some(lab) = lab() else { return };
    let tree = lab.path().join("tree");
    fs::create_dir_all(tree.join("empty/within")).unwrap();
    fs::write(tree.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("run", tree.join("link")).unwrap();
    symlink("/nowhere", tree.join("ä dangling one")).unwrap();
    fs::write(tree.join("nothing"), "").unwrap();
    let mut needed = lab.add(std::slice::from_ref(&tree));
    needed.extend(lab.paths("some", 30, 3000));
    let top = lab.needing(&needed);
    let (with, without) = (lab.host("with", Sort::default()), Sort { without_zstd: true, ..Sort::default() });
    let without = lab.host("without", without);

    let (code, result) = lab.pushed(&["--to", "with,without", &top]);
    assert_eq!(code, 0, "{result}");
    for host in [&with, &without] {
        assert!(host.has(&lab, &top) && needed.iter().all(|path| host.has(&lab, path)));
        host.verify(&lab);
        let dumped = |mut command: std::process::Command| {
            command.args(["--dump", &needed[0]]).output().unwrap().stdout
        };
        assert!(dumped(host.command(&lab, "nix-store")) == dumped(lab.own("nix-store")));
    }
    for host in result["hosts"].as_array().unwrap() {
        assert_eq!(
            (&host["paths"], &host["ok"], &host["cuts"]),
            (&32.into(), &true.into(), &0.into()),
            "{host}"
        );
    }

    let again = lab.pushed(&["--to", "with", "--to", "without", &top]).1;
    for host in again["hosts"].as_array().unwrap() {
        assert_eq!((&host["paths"], &host["on_wire"]), (&0.into(), &0.into()), "{host}");
    }
    assert_eq!(lab.at_work(), Vec::<String>::new());

    // It is kept, until something else is kept under that name.
    assert!(with.collect_garbage(&lab).contains("0 store paths deleted"));
    let other = lab.paths("other", 1, 10);
    assert_eq!(lab.pushed(&["--to", "with", &other[0]]).0, 0);
    assert!(with.collect_garbage(&lab).contains("32 store paths deleted"));
    assert!(with.has(&lab, &other[0]));
}

#[test]
fn a_nar_is_what_nix_writes() {
    let Some(lab) = lab() else { return };
    let tree = lab.path().join("tree");
    fs::create_dir_all(tree.join("a/b/c")).unwrap();
    for (name, size) in [("a.b", 0), ("a/1", 7), ("a/Z", 8), ("a/ü", 9), ("a/b/large", 200_001)] {
        fs::write(tree.join(name), vec![b'x'; size]).unwrap();
    }
    fs::set_permissions(tree.join("a/1"), PermissionsExt::from_mode(0o711)).unwrap();
    symlink("../a", tree.join("a/b/up")).unwrap();
    let mut nar = Vec::new();
    octad::nix::write_nar(&tree, &mut nar).unwrap();
    let dumped = lab.own("nix-store").arg("--dump").arg(&tree).output().unwrap();
    assert!(dumped.status.success(), "{}", said(&dumped));
    assert!(nar == dumped.stdout);
}

#[test]
fn what_is_not_signed_is_refused_to_who_is_not_trusted_before_it_is_sent() {
    let Some(lab) = lab() else { return };
    let path = lab.needing(&lab.paths("some", 2, 100));
    let host = lab.host("host", Sort::default()).with_daemon(&lab);
    let result = lab.pushed(&["--to", "host", "--user", "guest", &path]);
    assert!(failure(&result).contains("1 of the missing paths have no signature"), "{result:?}");
    assert_eq!(result.1["hosts"][0]["on_wire"], 0);
    // With a key that the host doesn't trust it gets further, and the daemon says so.
    let (key, public) = (lab.path().join("secret"), lab.path().join("public"));
    let made = lab.own("nix-store").args(["--generate-binary-cache-key", "k"]).args([&key, &public]).output();
    assert!(made.as_ref().unwrap().status.success(), "{}", said(&made.unwrap()));
    let signed = ["--to", "host", "--user", "guest", "--sign-key", key.to_str().unwrap(), &path];
    let failure = failure(&lab.pushed(&signed));
    assert!(failure.contains("signature"), "{failure}");
    assert!(!host.has(&lab, &path));
    host.verify(&lab);
    // One that does takes it.
    let nix = format!("trusted-public-keys = {}", fs::read_to_string(public).unwrap().trim());
    let trusting = lab.host("trusting", Sort { nix, ..Sort::default() }).with_daemon(&lab);
    let (code, result) = lab.pushed(&["--to", "trusting", "--user", "guest", &path]);
    assert_eq!(code, 0, "{result}");
    assert!(trusting.has(&lab, &path));
}

#[test]
fn what_substituters_of_the_host_have_is_not_sent() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 3, 100_000);
    let cache = format!("file://{}", lab.path().join("cache").display());
    let mut copy = lab.own("nix");
    copy.args(["--extra-experimental-features", "nix-command", "copy", "--to", &cache]).args(&paths[..2]);
    let copied = copy.output().unwrap();
    assert!(copied.status.success(), "{}", said(&copied));
    let host = lab.host("host", Sort { nix: format!("substituters = {cache}"), ..Sort::default() });
    let arguments: Vec<&str> = ["--to", "host"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let (code, result) = lab.pushed(&[&["--substitute"], &arguments[..]].concat());
    assert_eq!((code, &result["hosts"][0]["paths"]), (0, &1.into()), "{result}");
    assert!(paths.iter().all(|path| host.has(&lab, path)));
    host.verify(&lab);
}
