//! Class-data archives, with a shell script in the place of the JVM's dump.

use std::{fs, path::Path};

use octad::supervisor::{ArchiveSpec, DumpCommand, Supervisor, UnitName, UnitSpec, UnitState};

use crate::host::{TestHost, children, eventually, lives, sh};

/// A unit that says which arguments it got; its archive is made by `dump`, a script that finds the archive's place in
/// `$0`.
fn archived_by(host: &Path, dump: &str) -> UnitSpec {
    let mut spec = sh("echo \"started with ${use:-nothing}\"; exec sleep 600");
    spec.program = "/usr/bin/env".into();
    spec.args.insert(0, "/bin/sh".into());
    spec.archive = Some(ArchiveSpec {
        path: host.join("shared.jsa"),
        present: vec!["use={archive}".into()],
        dump: DumpCommand {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), dump.into(), "{archive}".into()],
        },
        after_secs: 0,
    });
    spec
}

async fn restart(supervisor: &Supervisor, unit: &UnitName) {
    supervisor.stop(unit, None, None).await.unwrap();
    supervisor.start(unit).await.unwrap();
}

fn leftovers(host: &TestHost) -> Vec<String> {
    let names =
        fs::read_dir(&host.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".tmp")).collect()
}

#[tokio::test]
async fn an_archive_is_made_behind_the_first_start_and_used_by_the_next() {
    let host = TestHost::new();
    let dump = "cut -d' ' -f19 /proc/self/stat >\"$0\"";
    let unit = host.specify("u", archived_by(&host.dir, dump));
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    eventually("the archive", || host.dir.join("shared.jsa").exists()).await;
    assert_eq!(host.read("shared.jsa"), "19\n", "nice value");
    restart(&supervisor, &unit).await;
    let archive = host.dir.join("shared.jsa");
    eventually("the second start", || {
        let log = host.read("log/u.log");
        log.contains("started with nothing") && log.contains(&format!("started with {}", archive.display()))
    })
    .await;
    assert!(leftovers(&host).is_empty());
}

#[tokio::test]
async fn a_failed_dump_hurts_nobody_and_is_tried_again_at_the_next_start() {
    let host = TestHost::new();
    let dump = "[ -e mended ] && echo good >\"$0\" && exit; echo half >\"$0\"; echo no luck; exit 7";
    let unit = host.specify("u", archived_by(&host.dir, dump));
    let supervisor = host.supervisor().await;
    let started = supervisor.start(&unit).await.unwrap();
    eventually("the failure in the log", || {
        let log = host.read("supervisor.log");
        log.contains("could not make") && log.contains("exit code 7") && log.contains("no luck")
    })
    .await;
    assert!(!host.dir.join("shared.jsa").exists() && leftovers(&host).is_empty());
    let now = supervisor.start(&unit).await.unwrap();
    assert_eq!(now.state, started.state, "the unit was touched");

    fs::write(host.dir.join("mended"), "").unwrap();
    restart(&supervisor, &unit).await;
    eventually("the archive", || host.read("shared.jsa") == "good\n").await;
}

#[tokio::test]
async fn a_dump_that_cannot_even_start_is_only_logged() {
    let host = TestHost::new();
    let mut spec = archived_by(&host.dir, "");
    spec.archive.as_mut().unwrap().dump.program = "/no/such/java".into();
    let unit = host.specify("u", spec);
    let supervisor = host.supervisor().await;
    supervisor.start(&unit).await.unwrap();
    eventually("the failure in the log", || host.read("supervisor.log").contains("/no/such/java")).await;
    assert!(matches!(supervisor.start(&unit).await.unwrap().state, UnitState::Running { .. }));
}

#[tokio::test]
async fn a_stop_ends_a_running_dump_and_leaves_nothing() {
    let host = TestHost::new();
    let unit =
        host.specify("u", archived_by(&host.dir, "echo half >\"$0\"; echo $$ >dump.pid; sleep 600; :"));
    for shut_down in [false, true] {
        let supervisor = host.supervisor().await;
        supervisor.start(&unit).await.unwrap();
        eventually("the dump", || !host.read("dump.pid").is_empty()).await;
        let dump: u32 = host.read("dump.pid").trim().parse().unwrap();
        let inner = children(dump);
        assert!(lives(dump) && leftovers(&host).len() == 1);
        if shut_down {
            supervisor.shutdown().await.unwrap();
        } else {
            supervisor.stop(&unit, None, None).await.unwrap();
        }
        eventually("the end of the dump", || !lives(dump) && !inner.iter().any(|pid| lives(*pid))).await;
        assert!(leftovers(&host).is_empty() && !host.dir.join("shared.jsa").exists());
        fs::remove_file(host.dir.join("dump.pid")).unwrap();
    }
}

#[tokio::test]
async fn hosts_that_share_an_archive_make_it_once() {
    let (first, second) = (TestHost::new(), TestHost::new());
    let dump = "echo x >>\"$0.count\"; while [ ! -e go ]; do sleep 0.02; done; echo made >\"$0\"";
    let mut supervisors = Vec::new();
    for host in [&first, &second] {
        let mut spec = archived_by(&host.dir, dump);
        spec.archive.as_mut().unwrap().path = first.dir.join("shared.jsa");
        let unit = host.specify("u", spec);
        let supervisor = host.supervisor().await;
        supervisor.start(&unit).await.unwrap();
        eventually("the dump", || !first.read("shared.jsa.tmp.count").is_empty()).await;
        supervisors.push(supervisor);
    }
    // The second one has met the lock by now: its unit said so later than its timer came.
    eventually("the second start", || second.read("log/u.log").contains("started")).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    fs::write(first.dir.join("go"), "").unwrap();
    eventually("the archive", || first.read("shared.jsa") == "made\n").await;
    assert_eq!(first.read("shared.jsa.tmp.count"), "x\n");
    assert!(!second.read("supervisor.log").contains("archive"));
}
