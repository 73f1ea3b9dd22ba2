//! Local hosts: the contracts that they hold, and what they do alone.

use crate::bench::{Bench, Harm, beginning, declared, hold, zookeeper};
use crate::subnet::Subnet;
use crate::{any, drillable};
use octad::host::{LocalBackend, RunState};
use octad::supervisor::{UnitName, UnitSpec};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The files of a local host, and the addresses that it has one of.
pub(crate) struct Files {
    pub(crate) site: tempfile::TempDir,
    pub(crate) subnet: Subnet,
}

impl Files {
    pub(crate) fn node(&self) -> PathBuf {
        self.site.path().join("hosts/zk-1/nodes/zk-1")
    }
}

impl Harm for Files {
    fn alter_file(&self) {
        std::fs::write(self.node().join("current/zoo.cfg"), "clientPort=1\n").unwrap();
    }

    fn put_foreign_data(&self) {
        std::fs::create_dir_all(self.node().join("data")).unwrap();
        std::fs::write(self.node().join("data/precious"), "not ours").unwrap();
    }

    fn lose_data(&self) {
        std::fs::rename(self.node().join("data"), self.site.path().join("unmounted")).unwrap();
        std::fs::create_dir(self.node().join("data")).unwrap();
    }

    fn nothing_is_left(&self) -> bool {
        std::fs::read_dir(self.site.path()).unwrap().next().is_none()
    }
}

fn local() -> Bench {
    let (site, subnet) = (tempfile::tempdir().unwrap(), Subnet::local());
    let backend = LocalBackend::supervised_by(Path::new(env!("CARGO_BIN_EXE_octad")));
    let (host, deployment) = zookeeper(backend, &subnet, site.path());
    Bench { host, deployment, harm: Box::new(Files { site, subnet }) }
}

#[tokio::test]
async fn local_hosts_do_what_any_host_must() {
    hold(&local, any::CONTRACT).await;
}

#[tokio::test]
async fn local_hosts_can_be_drilled() {
    hold(&local, drillable::CONTRACT).await;
}

#[tokio::test]
async fn a_node_is_not_started_where_another_process_has_one_of_its_ports() {
    let bench = local();
    bench.host.boot().await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.install(&bench.deployment).await.unwrap();
    let address = bench.deployment.facts.endpoint("client").unwrap();
    let other = std::net::TcpListener::bind(&address).unwrap();
    let told = bench.host.start(bench.name()).await.unwrap_err().to_string();
    let wanted = format!("zk-1 did not start: another process has {address}");
    assert!(told.starts_with(&wanted), "{told}");
    assert!(matches!(bench.node().await.run, RunState::Failed { .. }));
    drop(other);
    bench.host.start(bench.name()).await.unwrap();
    bench.host.destroy().await.unwrap();
}

#[tokio::test]
async fn a_formatting_that_was_cut_off_before_the_disk_was_signed_is_gone_on_with() {
    let site = tempfile::tempdir().unwrap();
    let (host, deployment) = zookeeper(
        LocalBackend::supervised_by(Path::new(env!("CARGO_BIN_EXE_octad"))),
        &Subnet::local(),
        site.path(),
    );
    let data = site.path().join("hosts/zk-1/nodes/zk-1/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("myid"), "1\n").unwrap();
    // The sign is written beside its place first.
    std::fs::write(data.join("octad-data.new"), "{").unwrap();
    host.format(&beginning(&deployment, true)).await.unwrap();
    assert!(data.join("octad-data.json").exists());
}

#[tokio::test]
async fn what_a_local_host_runs_of_octad_does_not_depend_on_where_octad_lay() {
    let site = tempfile::tempdir().unwrap();
    let octad = site.path().join("clone");
    let build = |at: SystemTime| {
        std::fs::copy(env!("CARGO_BIN_EXE_octad"), &octad).unwrap();
        std::fs::File::options().append(true).open(&octad).unwrap().set_modified(at).unwrap();
    };
    let installed = async || {
        let backend = LocalBackend::supervised_by(&octad);
        let text = "program = \"ha\"\n";
        let (host, broker) = declared(backend, text, "broker-1", site.path());
        std::fs::create_dir_all(site.path().join("hosts/broker-1")).unwrap();
        host.install(&broker).await.unwrap();
        let unit = UnitName::new("broker-1").unwrap();
        let spec = UnitSpec::load(&site.path().join("hosts/broker-1"), &unit).unwrap();
        [PathBuf::from(&spec.launcher[0]), spec.after_end.unwrap().program]
    };
    let answers = |programs: &[PathBuf; 2]| {
        programs
            .iter()
            .all(|one| Command::new(one).arg("--version").output().is_ok_and(|o| o.status.success()))
    };

    build(SystemTime::UNIX_EPOCH);
    let first = installed().await;
    std::fs::remove_file(&octad).unwrap();
    assert!(answers(&first), "{first:?}: the watchdog and the fence are gone with the clone");

    // What was set up by another build may run until its next start, and is forgotten after that.
    build(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    let second = installed().await;
    assert!(second != first && answers(&second) && answers(&first));
    installed().await;
    assert!(answers(&second) && !first[0].exists());
}
