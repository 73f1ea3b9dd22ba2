//! Starts, stops and restarts of a unit.

use std::{
    fs,
    time::{Duration, Instant},
};

use octad::clock::Until;
use octad::supervisor::{
    AfterEnd, Beginning, Desired, Exit, RefusalCode, RestartPolicy, Signal, Supervisor, SupervisorError,
    UnitSpec, UnitState, UnitStatus,
};

use crate::host::{TestHost, eventually, is_running, lives, reaches, sh, sleeper, status, stubborn, unit};

fn ended_with(status: &UnitStatus) -> Option<Exit> {
    match &status.state {
        UnitState::Stopped { last } => last.as_ref().map(|last| last.exit.clone()),
        _ => None,
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, SupervisorError>) -> RefusalCode {
    match result {
        Err(SupervisorError::Refused { source, .. }) => source.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn start_and_stop_are_idempotent() {
    let host = TestHost::new();
    let unit = host.specify("u", UnitSpec { generation: "g1".into(), ..sleeper() });
    let supervisor = host.supervisor().await;
    let before = status(&supervisor, &unit).await;
    assert_eq!((before.desired, before.generation), (Desired::Down, None));

    let first = supervisor.start(&unit).await.unwrap();
    let pid = first.state.pid().unwrap();
    assert!(lives(pid));
    assert_eq!((first.desired, first.generation.as_deref()), (Desired::Up, Some("g1")));
    host.specify("u", UnitSpec { generation: "g2".into(), ..sleeper() });
    let second = supervisor.start(&unit).await.unwrap();
    assert_eq!(second, first, "a second start changed something");

    let stopped = supervisor.stop(&unit, None, None).await.unwrap();
    assert!(!lives(pid));
    assert_eq!((stopped.desired, ended_with(&stopped)), (Desired::Down, Some(Exit::Signal { signal: 15 })));
    assert_eq!(supervisor.stop(&unit, None, None).await.unwrap(), stopped);

    let again = supervisor.start(&unit).await.unwrap();
    assert_eq!(again.generation.as_deref(), Some("g2"), "the specification is read at each start");
}

#[tokio::test]
async fn a_stop_that_comes_late_changes_nothing() {
    let host = TestHost::new();
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    let pid = supervisor.start(&unit).await.unwrap().state.pid().unwrap();
    let passed = Until::within(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let refused = supervisor.stop(&unit, None, Some(passed)).await.unwrap_err();
    assert!(
        matches!(&refused, SupervisorError::Refused { source, .. } if source.code == RefusalCode::TooLate),
        "{refused}"
    );
    let after = status(&supervisor, &unit).await;
    assert_eq!((after.desired, after.state.pid()), (Desired::Up, Some(pid)));
    assert!(lives(pid));
    // In time it stops, and one that is down is down whenever it is asked.
    supervisor.stop(&unit, None, Some(Until::within(Duration::from_secs(60)))).await.unwrap();
    assert!(!lives(pid));
    supervisor.stop(&unit, None, Some(passed)).await.unwrap();
}

#[tokio::test]
async fn a_crash_is_restarted_with_growing_delays() {
    let host = TestHost::new();
    let unit = host.specify("u", sh("date +%s%3N >>starts; exit 3"));
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    let waiting =
        reaches(&supervisor, &unit, |s| s.restarts >= 3 && matches!(s.state, UnitState::Backoff { .. }))
            .await;
    let UnitState::Backoff { restarts, next_start_in_ms, last } = waiting.state else { unreachable!() };
    assert_eq!((u64::from(restarts), last.exit), (waiting.restarts + 1, Exit::Code { code: 3 }));
    assert!((1..=50 << (restarts - 1)).contains(&next_start_in_ms), "{next_start_in_ms} ms");
    assert_eq!(waiting.desired, Desired::Up);

    let starts: Vec<u64> = host.read("starts").lines().map(|line| line.parse().unwrap()).collect();
    for (n, pair) in starts.windows(2).enumerate() {
        let (delay, least) = (pair[1] - pair[0], 50 << n);
        assert!(delay + 5 >= least, "restart {n} came after {delay} ms instead of {least}");
    }
}

#[tokio::test]
async fn a_kill_is_a_crash_and_a_restart_takes_the_new_specification() {
    let host = TestHost::new();
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    let before = supervisor.start(&unit).await.unwrap();
    host.specify("u", UnitSpec { generation: "2".into(), ..sleeper() });
    supervisor.kill(&unit, Signal::Kill).await.unwrap();
    let after = reaches(&supervisor, &unit, |s| s.restarts == 1 && is_running(s)).await;
    assert_ne!(after.state.pid(), before.state.pid());
    assert_eq!(after.generation.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_end_that_nobody_asked_for_is_cleaned_up_behind_and_started_again() {
    // As a server that is done with a failed disk, a JVM that answers SIGTERM, and programs that don't answer it.
    for (body, exit) in [
        ("exit 0", Exit::Code { code: 0 }),
        ("trap 'exit 143' TERM; kill -TERM $$", Exit::Code { code: 143 }),
        ("kill -TERM $$", Exit::Signal { signal: 15 }),
        ("kill -INT $$; sleep 9", Exit::Signal { signal: 2 }),
    ] {
        let host = TestHost::new();
        let mut spec =
            sh(&format!("echo started >>said; [ $(grep -c started said) = 2 ] && exec sleep 600; {body}"));
        spec.after_end =
            Some(AfterEnd::new("/bin/sh".into(), vec!["-c".into(), "echo cleaned >>said".into()]));
        let unit = host.specify("u", spec);
        let supervisor = host.supervisor().await;
        supervisor.start(&unit).await.unwrap();
        let again = reaches(&supervisor, &unit, |s| s.restarts == 1 && is_running(s)).await;
        assert_eq!(again.desired, Desired::Up);
        eventually("the second start", || host.read("said") == "started\ncleaned\nstarted\n").await;
        assert!(host.read("supervisor.log").contains(&format!("starting again in 50 ms after {exit}")));
    }
}

#[tokio::test]
async fn a_stop_that_was_asked_for_stays_one_for_the_next_supervisor_too() {
    let host = TestHost::new();
    let mut spec = sh("echo started >>said; exec sleep 600");
    spec.after_end = Some(AfterEnd::new("/bin/sh".into(), vec!["-c".into(), "echo cleaned >>said".into()]));
    let unit = host.specify("u", spec);
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    eventually("the start", || host.read("said") == "started\n").await;
    let down = supervisor.stop(&unit, None, None).await.unwrap();
    assert_eq!((down.desired, ended_with(&down)), (Desired::Down, Some(Exit::Signal { signal: 15 })));
    assert_eq!(host.read("said"), "started\ncleaned\n", "the stop waits for what is run behind it");
    supervisor.shutdown().await.unwrap();

    let supervisor = host.supervisor().await;
    // Longer than a restart would take.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(status(&supervisor, &unit).await.desired, Desired::Down);
    assert_eq!(host.read("said"), "started\ncleaned\n");
    supervisor.start(&unit).await.unwrap();
    eventually("a start that was asked for", || host.read("said").ends_with("cleaned\nstarted\n")).await;
}

#[tokio::test]
async fn leave_to_begin_with_an_empty_disk_serves_until_it_is_written_and_never_again() {
    let host = TestHost::new();
    let data = host.dir.join("data");
    fs::create_dir(&data).unwrap();
    let begins = Beginning::on(&data, "meta.properties");
    let spec = UnitSpec { begins: Some(begins.clone()), ..sleeper() };
    let unit = host.specify("u", spec);
    let supervisor = host.supervisor().await;
    let is_refused =
        |state: &UnitState| matches!(state, UnitState::Failed { reason } if reason.contains("leave"));
    assert!(is_refused(&supervisor.start(&unit).await.unwrap().state));

    // A first start that comes to nothing may be tried again.
    fs::write(&begins.leave, "").unwrap();
    for _ in 0..2 {
        assert!(is_running(&supervisor.start(&unit).await.unwrap()));
        supervisor.stop(&unit, None, None).await.unwrap();
    }
    assert!(begins.leave.exists());
    fs::write(&begins.written, "").unwrap();
    assert!(is_running(&supervisor.start(&unit).await.unwrap()));
    assert!(!begins.leave.exists());

    // What was on it is gone, and nobody said that this may be.
    fs::remove_file(&begins.written).unwrap();
    supervisor.kill(&unit, Signal::Kill).await.unwrap();
    reaches(&supervisor, &unit, |status| is_refused(&status.state)).await;
}

/// Why the unit has no process, where its supervisor tries again.
fn tried_again(status: &UnitStatus) -> Option<&str> {
    match &status.state {
        UnitState::Backoff { last, .. } => match &last.exit {
            Exit::NotStarted { reason } => Some(reason),
            _ => None,
        },
        _ => None,
    }
}

#[tokio::test]
async fn what_is_required_is_waited_for() {
    let host = TestHost::new();
    let marker = host.dir.join("data/marker");
    let restart = RestartPolicy { min_backoff_ms: 20, max_backoff_ms: 20 };
    let spec = UnitSpec { requires: vec![marker.clone()], restart, ..sleeper() };
    let unit = host.specify("u", spec);
    let supervisor = host.supervisor().await;
    let waits = supervisor.start(&unit).await.unwrap();
    let reason = tried_again(&waits).unwrap_or_else(|| panic!("{waits:?}"));
    assert!(reason.contains(marker.to_str().unwrap()), "{reason}");
    reaches(&supervisor, &unit, |s| s.restarts >= 3 && tried_again(s).is_some()).await;

    fs::create_dir(marker.parent().unwrap()).unwrap();
    fs::write(&marker, "").unwrap();
    reaches(&supervisor, &unit, is_running).await;

    // A crash after the disk has gone: nothing runs until it is back.
    fs::remove_file(&marker).unwrap();
    supervisor.kill(&unit, Signal::Kill).await.unwrap();
    let waits = reaches(&supervisor, &unit, |s| tried_again(s).is_some()).await;
    assert_eq!(waits.desired, Desired::Up);
    assert!(matches!(supervisor.stop(&unit, None, None).await.unwrap().state, UnitState::Stopped { .. }));
}

#[tokio::test]
async fn a_unit_is_not_started_while_another_process_listens_where_it_will() {
    let host = TestHost::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let restart = RestartPolicy { min_backoff_ms: 20, max_backoff_ms: 20 };
    let unit = host.specify("u", UnitSpec { listens: vec![address], restart, ..sleeper() });
    let supervisor = host.supervisor().await;
    let waits = supervisor.start(&unit).await.unwrap();
    let reason = tried_again(&waits).unwrap_or_else(|| panic!("{waits:?}"));
    assert!(reason.starts_with(&format!("another process has {address}")), "{reason}");
    // Whoever looks for a free port answers nobody: no connection is ever taken but by the other.
    drop(other);
    reaches(&supervisor, &unit, is_running).await;
    assert!(std::net::TcpStream::connect(address).is_err());

    // The same where it ended by itself: the other may have come since.
    let other = std::net::TcpListener::bind(address).unwrap();
    supervisor.kill(&unit, Signal::Kill).await.unwrap();
    reaches(&supervisor, &unit, |s| tried_again(s).is_some_and(|why| why.contains("another process"))).await;
    drop(other);
    reaches(&supervisor, &unit, is_running).await;
}

#[tokio::test]
async fn a_unit_is_started_soon_after_the_process_has_ended_that_had_its_address() {
    let host = TestHost::new();
    let ending = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unit = host.specify("u", UnitSpec { listens: vec![ending.local_addr().unwrap()], ..sleeper() });
    let supervisor = host.supervisor().await;
    let waits = supervisor.start(&unit).await.unwrap();
    assert!(
        tried_again(&waits).is_some_and(|why| why.contains("another process")),
        "the detector: {waits:?}"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(ending);
    let since = Instant::now();
    reaches(&supervisor, &unit, is_running).await;
    assert!(since.elapsed() < Duration::from_millis(700), "{:?}", since.elapsed());
}

#[tokio::test]
async fn what_cannot_be_started_says_which_file_is_missing_and_is_tried_again() {
    let host = TestHost::new();
    let supervisor = host.supervisor().await;
    let no_dir = UnitSpec { working_dir: Some("/nowhere".into()), ..sleeper() };
    let no_launcher = UnitSpec { launcher: vec!["/no/launcher".into()], ..sleeper() };
    for (name, spec, said) in [
        ("a", UnitSpec::new("/no/such/program", [""; 0]), "cannot start /no/such/program: "),
        ("b", no_dir, "cannot enter the working directory /nowhere: "),
        ("c", no_launcher, "cannot start /no/launcher: "),
    ] {
        let unit = host.specify(name, spec);
        let waits = supervisor.start(&unit).await.unwrap();
        assert!(tried_again(&waits).is_some_and(|reason| reason.starts_with(said)), "{waits:?}");
    }
    let unit_d = host.specify("d", sleeper());
    supervisor.start(&unit_d).await.unwrap();
    fs::remove_file(host.dir.join("units/d.json")).unwrap();
    supervisor.kill(&unit_d, Signal::Kill).await.unwrap();
    reaches(&supervisor, &unit_d, |s| tried_again(s).is_some_and(|reason| reason.contains("d.json"))).await;

    fs::write(host.dir.join("units/e.json"), "{").unwrap();
    let failed = supervisor.start(&unit("e")).await.unwrap();
    assert!(matches!(&failed.state, UnitState::Failed { reason } if reason.contains("e.json")), "{failed:?}");
    assert_eq!(refusal(supervisor.start(&unit("unknown")).await), RefusalCode::UnknownUnit);
}

#[tokio::test]
async fn a_program_that_was_away_is_started_once_it_is_back() {
    let host = TestHost::new();
    let program = host.dir.join("program");
    let restart = RestartPolicy { min_backoff_ms: 20, max_backoff_ms: 20 };
    let unit = host.specify("u", UnitSpec { restart, ..UnitSpec::new(&program, ["600"]) });
    let supervisor = host.supervisor().await;
    let waits = supervisor.start(&unit).await.unwrap();
    assert!(tried_again(&waits).is_some(), "{waits:?}");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    reaches(&supervisor, &unit, is_running).await;
}

#[tokio::test]
async fn a_host_directory_that_was_moved_is_supervised_where_it_is_now() {
    let host = TestHost::below("before/h");
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    let moved = host.dir.parent().unwrap().with_file_name("after");
    fs::rename(host.dir.parent().unwrap(), &moved).unwrap();

    let dir = moved.join("h");
    let supervisor = Supervisor::connect(&dir).await.unwrap().unwrap();
    UnitSpec { generation: "moved".into(), ..sleeper() }.store(&dir, &unit).unwrap();
    supervisor.stop(&unit, None, None).await.unwrap();
    let again = supervisor.start(&unit).await.unwrap();
    assert_eq!(again.generation.as_deref(), Some("moved"));
    supervisor.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stop_kills_after_its_timeout() {
    let host = TestHost::new();
    let unit = host.specify("u", UnitSpec { stop_timeout: 1, ..stubborn() });
    let supervisor = host.supervisor().await;
    let pid = supervisor.start(&unit).await.unwrap().state.pid().unwrap();
    eventually("the trap", || host.read("log/u.log").contains("ready")).await;
    let asked = Instant::now();
    let stopped = supervisor.stop(&unit, None, None).await.unwrap();
    assert!((950..3000).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    assert_eq!(ended_with(&stopped), Some(Exit::Signal { signal: 9 }));
    assert!(!lives(pid));
    assert_eq!(stopped.desired, Desired::Down);
}

#[tokio::test]
async fn a_frozen_process_is_stopped_without_force() {
    let host = TestHost::new();
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    supervisor.kill(&unit, Signal::Stop).await.unwrap();
    let stopped = supervisor.stop(&unit, Some(Duration::from_secs(5)), None).await.unwrap();
    assert_eq!(ended_with(&stopped), Some(Exit::Signal { signal: 15 }));
}

#[tokio::test]
async fn status_and_other_units_do_not_wait_for_a_stop() {
    let host = TestHost::new();
    let (slow, quick) = (host.specify("slow", stubborn()), host.specify("quick", sleeper()));
    let supervisor = host.supervisor().await;
    supervisor.start(&slow).await.unwrap();
    eventually("the trap", || host.read("log/slow.log").contains("ready")).await;
    let stop = tokio::spawn({
        let (supervisor, slow) = (supervisor.clone(), slow.clone());
        async move { supervisor.stop(&slow, Some(Duration::from_secs(60)), None).await }
    });
    let stopping = reaches(&supervisor, &slow, |s| matches!(s.state, UnitState::Stopping { .. })).await;
    assert_eq!(stopping.desired, Desired::Down);
    assert!(is_running(&supervisor.start(&quick).await.unwrap()));
    supervisor.stop(&quick, None, None).await.unwrap();
    assert!(!stop.is_finished());

    // A broken connection doesn't end the stop, a shorter timeout hurries it.
    stop.abort();
    let _ = stop.await;
    assert!(matches!(status(&supervisor, &slow).await.state, UnitState::Stopping { .. }));
    assert_eq!(refusal(supervisor.remove(&slow).await), RefusalCode::NotStopped);
    let stopped = supervisor.stop(&slow, Some(Duration::from_millis(100)), None).await.unwrap();
    assert_eq!(ended_with(&stopped), Some(Exit::Signal { signal: 9 }));
}

#[tokio::test]
async fn a_start_during_a_stop_starts_anew_and_a_later_stop_overtakes_it() {
    let host = TestHost::new();
    let unit = host.specify("u", stubborn());
    let supervisor = host.supervisor().await;
    for overtaken in [false, true] {
        let old = supervisor.start(&unit).await.unwrap().state.pid();
        let ready = if overtaken { 3 } else { 1 };
        eventually("the trap", || host.read("log/u.log").matches("ready").count() >= ready).await;
        let within = Some(Duration::from_millis(400));
        let asked = (supervisor.clone(), unit.clone());
        let stop = tokio::spawn(async move { asked.0.stop(&asked.1, within, None).await });
        reaches(&supervisor, &unit, |s| matches!(s.state, UnitState::Stopping { .. })).await;
        let asked = (supervisor.clone(), unit.clone());
        let start = tokio::spawn(async move { asked.0.start(&asked.1).await });
        reaches(&supervisor, &unit, |s| s.desired == Desired::Up || !is_running(s)).await;
        if overtaken {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let stopped = supervisor.stop(&unit, None, None).await.unwrap();
            assert_eq!((stopped.desired, stopped.state.is_down()), (Desired::Down, true));
            assert_eq!(refusal(start.await.unwrap()), RefusalCode::Superseded);
        } else {
            let started = start.await.unwrap().unwrap();
            assert!(is_running(&started) && started.state.pid() != old, "{started:?}");
            eventually("the new trap", || host.read("log/u.log").matches("ready").count() >= 2).await;
            supervisor.kill(&unit, Signal::Kill).await.unwrap();
            reaches(&supervisor, &unit, |s| s.restarts == 1 && is_running(s)).await;
        }
        assert!(stop.await.unwrap().unwrap().state.is_down());
    }
}

#[tokio::test]
async fn a_stop_during_back_off_is_final_and_a_start_does_not_wait() {
    let host = TestHost::new();
    let mut spec = sh("echo x >>starts; exit 1");
    spec.restart.min_backoff_ms = 60_000;
    spec.restart.max_backoff_ms = 60_000;
    let unit = host.specify("u", spec);
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    reaches(&supervisor, &unit, |s| matches!(s.state, UnitState::Backoff { .. })).await;
    supervisor.start(&unit).await.unwrap();
    eventually("the second start", || host.read("starts") == "x\nx\n").await;
    reaches(&supervisor, &unit, |s| matches!(s.state, UnitState::Backoff { .. })).await;
    assert_eq!(refusal(supervisor.kill(&unit, Signal::Kill).await), RefusalCode::NotRunning);
    let stopped = supervisor.stop(&unit, None, None).await.unwrap();
    assert_eq!((stopped.desired, ended_with(&stopped)), (Desired::Down, Some(Exit::Code { code: 1 })));
}

#[tokio::test]
async fn a_removed_unit_is_forgotten_and_removing_it_again_changes_nothing() {
    let host = TestHost::new();
    let unit = host.specify("u", sleeper());
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    assert_eq!(refusal(supervisor.remove(&unit).await), RefusalCode::NotStopped);
    supervisor.stop(&unit, None, None).await.unwrap();
    supervisor.remove(&unit).await.unwrap();
    supervisor.remove(&unit).await.unwrap();
    assert_eq!(supervisor.status().await.unwrap(), []);
    assert!(!host.dir.join("units/u.json").exists() && !host.read("run.json").contains("\"u\""));

    host.specify("u", sleeper());
    assert!(is_running(&supervisor.start(&unit).await.unwrap()), "the name can be used again");
}
