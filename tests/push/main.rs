//! `octad push` to real hosts: sshds and Nix daemons on this machine, each with a /nix of its own.

mod build;
mod lab;
#[path = "../support/skip.rs"]
mod skip;

use lab::{Lab, Sort, said};
use serde_json::Value;
use skip::skip;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

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
fn only_the_rest_is_sent_after_the_link_was_cut() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 40, 1 << 20);
    let top = lab.needing(&paths);
    let host = lab.host("host", Sort::default());
    host.cut_after(25 << 20);
    let (code, result) = lab.pushed(&["--to", "host", &top]);
    assert_eq!(code, 0, "{result}");
    let told = &result["hosts"][0];
    assert_eq!(told["cuts"], 1, "{told}");
    assert!(told["on_wire"].as_u64().unwrap() < 60 << 20, "{told}");
    assert!(host.has(&lab, &top));
    host.verify(&lab);
}

#[test]
fn a_host_that_answers_is_not_held_up_by_those_that_do_not() {
    let Some(lab) = lab() else { return };
    let path = &lab.paths("some", 1, 100)[0];
    let host = lab.host("host", Sort::default());
    for changed in ["changed", "unknown", "mute", "bare"] {
        let sort = Sort { without_nix: changed == "bare", ..Sort::default() };
        let other = lab.host(changed, sort);
        match changed {
            "changed" => lab.know("changed", "other-key"),
            "unknown" => lab.know_nothing_of("unknown"),
            _ => {}
        }
        let user: &[&str] = if changed == "mute" { &["--user", "mute"] } else { &[] };
        let failure = failure(&lab.pushed(&[&["--to", changed, path], user].concat()));
        let expected = match changed {
            "changed" => "another one than was accepted",
            "unknown" => "its key is not known here",
            "mute" => "its login shell said: This account is currently not available.",
            _ => "there is no nix-daemon",
        };
        assert!(failure.contains(expected), "{failure}");
        assert!(!other.has(&lab, path));
    }
    let config = lab.path().join("ssh_config");
    let known = fs::read_to_string(&config).unwrap();
    fs::write(config, known + "Host shut\n  HostName 127.0.0.1\n  Port 1\n").unwrap();
    let (code, result) = lab.pushed(&["--to", "shut,host,nobody.invalid", path]);
    assert_eq!(code, 1, "{result}");
    let error = |number: usize| result["hosts"][number]["error"].as_str().unwrap_or_default();
    assert!(error(0).contains("no sshd listens there"), "{result}");
    assert_eq!(result["hosts"][1]["ok"], true, "{result}");
    assert!(error(2).contains("no host of that name"), "{result}");
    assert!(host.has(&lab, path));
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
    let key = lab.path().join("secret");
    let made =
        lab.own("nix-store").args(["--generate-binary-cache-key", "k"]).arg(&key).arg("/dev/null").output();
    assert!(made.as_ref().unwrap().status.success(), "{}", said(&made.unwrap()));
    let signed = ["--to", "host", "--user", "guest", "--sign-key", key.to_str().unwrap(), &path];
    let failure = failure(&lab.pushed(&signed));
    assert!(failure.contains("signature"), "{failure}");
    assert!(!host.has(&lab, &path));
    host.verify(&lab);
}

#[test]
fn a_full_disk_is_told_and_spoils_nothing() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 30, 1 << 20);
    let arguments: Vec<&str> = ["--to", "host"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let host = lab.host("host", Sort { disk: Some(20), ..Sort::default() });
    let failure = failure(&lab.pushed(&arguments));
    assert!(failure.contains("its disk is full"), "{failure}");
    host.verify(&lab);
}

#[test]
fn killed_at_any_instant_it_leaves_a_good_store_and_no_process() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 60, 1 << 20);
    let arguments: Vec<&str> = ["--to", "host"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let host = lab.host("host", Sort::default());
    for number in 0..10u64 {
        let mut push = lab.push(&arguments).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100 + number * 130));
        push.kill().unwrap();
        push.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while !lab.at_work().is_empty() {
            assert!(Instant::now() < until, "{:?}", lab.at_work());
            std::thread::sleep(Duration::from_millis(20));
        }
        host.verify(&lab);
    }
    assert_eq!(lab.pushed(&arguments).0, 0);
    assert!(paths.iter().all(|path| host.has(&lab, path)));
    host.verify(&lab);
}

#[test]
fn two_pushes_and_a_garbage_collection_at_once_end_well() {
    let Some(lab) = lab() else { return };
    let common = lab.paths("common", 30, 1 << 20);
    let (one, other) = (lab.needing(&common), lab.needing(&common[1..]));
    let host = lab.host("host", Sort::default());
    let push = |path: &str, name| lab.push(&["--to", "host", "--keep-as", name, path]).spawn().unwrap();
    let mut pushes = vec![push(&one, "one"), push(&other, "other")];
    while pushes.iter_mut().any(|push| push.try_wait().unwrap().is_none()) {
        host.collect_garbage(&lab);
    }
    for push in pushes {
        let output = push.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert!([&one, &other].into_iter().chain(&common).all(|path| host.has(&lab, path)));
    host.verify(&lab);
}
