//! Local hosts: software that is an archive.

use crate::bench::{Bench, zookeeper};
use crate::local::Files;
use crate::subnet::Subnet;
use octad::host::{Backend as _, Host, LocalBackend, RunState, Staging};
use octad::model::{Deployment, File, NodeFacts, Process, Software, Source};
use octad::tool::Environment;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An archive with a program that runs until it is stopped, and one that makes the file that it is told.
fn archive() -> Vec<u8> {
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, text) in [
        ("runner-1.0/bin/run", "#!/bin/sh\ncat \"$1\"\necho \"$GREETING\"\nexec sleep 1000\n"),
        ("runner-1.0/bin/mark", "#!/bin/sh\n: >\"$1\"\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// A server that has this for whoever asks; where it is asked.
async fn served(content: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/runner-1.0.tar.gz", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let length = content.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&content).await;
        }
    });
    url
}

/// A node that runs a program of an archive and keeps no data; its fence is a program of the archive too.
fn stateless(deployment: Deployment, url: &str, sha256: &str) -> Deployment {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let source = Source::Archive { url: url.into(), sha256: sha256.into(), strip: 1 };
    let software = Software { name: "runner".into(), version: "1.0".into(), source };
    Deployment {
        facts: NodeFacts { software, ..deployment.facts },
        files: [("text".into(), File::text("from @software@\n"))].into(),
        process: Process::Program {
            executable: "bin/run".into(),
            arguments: words(&["@config@/text"]),
            environment: [("GREETING".into(), "in @runtime@".into())].into(),
        },
        stateless: true,
        data_files: Default::default(),
        written: None,
        admit: None,
        fence: Some(words(&["@software@/bin/mark", "@runtime@/fenced"])),
        watchdog: None,
        ..deployment
    }
}

#[tokio::test]
async fn a_program_of_an_archive_runs_without_a_disk_and_is_cleaned_up_behind() {
    let (site, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = archive();
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let url = served(content).await;
    let place = store.path().to_owned();
    let backend = move || {
        let environment = Environment::from_process().with("OCTAD_STORE", &place);
        LocalBackend::supervised_in(Path::new(env!("CARGO_BIN_EXE_octad")), environment)
    };
    let subnet = Subnet::local();
    let (host, zookeeper) = zookeeper(backend(), &subnet, site.path());
    let deployment = stateless(zookeeper, &url, &sha256);
    let bench = Arc::new(Bench { host, deployment, harm: Box::new(Files { site, subnet }) });
    let node = bench.host.clone();
    let test = tokio::spawn({
        let bench = bench.clone();
        async move {
            // A digest of another archive is not run, and nothing of it is left.
            let other = stateless(bench.deployment.clone(), &url, &"0".repeat(64));
            let staged = async |node: Deployment| {
                let staging = Staging { nodes: vec![node], ..Staging::of(bench.host.clone()) };
                backend().stage(&[staging], &|_, _, _| {}).await
            };
            assert!(staged(other).await.is_err());
            staged(bench.deployment.clone()).await.unwrap();
            bench.made().await;
            let run = bench.host.node(bench.name()).await.unwrap().unwrap();
            assert!(matches!(run.run, RunState::Running { current: true, .. }), "{run:?}");
            let rendered = bench.host.render(&bench.deployment);
            assert_eq!(bench.host.files(bench.name()).await.unwrap(), rendered);
            let place = bench.host.node(bench.name()).await.unwrap().unwrap();
            assert_eq!((place.data, place.altered), (true, Vec::<String>::new()));
            (place.run, rendered["text"].clone())
        }
    });
    let tested = test.await;
    let seen = match &tested {
        Ok((RunState::Running { pid, .. }, text)) => killed_and_fenced(&*node, *pid, text).await,
        _ => Ok(()),
    };
    bench.host.destroy().await.unwrap();
    tested.unwrap();
    seen.unwrap();
    assert!(bench.harm.nothing_is_left());
}

/// What a node has said so far.
async fn said(host: &dyn Host) -> Vec<String> {
    let mut lines = host.logs("zk-1", octad::host::LogQuery::default()).await.unwrap();
    let mut said = Vec::new();
    while let Some(line) = lines.recv().await {
        said.push(line.text);
    }
    said
}

/// Waits until a node has said all that it says at its start, kills it, and waits until it has been cleaned up behind, was
/// started again, and has said it once more.
async fn killed_and_fenced(host: &dyn Host, pid: u32, text: &str) -> Result<(), String> {
    let mut killed = false;
    let begun = Instant::now();
    loop {
        let found = host.node("zk-1").await.unwrap().unwrap();
        let said = said(host).await;
        let runtimes: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("in ")).collect();
        let texts = said.iter().filter(|line| format!("{line}\n") == text).count();
        match (runtimes.len(), texts) {
            (1, 1) if !killed => {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                killed = true;
            }
            (2, 2) if matches!(found.run, RunState::Running { restarts: 1, .. }) => {
                let fenced = Path::new(runtimes[0]).join("fenced");
                return fenced.exists().then_some(()).ok_or(format!("{} isn't there", fenced.display()));
            }
            _ => {}
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(format!("{found:?} {said:?} {text}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
