//! What units write, and reading it.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use octad::supervisor::{LogFollower, LogLine, UnitName, UnitState, unit_logs};

use crate::host::{TestHost, eventually, reaches, sh};

fn lines(host: &TestHost, unit: &UnitName, since: Option<SystemTime>, tail: Option<usize>) -> Vec<LogLine> {
    unit_logs(&host.dir, unit, since, tail).unwrap().map(Result::unwrap).collect()
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

async fn next(follower: &mut LogFollower) -> LogLine {
    tokio::time::timeout(Duration::from_secs(5), follower.next()).await.expect("no line came").unwrap()
}

#[tokio::test]
async fn output_and_errors_are_kept_with_their_time() {
    let host = TestHost::new();
    let mut spec = sh("echo out; echo err >&2; sleep 0.3; printf 'no newline'");
    spec.restart.min_backoff_ms = 60_000;
    let unit = host.specify("u", spec);
    let supervisor = host.supervisor().await;
    let before = SystemTime::now() - Duration::from_millis(1);
    supervisor.start(&unit).await.unwrap();
    reaches(&supervisor, &unit, |s| matches!(s.state, UnitState::Backoff { .. })).await;
    let all = lines(&host, &unit, None, None);
    assert_eq!(texts(&all), ["out", "err", "no newline"]);
    assert!(all.iter().all(|line| (before..=SystemTime::now()).contains(&line.at)));
    assert!(all[2].at - Duration::from_millis(250) > all[1].at);
    assert_eq!(texts(&lines(&host, &unit, Some(all[2].at), None)), ["no newline"]);
    assert_eq!(texts(&lines(&host, &unit, None, Some(2))), ["err", "no newline"]);
    assert!(
        host.read("log/u.log").lines().all(|line| line.as_bytes()[23] == b'Z' && line.as_bytes()[24] == b' ')
    );
}

#[tokio::test]
async fn a_full_log_is_rotated_and_a_follower_misses_nothing() {
    let host = TestHost::new();
    // 400 lines of 65 kB, each split in four: 26 MB, more than two files.
    let unit = host.specify(
        "u",
        sh("l=$(head -c 65000 /dev/zero | tr '\\0' x); i=0; \
            while [ $i -lt 400 ]; do echo \"$i $l\"; i=$((i+1)); done; echo last; exec sleep 600"),
    );
    let mut follower = LogFollower::new(&host.dir, &unit, None, None).unwrap();
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    let mut followed = Vec::new();
    loop {
        let line = next(&mut follower).await;
        followed.push(line.clone());
        if line.text == "last" {
            break;
        }
        assert!(line.text.len() <= 16 * 1024);
    }
    for file in ["log/u.log", "log/u.log.1", "log/u.log.2"] {
        let size = fs::metadata(host.dir.join(file)).unwrap().len();
        assert!(size <= 10 * 1024 * 1024, "{file} has {size} bytes");
    }
    let all = lines(&host, &unit, None, None);
    assert!(followed == all, "the follower saw something else");
    let numbers: Vec<_> = all.iter().filter(|line| line.text.contains(' ')).collect();
    assert_eq!(numbers.len(), 400);
    assert!(numbers.iter().enumerate().all(|(i, line)| line.text.starts_with(&format!("{i} "))));
    let joined: usize = all.iter().map(|line| line.text.len()).sum();
    assert_eq!(joined, 400 * 65_001 + 10 + 90 * 2 + 300 * 3 + 4, "a split lost something");
    assert_eq!(lines(&host, &unit, None, Some(7)), all[all.len() - 7..]);
}

#[tokio::test]
async fn a_follower_waits_for_the_first_line_and_begins_where_it_is_told() {
    let host = TestHost::new();
    let unit =
        host.specify("u", sh("echo one; echo two; while [ ! -e go ]; do sleep 0.02; done; echo three"));
    let mut early = LogFollower::new(&host.dir, &unit, None, None).unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(250), early.next()).await;
    assert!(waiting.is_err(), "a line out of nothing");
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    assert_eq!(next(&mut early).await.text, "one");
    eventually("the second line", || host.read("log/u.log").contains("two")).await;
    let mut last = LogFollower::new(&host.dir, &unit, None, Some(1)).unwrap();
    let mut none = LogFollower::new(&host.dir, &unit, None, Some(0)).unwrap();
    assert_eq!(next(&mut last).await.text, "two");
    fs::write(host.dir.join("go"), "").unwrap();
    assert_eq!(next(&mut early).await.text, "two");
    for follower in [&mut early, &mut last, &mut none] {
        assert_eq!(next(follower).await.text, "three");
    }
}
