//! What every host backend must do, as one suite over the traits. The fake world and local hosts (with a real Java and
//! a real ZooKeeper server) both pass it; a new backend joins by a [`Bench`] of its own.

#[path = "support/skip.rs"]
mod skip;

use octad::clock::Until;
use octad::host::{
    Ability, Backend, Cut, Drillable, FakeWorld, Host, HostError, Identity, LocalBackend, NodeObservation,
    RunState, Staging,
};
use octad::model::{Deployment, File, HostInputs, Key, NodeFacts, Output, Process, Software, Source};
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::role::{Role as _, Zookeeper};
use octad::supervisor::{UnitName, UnitSpec};
use octad::tool::Environment;
use sha2::{Digest as _, Sha256};
use skip::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const STOP: Duration = Duration::from_secs(30);

/// One host of a backend, with one node that may be put on it, and the means to do it harm.
struct Bench {
    host: Arc<dyn Host>,
    deployment: Deployment,
    harm: Box<dyn Harm>,
}

/// What another hand may do.
trait Harm: Send + Sync {
    /// Changes a file of the generation in place.
    fn alter_file(&self);
    /// Puts somebody else's data where the node's will be.
    fn put_foreign_data(&self);
    /// Takes the data disk away.
    fn lose_data(&self);
    /// Whether nothing is left of the host.
    fn nothing_is_left(&self) -> bool;
}

/// The bench's host, for what drills do.
fn drilled(bench: &Bench) -> &dyn Drillable {
    bench.host.drillable().expect("local hosts can be drilled")
}

/// A server of this ensemble, whose group has never held data where it is to `bootstrap`.
fn beginning(deployment: &Deployment, bootstrap: bool) -> Deployment {
    Deployment { data_files: Zookeeper.data_files(&deployment.facts, bootstrap), ..deployment.clone() }
}

impl Bench {
    fn name(&self) -> &str {
        &self.deployment.facts.node
    }

    fn with_setting(&self, name: &str, value: &str) -> Deployment {
        let mut other = self.deployment.clone();
        other.facts.settings.insert(name.into(), Output::from(value));
        Zookeeper.deployment(other.facts)
    }

    async fn node(&self) -> NodeObservation {
        self.host.node(self.name()).await.unwrap().expect("the host knows the node")
    }

    /// Brings the node up.
    async fn made(&self) -> &Self {
        self.host.boot().await.unwrap();
        self.host.format(&beginning(&self.deployment, true)).await.unwrap();
        self.host.install(&self.deployment).await.unwrap();
        self.host.start(self.name()).await.unwrap();
        self
    }

    async fn pid(&self) -> u32 {
        match self.node().await.run {
            RunState::Running { pid, .. } => pid,
            other => panic!("it does not run: {other:?}"),
        }
    }

    async fn is_current(&self) -> bool {
        match self.node().await.run {
            RunState::Running { current, .. } => current,
            other => panic!("it does not run: {other:?}"),
        }
    }
}

async fn a_host_comes_to_be_once(bench: &Bench) {
    assert_eq!(bench.host.power().await.unwrap(), None);
    assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
    assert!(bench.host.nodes().await.unwrap().is_empty());
    let address = bench.host.boot().await.unwrap();
    assert_eq!(bench.host.boot().await.unwrap(), address);
    assert_eq!(bench.host.power().await.unwrap(), Some(true));
    assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
}

async fn a_node_is_formatted_once(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.format(&beginning(&bench.deployment, false)).await.unwrap();
    assert_eq!(bench.host.nodes().await.unwrap(), [bench.name().to_owned()].into());
    let node = bench.node().await;
    assert!(node.data);
    assert_eq!((node.facts, node.run), (None, RunState::Stopped));
}

async fn foreign_data_is_not_formatted(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.harm.put_foreign_data();
    for _ in 0..2 {
        let refused = bench.host.format(&beginning(&bench.deployment, true)).await;
        assert!(matches!(refused, Err(HostError::ForeignData { .. })), "{refused:?}");
    }
    assert!(!bench.node().await.data);
    assert_eq!(bench.host.nodes().await.unwrap(), [bench.name().to_owned()].into());
}

async fn data_of_another_id_is_foreign(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    let mut other = bench.deployment.clone();
    other.facts.id += 1;
    let refused = bench.host.format(&beginning(&other, true)).await;
    assert!(matches!(refused, Err(HostError::ForeignData { .. })), "{refused:?}");
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
}

async fn the_same_files_are_the_same_generation(bench: &Bench) {
    bench.host.boot().await.unwrap();
    let first = bench.host.install(&bench.deployment).await.unwrap();
    let again = bench.host.install(&bench.deployment).await.unwrap();
    assert_eq!(first, again);
    let other = bench.host.install(&bench.with_setting("maxClientCnxns", "61")).await.unwrap();
    assert_ne!(first, other);
    assert_eq!(bench.host.install(&bench.deployment).await.unwrap(), first);
    let node = bench.node().await;
    assert_eq!(node.facts, Some(serde_json::to_value(&bench.deployment.facts).unwrap()));
    assert_eq!(node.altered, Vec::<String>::new());
    assert!(!node.data);
}

async fn altered_files_are_seen_and_put_right(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.install(&bench.deployment).await.unwrap();
    bench.harm.alter_file();
    assert_eq!(bench.node().await.altered, ["zoo.cfg"]);
    let rendered = bench.host.render(&bench.deployment);
    let mut lying = bench.host.files("zk-1").await.unwrap();
    assert_ne!(lying.remove("zoo.cfg"), rendered.get("zoo.cfg").cloned());
    assert!(lying.iter().all(|(name, text)| rendered.get(name) == Some(text)));
    bench.host.install(&bench.deployment).await.unwrap();
    assert_eq!(bench.node().await.altered, Vec::<String>::new());
    assert_eq!(bench.host.files("zk-1").await.unwrap(), rendered);
}

async fn a_node_without_data_does_not_start(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.install(&bench.deployment).await.unwrap();
    let refused = bench.host.start(bench.name()).await;
    assert!(matches!(refused, Err(HostError::NotStarted { .. })), "{refused:?}");
    assert!(matches!(bench.node().await.run, RunState::Failed { .. }));
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    bench.host.start(bench.name()).await.unwrap();
    assert!(bench.is_current().await);
}

async fn a_node_that_lost_its_data_does_not_start(bench: &Bench) {
    bench.made().await;
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.harm.lose_data();
    assert!(!bench.node().await.data);
    let refused = bench.host.start(bench.name()).await;
    assert!(matches!(refused, Err(HostError::NotStarted { .. })), "{refused:?}");
}

async fn a_node_that_lost_its_data_can_be_given_an_empty_disk(bench: &Bench) {
    bench.made().await;
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.harm.lose_data();
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    assert!(bench.node().await.data);
    bench.host.start(bench.name()).await.unwrap();
    assert!(bench.is_current().await);
}

async fn a_stop_that_comes_late_changes_nothing(bench: &Bench) {
    bench.made().await;
    let before = bench.node().await;
    let passed = Until::within(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let refused = bench.host.stop(bench.name(), STOP, Some(passed)).await;
    assert!(matches!(refused, Err(HostError::TooLate { .. })), "{refused:?}");
    let pid = |node: &NodeObservation| match node.run {
        RunState::Running { pid, .. } => pid,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(pid(&bench.node().await), pid(&before));
    bench.host.stop(bench.name(), STOP, Some(Until::within(Duration::from_secs(60)))).await.unwrap();
    assert_eq!(bench.node().await.run, RunState::Stopped);
}

async fn a_running_node_is_not_started_again(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    bench.host.start(bench.name()).await.unwrap();
    assert_eq!(bench.pid().await, pid);
}

async fn a_new_generation_waits_for_a_restart(bench: &Bench) {
    bench.made().await;
    let pid = bench.pid().await;
    assert!(bench.is_current().await);
    bench.host.install(&bench.deployment).await.unwrap();
    assert!(bench.is_current().await, "the same generation again changes nothing");
    bench.host.install(&bench.with_setting("maxClientCnxns", "61")).await.unwrap();
    assert!(!bench.is_current().await);
    assert_eq!(bench.pid().await, pid, "what runs goes on");
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.host.start(bench.name()).await.unwrap();
    assert!(bench.is_current().await);
}

async fn a_stop_is_final_and_may_be_repeated(bench: &Bench) {
    bench.made().await;
    for _ in 0..2 {
        bench.host.stop(bench.name(), STOP, None).await.unwrap();
        assert_eq!(bench.node().await.run, RunState::Stopped);
    }
    assert!(bench.node().await.data);
}

async fn a_renamed_node_goes_on_with_its_data(bench: &Bench) {
    let mut renamed = bench.deployment.clone();
    renamed.facts.node = "zk-a".into();
    let there = || bench.host.node("zk-a");
    bench.made().await;
    assert!(bench.host.rename(bench.name(), "zk-a").await.is_err(), "it runs");
    assert_eq!(there().await.unwrap(), None);
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    for _ in 0..2 {
        bench.host.rename(bench.name(), "zk-a").await.unwrap();
        assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
        let node = there().await.unwrap().unwrap();
        assert_eq!((node.data, node.run), (true, RunState::Stopped));
    }
    // It holds what it held, and its marker has the new name.
    let mut other = renamed.clone();
    other.facts.id += 1;
    let refused = bench.host.format(&beginning(&other, true)).await;
    assert!(matches!(refused, Err(HostError::ForeignData { .. })), "{refused:?}");
    bench.host.format(&beginning(&renamed, true)).await.unwrap();
    bench.host.install(&renamed).await.unwrap();
    bench.host.start("zk-a").await.unwrap();
    let node = there().await.unwrap().unwrap();
    assert_eq!(node.facts, Some(serde_json::to_value(&renamed.facts).unwrap()));
    assert!(matches!(node.run, RunState::Running { current: true, .. }));
    bench.host.rename(bench.name(), "zk-a").await.unwrap();
    assert!(matches!(there().await.unwrap().unwrap().run, RunState::Running { current: true, .. }));
    // Nothing is left that its host would start by the old name.
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
    bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
    let taken = bench.host.rename(bench.name(), "zk-a").await;
    assert!(matches!(taken, Err(HostError::NameTaken { .. })), "{taken:?}");
}

async fn an_unknown_node_is_stopped_renamed_and_removed_already(bench: &Bench) {
    bench.host.boot().await.unwrap();
    bench.host.stop("nobody", STOP, None).await.unwrap();
    bench.host.rename("nobody", "somebody").await.unwrap();
    bench.host.remove("nobody").await.unwrap();
    assert!(bench.host.start("nobody").await.is_err());
    assert_eq!(bench.host.node("nobody").await.unwrap(), None);
}

async fn a_removed_node_is_gone_with_its_data(bench: &Bench) {
    bench.made().await;
    assert!(bench.host.remove(bench.name()).await.is_err(), "it runs");
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    for _ in 0..2 {
        bench.host.remove(bench.name()).await.unwrap();
        assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
    }
    bench.made().await;
    assert!(bench.is_current().await);
}

async fn a_halted_host_keeps_all_and_starts_what_ran(bench: &Bench) {
    bench.made().await;
    for _ in 0..2 {
        bench.host.halt().await.unwrap();
        assert_eq!(bench.host.power().await.unwrap(), Some(false));
    }
    let node = bench.node().await;
    assert_eq!((node.data, node.run), (true, RunState::Stopped));
    assert!(bench.host.start(bench.name()).await.is_err(), "the host is down");
    // A host that is down can't be told to forget what it ran.
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.host.boot().await.unwrap();
    let begun = Instant::now();
    while !matches!(bench.node().await.run, RunState::Running { current: true, .. }) {
        assert!(begun.elapsed() < Duration::from_secs(10), "its host does not start it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.host.stop(bench.name(), STOP, None).await.unwrap();
    bench.host.halt().await.unwrap();
    bench.host.boot().await.unwrap();
    assert_eq!(bench.node().await.run, RunState::Stopped, "what was stopped stays so");
}

async fn a_destroyed_host_leaves_nothing(bench: &Bench) {
    bench.made().await;
    for _ in 0..2 {
        bench.host.destroy().await.unwrap();
        assert_eq!(bench.host.power().await.unwrap(), None);
        assert_eq!(bench.host.node(bench.name()).await.unwrap(), None);
        assert!(bench.harm.nothing_is_left());
    }
}

/// Runs the whole contract, each part on a bench of its own.
async fn hold(make: &dyn Fn(u8) -> Bench) {
    let mut subnet = 0;
    macro_rules! part {
        ($($contract:ident),+ $(,)?) => {$(
            subnet += 1;
            let bench = Arc::new(make(subnet));
            let part = tokio::spawn({
                let bench = bench.clone();
                async move { $contract(&bench).await }
            });
            let result = part.await;
            // Nothing is left running, whatever came of it.
            let destroyed = bench.host.destroy().await;
            if let Err(failed) = result {
                eprintln!("{} does not hold", stringify!($contract));
                std::panic::resume_unwind(failed.into_panic());
            }
            destroyed.unwrap();
        )+};
    }
    part!(
        a_host_comes_to_be_once,
        a_node_is_formatted_once,
        foreign_data_is_not_formatted,
        data_of_another_id_is_foreign,
        the_same_files_are_the_same_generation,
        altered_files_are_seen_and_put_right,
        a_node_without_data_does_not_start,
        a_node_that_lost_its_data_does_not_start,
        a_node_that_lost_its_data_can_be_given_an_empty_disk,
        a_stop_that_comes_late_changes_nothing,
        a_running_node_is_not_started_again,
        a_new_generation_waits_for_a_restart,
        a_stop_is_final_and_may_be_repeated,
        a_renamed_node_goes_on_with_its_data,
        an_unknown_node_is_stopped_renamed_and_removed_already,
        a_removed_node_is_gone_with_its_data,
        a_halted_host_keeps_all_and_starts_what_ran,
        a_destroyed_host_leaves_nothing,
    );
}

/// A ZooKeeper server that stands alone, as the program `minimal` declares it.
fn zookeeper(backend: impl Backend + 'static, subnet: u8, site: &Path) -> (Arc<dyn Host>, Deployment) {
    zookeeper_at(backend, &format!("hosts.subnet = \"127.91.{subnet}.0/24\"\n"), site)
}

/// The same on hosts with these lines in the stack file.
fn zookeeper_at(backend: impl Backend + 'static, hosts: &str, site: &Path) -> (Arc<dyn Host>, Deployment) {
    let text = format!("program = \"minimal\"\nhosts.backend = \"{}\"\n{hosts}", backend.name());
    declared(backend, &text, "zk-1", site)
}

/// A node that a stack file declares, and its host.
fn declared(
    backend: impl Backend + 'static,
    text: &str,
    node: &str,
    site: &Path,
) -> (Arc<dyn Host>, Deployment) {
    let name = backend.name();
    let registry = Registry::standard().backend(backend);
    let stack = StackFile::of_text("contract".parse().unwrap(), text)
        .declare(&Programs::standard(), &registry)
        .unwrap();
    let inputs = |kind: &str| stack.resources[&Key::new(kind, node)].inputs.clone();
    let host: HostInputs = serde_json::from_value(inputs("host")).unwrap();
    let facts: NodeFacts = serde_json::from_value(inputs("node")).unwrap();
    let host = registry.backend_named(name).unwrap().host(site, node, &host, Identity::Name).unwrap();
    (host, registry.role_named(&facts.role).unwrap().deployment(facts))
}

impl Harm for FakeWorld {
    fn alter_file(&self) {
        FakeWorld::alter_file(self, "zk-1", "zoo.cfg");
    }

    fn put_foreign_data(&self) {
        FakeWorld::put_foreign_data(self, "zk-1", "zk-1");
    }

    fn lose_data(&self) {
        FakeWorld::lose_data(self, "zk-1");
    }

    fn nothing_is_left(&self) -> bool {
        self.is_empty()
    }
}

#[tokio::test]
async fn the_fake_world_holds_the_contract() {
    hold(&|subnet| {
        let world = FakeWorld::new();
        let (host, deployment) = zookeeper(world.backend(), subnet, Path::new("nowhere"));
        Bench { host, deployment, harm: Box::new(world) }
    })
    .await;
}

/// The files of a local host.
struct Files {
    site: tempfile::TempDir,
}

impl Files {
    fn node(&self) -> PathBuf {
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

/// The files, the disk and the network of an isolated host.
struct Isolated {
    files: Files,
    subnet: u8,
}

impl Isolated {
    fn disk(&self) -> PathBuf {
        self.files.node().join("disk.img")
    }

    fn unmount(&self) {
        let unmounted = Command::new("umount").arg(self.files.node().join("data")).status().unwrap();
        assert!(unmounted.success());
    }
}

impl Harm for Isolated {
    fn alter_file(&self) {
        self.files.alter_file();
    }

    fn put_foreign_data(&self) {
        self.files.put_foreign_data();
    }

    fn lose_data(&self) {
        self.unmount();
        std::fs::remove_file(self.disk()).unwrap();
    }

    fn nothing_is_left(&self) -> bool {
        let site = self.files.site.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mut devices = std::fs::read_dir("/sys/block").unwrap().flatten();
        let backed = |device: std::fs::DirEntry| {
            std::fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default()
        };
        let loops = devices.any(|device| backed(device).contains(&site));
        let network = format!("10.91.{}.0/24", self.subnet);
        let addresses = Command::new("ip").args(["-o", "address", "show", "to", &network]).output().unwrap();
        // As the namespaces of all hosts of the site are called.
        let digest = Sha256::digest(site.as_bytes());
        let prefix = format!("octad-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
        let namespaces = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let namespaces = namespaces.filter(|name| name.file_name().to_string_lossy().starts_with(&prefix));
        let switch = Path::new("/sys/class/net").join(&prefix).exists();
        let network = switch || namespaces.count() > 0 || !addresses.stdout.is_empty();
        self.files.nothing_is_left() && !mounts.contains(&site) && !loops && !network
    }
}

/// A host in a namespace with a disk; `None`, and said so, where this machine can't have one.
fn isolated(subnet: u8) -> Option<(Bench, Arc<Isolated>)> {
    let site = tempfile::tempdir().unwrap();
    let backend = LocalBackend::supervised_by(Path::new(env!("CARGO_BIN_EXE_octad")));
    let hosts =
        format!("hosts.subnet = \"10.91.{subnet}.0/24\"\nhosts.isolation = \"netns\"\nhosts.disk-mib = 64\n");
    let (host, deployment) = zookeeper_at(backend, &hosts, site.path());
    let lacking = host.check().err().map(|error| error.to_string());
    if let Some(lacking) = lacking.or_else(|| host.lacks(Ability::Cut)) {
        skip(&format!("isolated hosts are not tested: {lacking}"));
        return None;
    }
    let harm = Arc::new(Isolated { files: Files { site }, subnet });
    Some((Bench { host, deployment, harm: Box::new(harm.clone()) }, harm))
}

impl Harm for Arc<Isolated> {
    fn alter_file(&self) {
        (**self).alter_file();
    }

    fn put_foreign_data(&self) {
        (**self).put_foreign_data();
    }

    fn lose_data(&self) {
        (**self).lose_data();
    }

    fn nothing_is_left(&self) -> bool {
        (**self).nothing_is_left()
    }
}

#[tokio::test]
async fn a_formatting_that_was_cut_off_before_the_disk_was_signed_is_gone_on_with() {
    let site = tempfile::tempdir().unwrap();
    let (host, deployment) =
        zookeeper(LocalBackend::supervised_by(Path::new(env!("CARGO_BIN_EXE_octad"))), 210, site.path());
    let data = site.path().join("hosts/zk-1/nodes/zk-1/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("myid"), "1\n").unwrap();
    // The sign is written beside its place first.
    std::fs::write(data.join("octad-data.new"), "{").unwrap();
    host.format(&beginning(&deployment, true)).await.unwrap();
    assert!(data.join("octad-data.json").exists());
}

#[tokio::test]
async fn isolated_local_hosts_hold_the_contract() {
    if isolated(1).is_some() {
        hold(&|subnet| isolated(subnet).expect("it was had before").0).await;
    }
}

/// What one more connection to the server gives within a second; `None` where it gives nothing at all.
async fn asked(address: &str) -> Option<std::io::Result<String>> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        answered(&mut stream).await
    };
    tokio::time::timeout(Duration::from_secs(1), ask).await.ok()
}

async fn answered(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"ruok").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map(|_| answer)
}

async fn serves(address: &str) {
    let begun = Instant::now();
    while !matches!(asked(address).await, Some(Ok(answer)) if answer == "imok") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it doesn't serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs `test`, and removes the host whatever came of it.
async fn with_isolated<F: Future<Output = ()> + Send + 'static>(
    subnet: u8,
    test: impl FnOnce(Arc<Bench>, Arc<Isolated>) -> F,
) {
    let Some((bench, harm)) = isolated(subnet) else { return };
    let bench = Arc::new(bench);
    let result = tokio::spawn(test(bench.clone(), harm)).await;
    let destroyed = bench.host.destroy().await;
    if let Err(failed) = result {
        std::panic::resume_unwind(failed.into_panic());
    }
    destroyed.unwrap();
    assert!(bench.harm.nothing_is_left());
}

#[tokio::test]
async fn an_isolated_host_that_is_cut_off_says_nothing_until_it_is_mended() {
    with_isolated(101, async |bench: Arc<Bench>, _| {
        bench.made().await;
        let address = "10.91.101.11:2181";
        serves(address).await;
        let machine = [[10, 91, 101, 254].into()];
        for cut in [Cut::off(), Cut::off_from(machine), Cut::deaf()] {
            let mut before = TcpStream::connect(address).await.unwrap();
            for _ in 0..2 {
                drilled(&bench).cut(&cut).await.unwrap();
            }
            assert_eq!(drilled(&bench).disturbance(), Some("cut off"));
            assert!(asked(address).await.is_none(), "{cut:?}: a new connection hears of it");
            let silent = tokio::time::timeout(Duration::from_secs(1), answered(&mut before)).await;
            assert!(silent.is_err(), "{cut:?}: an old connection hears of it: {silent:?}");
            // Packets that got lost are sent again.
            drilled(&bench).mend().await.unwrap();
            assert_eq!(drilled(&bench).disturbance(), None);
            serves(address).await;
            let mut rest = String::new();
            let late = tokio::time::timeout(Duration::from_secs(20), before.read_to_string(&mut rest)).await;
            assert!(matches!(late, Ok(Ok(_))) && rest == "imok", "{cut:?}: {late:?} {rest}");
        }
        drilled(&bench).cut(&Cut::off_from([[10, 91, 101, 77].into()])).await.unwrap();
        serves(address).await;
        drilled(&bench).cut(&Cut::off()).await.unwrap();
        bench.host.boot().await.unwrap();
        serves(address).await;
    })
    .await;
}

#[tokio::test]
async fn a_disk_of_its_own_is_filled_freed_and_never_taken_for_lost_while_it_is_unmounted() {
    with_isolated(102, async |bench: Arc<Bench>, harm: Arc<Isolated>| {
        bench.made().await;
        let file = harm.files.node().join("data/more");
        let write = || std::fs::write(&file, [1; 1 << 16]);
        write().unwrap();
        std::fs::remove_file(&file).unwrap();
        drilled(&bench).fill_disk(bench.name()).await.unwrap();
        assert_eq!(drilled(&bench).disturbance(), Some("left with a full disk"));
        assert_eq!(write().map_err(|error| error.kind()), Err(std::io::ErrorKind::StorageFull));
        drilled(&bench).mend().await.unwrap();
        write().unwrap();

        bench.host.stop(bench.name(), STOP, None).await.unwrap();
        harm.unmount();
        assert!(!file.exists(), "the detector: it is unmounted");
        assert!(bench.node().await.data);
        bench.host.start(bench.name()).await.unwrap();
        assert!(file.exists() && bench.is_current().await);
    })
    .await;
}

#[tokio::test]
async fn a_host_that_loses_power_comes_back_without_what_was_not_on_its_disk_yet() {
    with_isolated(103, async |bench: Arc<Bench>, harm: Arc<Isolated>| {
        bench.made().await;
        let address = "10.91.103.11:2181";
        serves(address).await;
        let data = harm.files.node().join("data");
        let [lost, synced, spared] =
            ["expendable-1/lost", "expendable-1/synced", "precious/spared"].map(|file| data.join(file));
        let write = || {
            for file in [&lost, &synced, &spared] {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, "written").unwrap();
            }
            std::fs::File::open(&synced).unwrap().sync_all().unwrap();
        };
        let left =
            || [&lost, &synced, &spared].map(|file| std::fs::read(file).unwrap_or_default() == b"written");

        write();
        drilled(&bench).lose().await.unwrap();
        bench.host.boot().await.unwrap();
        assert_eq!(left(), [true; 3], "the detector: the kernel keeps what a killed process has written");
        serves(address).await;
        std::fs::remove_dir_all(data.join("expendable-1")).unwrap();
        rustix::fs::syncfs(std::fs::File::open(&data).unwrap()).unwrap();

        write();
        drilled(&bench).lose().await.unwrap();
        drilled(&bench).shut_disks_down("expendable").await.unwrap();
        assert_eq!(drilled(&bench).disturbance(), Some("left with a disk that was shut down"));
        assert!(std::fs::write(data.join("more"), "").is_err(), "nothing is written any more");
        assert!(bench.node().await.data, "it is not taken for lost");
        // Another process with mounts of its own has it mounted for a while longer.
        let mut elsewhere = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", "echo; exec sleep 2"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(elsewhere.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        bench.host.boot().await.unwrap();
        elsewhere.wait().unwrap();
        assert_eq!((drilled(&bench).disturbance(), left()), (None, [false, true, true]));
        serves(address).await;
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_was_just_formatted_is_so_after_a_loss_of_power_too() {
    with_isolated(105, async |bench: Arc<Bench>, harm: Arc<Isolated>| {
        bench.host.boot().await.unwrap();
        bench.host.format(&beginning(&bench.deployment, true)).await.unwrap();
        let data = harm.files.node().join("data");
        std::fs::write(data.join("unsynced"), "written").unwrap();
        drilled(&bench).lose().await.unwrap();
        // All is expendable: nothing is put on the disk that wasn't before.
        drilled(&bench).shut_disks_down("").await.unwrap();
        bench.host.boot().await.unwrap();
        assert!(!data.join("unsynced").exists(), "the detector: what isn't on the disk yet is lost");
        assert!(bench.node().await.data);
        let whole = |file: &str| std::fs::read_to_string(data.join(file)).ok();
        assert_eq!(whole("myid").as_deref(), Some("1\n"));
        assert_eq!(whole("initialize").as_deref(), Some(""), "it may trust that it is empty");
    })
    .await;
}

#[tokio::test]
async fn a_host_tells_whom_its_packets_reach() {
    with_isolated(104, async |bench: Arc<Bench>, _| {
        bench.host.boot().await.unwrap();
        let machine = std::net::TcpListener::bind("10.91.104.254:0").unwrap();
        let (taken, refused) = (machine.local_addr().unwrap(), "10.91.104.254:1".parse().unwrap());
        for address in [taken, refused] {
            assert!(drilled(&bench).reaches(address).await.unwrap(), "{address}");
        }
        drilled(&bench).cut(&Cut::off()).await.unwrap();
        for address in [taken, refused] {
            assert!(!drilled(&bench).reaches(address).await.unwrap(), "{address}");
        }
    })
    .await;
}

#[tokio::test]
async fn local_hosts_hold_the_contract() {
    hold(&|subnet| {
        let site = tempfile::tempdir().unwrap();
        let backend = LocalBackend::supervised_by(Path::new(env!("CARGO_BIN_EXE_octad")));
        let (host, deployment) = zookeeper(backend, subnet, site.path());
        Bench { host, deployment, harm: Box::new(Files { site }) }
    })
    .await;
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
        let text = "program = \"ha\"\nhosts.subnet = \"127.91.201.0/24\"\n";
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
    let (host, zookeeper) = zookeeper(backend(), 202, site.path());
    let deployment = stateless(zookeeper, &url, &sha256);
    let bench = Arc::new(Bench { host, deployment, harm: Box::new(Files { site }) });
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
