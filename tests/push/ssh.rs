//! The way to a host: what of ssh's own holds, who may come in, and what is told apart where there is no way.

use super::lab::{Host, Lab, Sort};
use super::{failure, lab, skip};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_host_that_answers_is_not_held_up_by_those_that_do_not() {
    let Some(lab) = lab() else { return };
    let path = &lab.paths("some", 1, 100)[0];
    let host = lab.host("host", Sort::default());
    for changed in ["changed", "unknown", "mute", "bare", "nobody"] {
        let sort = Sort { without_nix: changed == "bare", ..Sort::default() };
        let other = lab.host(changed, sort);
        match changed {
            "changed" => lab.know("changed", "other-key"),
            "unknown" => lab.know_nothing_of("unknown"),
            _ => {}
        }
        let user: &[&str] = match changed {
            "mute" => &["--user", "mute"],
            "nobody" => &["--user", "nobody-there"],
            _ => &[],
        };
        let failure = failure(&lab.pushed(&[&["--to", changed, path], user].concat()));
        let expected = match changed {
            "changed" => "another one than was accepted",
            "unknown" => "its key is not known here",
            "mute" => "its login shell said: This account is currently not available.",
            "nobody" => "it accepts none of your keys",
            _ => "there is no nix-daemon",
        };
        assert!(failure.contains(expected), "{failure}");
        assert!(!other.has(&lab, path));
    }
    lab.configure("Host shut\n  HostName 127.0.0.1\n  Port 1");
    let (code, result) = lab.pushed(&["--to", "shut,host,nobody.invalid", path]);
    assert_eq!(code, 1, "{result}");
    let error = |number: usize| result["hosts"][number]["error"].as_str().unwrap_or_default();
    assert!(error(0).contains("no sshd listens there"), "{result}");
    assert_eq!(result["hosts"][1]["ok"], true, "{result}");
    assert!(error(2).contains("no host of that name"), "{result}");
    assert!(host.has(&lab, path));
    // A shell that prints and then does as told is no hindrance.
    let (code, result) = lab.pushed(&["--to", "host", "--user", "chatty", path]);
    assert_eq!(code, 0, "{result}");
    // Nothing is reached where there is no network.
    let push = lab.push(&["--to", "host", path]);
    let mut alone = Command::new("unshare");
    alone.arg("--net").arg(push.get_program()).args(push.get_args());
    alone.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = alone.output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = failure(&(output.status.code().unwrap(), result));
    assert!(error.contains("nothing answers there"), "{error}");
}

#[test]
fn who_may_become_root_without_a_password_may_push() {
    let Some(lab) = lab() else { return };
    if !Path::new("/usr/bin/sudo").exists() {
        return skip("there is no sudo: apt-get install sudo");
    }
    let path = lab.needing(&lab.paths("some", 2, 100));
    let host = lab.host("host", Sort::default()).with_daemon(&lab);
    let refused = failure(&lab.pushed(&["--to", "host", "--user", "guest", &path]));
    assert!(refused.contains("may not `sudo` without a password either"), "{refused}");
    let (code, result) = lab.pushed(&["--to", "host", "--user", "deploy", &path]);
    assert_eq!(code, 0, "{result}");
    assert!(host.has(&lab, &path));
}

#[test]
fn through_a_jump_host_go_eight_handshakes_at_a_time() {
    let Some(lab) = lab() else { return };
    let path = &lab.paths("some", 1, 100)[0];
    // What comes while so many are at it is turned away, and told.
    let at_most = |sshd| Sort { sshd, ..Sort::default() };
    let jumps = [lab.host("wide", at_most("MaxStartups 8")), lab.host("narrow", at_most("MaxStartups 3"))];
    let host = lab.host("host", at_most("MaxStartups 100"));
    // Ten that come at once to a store that nobody has begun get into each other's way in Nix itself.
    host.verify(&lab);
    lab.configure("Host host-wide-*\n  ProxyJump wide\nHost host-narrow-*\n  ProxyJump narrow");
    let to = |jump: &str| (0..10).map(|number| format!("host-{jump}-{number}")).collect::<Vec<_>>().join(",");
    let (code, result) = lab.pushed(&["--to", &to("wide"), path]);
    assert_eq!(code, 0, "{result}");
    lab.pushed(&["--to", &to("narrow"), path]);
    let turned_away = |jump: &Host| jump.log().contains("MaxStartups");
    assert_eq!([turned_away(&jumps[0]), turned_away(&jumps[1])], [false, true]);
    assert!(host.has(&lab, path));
    // What a jump host says is told, not only that there is no way.
    lab.configure("Host host-lost\n  ProxyJump nobody.invalid");
    let lost = failure(&lab.pushed(&["--to", "host-lost", path]));
    assert!(lost.contains("a jump host on the way: there is no host of that name"), "{lost}");
}

#[test]
fn a_pinned_key_counts_whatever_ssh_knows() {
    let Some(lab) = lab() else { return };
    let path = &lab.paths("some", 1, 100)[0];
    let host = lab.host("host", Sort::default());
    let pin = |host: &str, key: &str| format!("{host}={}", lab.public_key(key));
    // It is another one than ssh knows.
    let refused = failure(&lab.pushed(&["--to", "host", "--host-key", &pin("host", "other-key"), path]));
    assert!(refused.contains("its key is not the one that is pinned"), "{refused}");
    let (code, _) = lab.pushed(&["--to", "host", "--host-key", &pin("hots", "host-key"), path]);
    assert_eq!(code, 64);
    assert!(!host.has(&lab, path));
    lab.know_nothing_of("host");
    let (code, result) = lab.pushed(&["--to", "host", "--host-key", &pin("host", "host-key"), path]);
    assert_eq!(code, 0, "{result}");
    assert!(host.has(&lab, path));
}

/// Pushes on a terminal, and answers as soon as ssh asks about the host's key. Whether it went well, and all that was shown.
fn answer(lab: &Lab, arguments: &[&str], answer: &str) -> (bool, String) {
    let push = lab.push(arguments);
    let words = [push.get_program()].into_iter().chain(push.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")));
    let line = quoted.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    script.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut script = script.spawn().unwrap();
    let (mut stdin, mut stdout) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut shown, mut buffer, mut answered) = (String::new(), [0; 1024], false);
    while let Ok(read @ 1..) = stdout.read(&mut buffer) {
        shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if !answered && shown.contains("continue connecting") {
            answered = true;
            writeln!(stdin, "{answer}").unwrap();
        }
    }
    assert!(answered, "{shown}");
    (script.wait().unwrap().success(), shown)
}

#[test]
fn at_first_contact_somebody_at_a_terminal_is_asked() {
    let Some(lab) = lab() else { return };
    let path = &lab.paths("some", 1, 100)[0];
    let host = lab.host("host", Sort::default());
    lab.know_nothing_of("host");
    let (ok, shown) = answer(&lab, &["--to", "host", path], "no");
    assert!(!ok && shown.contains("its key is not known here"), "{shown}");
    assert!(!host.has(&lab, path));
    let (ok, shown) = answer(&lab, &["--to", "host", path], "yes");
    assert!(ok, "{shown}");
    assert!(host.has(&lab, path));
    assert_eq!(lab.pushed(&["--to", "host", path]).0, 0);
}

#[test]
fn a_system_goes_only_to_nixos_of_its_architecture() {
    let Some(lab) = lab() else { return };
    let system = |name: &str, platform: &str| {
        let tree = lab.path().join(name);
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("system"), platform).unwrap();
        lab.add(&[tree])[0].clone()
    };
    let _host = lab.host("host", Sort::default());
    let (own, other) =
        (system("mine", &format!("{}-linux", std::env::consts::ARCH)), system("other", "riscv64-linux"));
    let refused = failure(&lab.pushed(&["--to", "host", &other]));
    assert!(refused.contains("what is pushed is for riscv64-linux"), "{refused}");
    let refused = failure(&lab.pushed(&["--to", "host", &own]));
    assert!(refused.contains("it does not run NixOS"), "{refused}");
}
