//! What goes wrong on the way: each leaves good stores, and the next push sends only the rest.

use super::lab::{Sort, said};
use super::{failure, lab};
use std::fs;
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
