//! `octad build` with a real Nix and flakes that need no nixpkgs: a system of theirs is a text with the documents in it.

use crate::lab::{Lab, Sort, said};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What makes a system of documents; it fails where the host is the one that `BROKEN` stands for, in evaluation or in its build.
const FLAKE: &str = r#"{
  outputs = { self }: {
    other = 1;
    octad = documents:
      let
        hosts = builtins.groupBy (document: document.facts.host.name) (builtins.attrValues documents);
        system = name: all:
          if name == "UNKNOWN" then throw "there is no hardware of ${name}" else
          derivation {
            name = "nixos-system-${name}";
            system = builtins.currentSystem or "SYSTEM";
            builder = "/bin/sh";
            text = builtins.toJSON all;
            passAsFile = [ "text" ];
            PATH = "/bin";
            args = [ "-c" (if name == "BROKEN" then "echo no room for ${name}; exit 1" else "cat $textPath > $out") ];
          };
      in
      builtins.mapAttrs (name: all: { config.system.build.toplevel = system name all; }) hosts;
  };
}
"#;

const STACK: &str = "program = \"ha\"\n[hosts]\nsubnet = \"10.66.0.0/24\"\n[hosts.machine]\nplatform = \"raw\"\n[zookeeper]\nservers = 1\n\
                     [kafka]\nbrokers = 3\n[kafka.settings]\n\"num.io.threads\" = 4\n[topics.activity]\npartitions = 2\n";

struct Project<'a> {
    lab: &'a Lab,
    directory: PathBuf,
}

impl<'a> Project<'a> {
    fn of(lab: &'a Lab) -> Self {
        let directory = lab.path().join("project");
        fs::create_dir_all(directory.join("machines")).unwrap();
        let project = Self { lab, directory };
        project.stack(STACK);
        project.flake(|text| text);
        project
    }

    fn stack(&self, text: &str) {
        fs::write(self.directory.join("prod.toml"), text).unwrap();
    }

    fn flake(&self, change: impl FnOnce(String) -> String) {
        let system = format!("{}-linux", std::env::consts::ARCH);
        fs::write(self.directory.join("machines/flake.nix"), change(FLAKE.replace("SYSTEM", &system)))
            .unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.own(env!("CARGO_BIN_EXE_octad"));
        let flake = if arguments.contains(&"--flake") { &[][..] } else { &["--flake", "./machines"] };
        command.current_dir(&self.directory).env("OCTAD_STORE", self.lab.path().join("cache"));
        // Nix that is unpacked somewhere doesn't find itself.
        command.env("NIX_CONFIG", "build-hook =").env("HOME", self.lab.path());
        command.args(["--stack", "./prod.toml", "--output", "json", "build"]).args(flake).args(arguments);
        command
    }

    /// Its exit code, its systems by host with whether each was remembered, and what it said.
    fn built(&self, arguments: &[&str]) -> (i32, Vec<(String, String, bool)>, String) {
        let output = self.command(arguments).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let hosts = told["hosts"].as_array().cloned().unwrap_or_default();
        let system = |host: &Value| {
            let text = |field: &str| host[field].as_str().unwrap().to_owned();
            (text("host"), text("system"), host["remembered"].as_bool().unwrap())
        };
        (output.status.code().unwrap(), hosts.iter().map(system).collect(), said(&output))
    }

    /// The systems by host; `true` where each was remembered.
    fn systems(&self, arguments: &[&str]) -> Vec<(String, String, bool)> {
        let (code, systems, said) = self.built(arguments);
        assert_eq!(code, 0, "{said}");
        systems
    }
}

#[test]
fn a_system_is_built_of_what_the_stack_file_says_now_and_nothing_unchanged_is_evaluated_again() {
    let Some(lab) = crate::lab() else { return };
    let project = Project::of(&lab);
    let first = project.systems(&[]);
    let hosts: Vec<&str> = first.iter().map(|(host, ..)| host.as_str()).collect();
    assert_eq!(hosts, ["broker-1", "broker-2", "broker-3", "zk-1"]);
    assert!(first.iter().all(|(.., remembered)| !remembered));
    let text = lab.own("cat").arg(&first[0].1).output().unwrap();
    let documents: Value = serde_json::from_slice(&text.stdout).unwrap();
    assert_eq!(documents[0]["facts"]["settings"]["num.io.threads"], "4");

    let again = project.systems(&[]);
    assert!(again.iter().all(|(.., remembered)| *remembered), "{again:?}");
    assert!(again.iter().zip(&first).all(|(again, first)| again.1 == first.1));

    // Another setting of brokers: the server isn't looked at.
    project.stack(&STACK.replace("\"num.io.threads\" = 4", "\"num.io.threads\" = 5"));
    let changed = project.systems(&[]);
    let remembered = |systems: &[(String, String, bool)]| {
        systems.iter().map(|(_, _, remembered)| *remembered).collect::<Vec<_>>()
    };
    assert_eq!(remembered(&changed), [false, false, false, true]);
    assert!(changed[0].1 != first[0].1 && changed[3].1 == first[3].1);
    // And other sources make every system anew.
    project.flake(|text| text.replace("nixos-system-", "nixos-system-of-"));
    assert_eq!(remembered(&project.systems(&["broker-2", "zk-1"])), [false, false]);

    // They are kept; what is gone all the same is built again.
    let kept = project.systems(&["zk-1"]);
    assert!(kept[0].2);
    assert!(lab.own("nix-store").arg("--gc").output().unwrap().status.success());
    assert!(project.systems(&["zk-1"])[0].2, "its link keeps it");
    fs::remove_dir_all(lab.path().join("cache/systems")).unwrap();
    assert!(lab.own("nix-store").arg("--gc").output().unwrap().status.success());
    assert_eq!(project.systems(&["zk-1"]), [("zk-1".to_owned(), kept[0].1.clone(), false)]);
}

#[test]
fn an_error_names_the_host_and_says_what_nix_says() {
    let Some(lab) = crate::lab() else { return };
    let project = Project::of(&lab);
    let fails = |arguments: &[&str], parts: &[&str]| {
        let (code, systems, said) = project.built(arguments);
        assert!(code != 0 && systems.is_empty(), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        code
    };
    project.flake(|text| text.replace("UNKNOWN", "broker-2"));
    fails(&[], &["could not evaluate the system of broker-2:", "there is no hardware of broker-2"]);
    assert_eq!(project.systems(&["broker-1", "zk-1"]).len(), 2, "others can be built");

    project.flake(|text| text.replace("BROKEN", "broker-3"));
    fails(&[], &["could not build what broker-3 need:", "no room for broker-3"]);
    let kept = fs::read_dir(lab.path().join("cache/systems")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(["zk-1", "broker-3"].map(|host| fs::read_link(kept.join(host)).is_ok()), [true, false]);

    project.flake(|text| text.replace("octad = documents", "systems = documents"));
    let told = [
        "makes no systems of documents by its output `octad`",
        "give it `outputs.octad = documents: octad.lib.mkHosts { root = ./.; inherit documents; };`",
    ];
    fails(&[], &told);
    assert_eq!(project.systems(&["--flake", "./machines#systems", "zk-1"]).len(), 1);
    fails(&["--flake", "./machines#other"], &["makes no systems of documents by its output `other`"]);

    project.flake(|text| text.replace("outputs =", "outputs = ="));
    fails(&[], &["could not read the flake ./machines:", "syntax error"]);
    fails(&["--flake", "./nowhere"], &["could not read the flake ./nowhere:"]);
    project.flake(|text| text);
    let system = project.systems(&["zk-1"])[0].1.clone();
    assert!(lab.own("rm").args(["-rf", &system]).status().unwrap().success());
    fails(&["zk-1"], &["is built, as Nix says, and isn't there", "nix-store --repair-path"]);
    let code = fails(&["broker-9"], &["the stack prod has no host `broker-9`", "it has: broker-1"]);
    assert_eq!(code, 64);
}

#[test]
fn one_that_is_interrupted_leaves_no_builder_at_work() {
    let Some(lab) = crate::lab() else { return };
    let project = Project::of(&lab);
    let seconds = (70_000 + std::process::id()).to_string();
    project.flake(|text| text.replace("cat $textPath", &format!("sleep {seconds}; cat $textPath")));
    let mut building =
        project.command(&["zk-1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let sleeps = || {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let mut called = processes.filter_map(|one| fs::read_to_string(one.path().join("cmdline")).ok());
        called.any(|called| called.starts_with(&format!("sleep\0{seconds}\0")))
    };
    let until = |wanted: bool| {
        let begun = Instant::now();
        while sleeps() != wanted {
            assert!(begun.elapsed() < Duration::from_secs(20), "that it builds: {wanted}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(true);
    // `unshare` and the shell have become octad.
    let octad = rustix::process::Pid::from_raw(building.id().cast_signed()).unwrap();
    rustix::process::kill_process(octad, rustix::process::Signal::INT).unwrap();
    assert_eq!(building.wait().unwrap().code(), Some(8));
    until(false);
}

#[test]
fn another_machine_builds_where_one_is_named() {
    let Some(lab) = crate::lab() else { return };
    let project = Project::of(&lab);
    let builder = lab.host("builder", Sort::default());
    // Nobody else has this, so that what is built tells where.
    fs::write(builder.file("nix/var/where"), "on the builder\n").unwrap();
    project.flake(|text| text.replace("cat $textPath > $out", "cat /nix/var/where > $out"));
    let built = |host: &[&str]| {
        let mut command = project.command(host);
        let hook = format!("build-hook = {} __build-remote\n", lab.nix("nix").display());
        command.env("NIX_CONFIG", hook);
        command.env("NIX_SSHOPTS", format!("-F {}", lab.path().join("ssh_config").display()));
        command.output().unwrap()
    };
    let alone = built(&["broker-1"]);
    assert_ne!(alone.status.code(), Some(0), "here is no such file");
    let output = built(&["broker-1", "--build-host", "builder"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let system = told["hosts"][0]["system"].as_str().unwrap();
    let text = lab.own("cat").arg(system).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&text.stdout), "on the builder\n");
}
