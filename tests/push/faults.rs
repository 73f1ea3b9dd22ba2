//! What goes wrong on the way: each leaves good stores, and the next push sends only the rest.

use super::lab::{Sort, said};
use super::{failure, lab};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

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
fn a_full_disk_is_told_and_spoils_nothing() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 40, 1 << 20);
    let arguments: Vec<&str> =
        ["--to", "full,roomy"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let full = lab.host("full", Sort { disk: Some(20), ..Sort::default() });
    let roomy = lab.host("roomy", Sort::default());
    let result = lab.pushed(&arguments);
    assert!(failure(&result).contains("its disk is full"), "{result:?}");
    assert_eq!(result.1["hosts"][1]["ok"], true, "{result:?}");
    assert!(paths.iter().all(|path| roomy.has(&lab, path)));
    full.verify(&lab);
    roomy.verify(&lab);
}

#[test]
fn killed_at_any_instant_it_leaves_a_good_store_and_no_process() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 60, 1 << 20);
    let arguments: Vec<&str> = ["--to", "host"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let host = lab.host("host", Sort::default());
    let files = || fs::read_dir(lab.path().join("tmp")).unwrap().count();
    let mut left = 0;
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
        // The next one takes away what this one leaves.
        left = files().max(left);
    }
    assert!(left > 0, "the detector: a killed push leaves what ssh wrote");
    assert_eq!(lab.pushed(&arguments).0, 0);
    assert_eq!(files(), 0);
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

/// A store believes in files that were empty when the power came back.
#[test]
fn what_may_not_have_been_on_the_disk_when_power_was_lost_is_sent_again() {
    let Some(lab) = lab() else { return };
    let paths = lab.paths("some", 3, 1 << 16);
    let top = lab.needing(&paths);
    let host = lab.host("host", Sort::default());
    let push = || lab.pushed(&["--to", "host", &top]);
    let notes = || fs::read_dir(host.notes()).map_or(0, Iterator::count);
    host.cut_after(64 << 10);
    assert_eq!(push().0, 0, "the rest is sent");
    // What was cut off may not have noticed it yet; its note goes with the next push once it has.
    let begun = Instant::now();
    while notes() != 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "all of it is on the disk");
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(push().0, 0);
    }

    // As a push that power was lost in leaves them, with one that isn't of this closure.
    let other = "/nix/store/00000000000000000000000000000000-other";
    let (broken, whole) = (&paths[0], &paths[1]);
    fs::write(host.notes().join("another-boot.1"), format!("{broken}\n{whole}\n{other}\n")).unwrap();
    let contents = host.file(broken).join("contents");
    let mut writable = fs::metadata(&contents).unwrap().permissions();
    writable.set_mode(0o644);
    fs::set_permissions(&contents, writable).unwrap();
    fs::write(&contents, "").unwrap();
    let verified = host.command(&lab, "nix-store").args(["--verify-path", broken]).output().unwrap();
    assert!(!verified.status.success(), "the detector");

    let (code, result) = push();
    assert_eq!((code, &result["hosts"][0]["paths"]), (0, &2.into()), "{result}");
    host.verify(&lab);
    assert_eq!(fs::read_to_string(host.notes().join("another-boot.1")).unwrap(), format!("{other}\n"));
    let (code, result) = push();
    assert_eq!((code, &result["hosts"][0]["paths"]), (0, &0.into()), "{result}");
    // One of this boot whose process is gone is no doubt, and goes once all is on the disk.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(host.notes().join(format!("{}.999999999", boot.trim())), format!("{whole}\n")).unwrap();
    let (code, result) = push();
    assert_eq!((code, &result["hosts"][0]["paths"]), (0, &0.into()), "{result}");
    assert_eq!(notes(), 1);
}
