//! Local hosts in namespaces, with disks of their own: the contracts that they hold, and what becomes of their disks.

use crate::any;
use crate::bench::{Bench, Harm, STOP, beginning, hold, zookeeper_at};
use crate::drillable::{self, address, drilled, serves};
use crate::local::Files;
use crate::skip::skip;
use crate::subnet::Subnet;
use octad::host::{Ability, LocalBackend};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The files, the disk and the network of an isolated host.
struct Isolated {
    files: Files,
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
        let network = format!("{}0/24", self.files.subnet);
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

/// A host in a namespace with a disk.
fn isolated() -> (Bench, Arc<Isolated>) {
    let (site, subnet) = (tempfile::tempdir().unwrap(), Subnet::apart());
    let backend = LocalBackend::supervised_by(Path::new(env!("CARGO_BIN_EXE_octad")));
    let hosts =
        format!("hosts.subnet = \"{subnet}0/24\"\nhosts.isolation = \"netns\"\nhosts.disk-mib = 64\n");
    let (host, deployment) = zookeeper_at(backend, &hosts, site.path());
    let harm = Arc::new(Isolated { files: Files { site, subnet } });
    (Bench { host, deployment, harm: Box::new(harm.clone()) }, harm)
}

/// Whether this machine can have one; where not, that is said.
async fn can_be_had() -> bool {
    let (bench, _) = isolated();
    let lacking = bench.host.check().await.err().map(|error| error.to_string());
    match lacking.or_else(|| bench.host.lacks(Ability::Cut)) {
        Some(lacking) => {
            skip(&format!("isolated hosts are not tested: {lacking}"));
            false
        }
        None => true,
    }
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
async fn isolated_local_hosts_do_what_any_host_must_and_can_be_drilled() {
    if can_be_had().await {
        hold(&|| isolated().0, any::CONTRACT).await;
        hold(&|| isolated().0, drillable::CONTRACT).await;
    }
}

/// Runs `test`, and removes the host whatever came of it.
async fn with_isolated<F: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Arc<Bench>, Arc<Isolated>) -> F,
) {
    if !can_be_had().await {
        return;
    }
    let (bench, harm) = isolated();
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
async fn a_disk_of_its_own_is_filled_freed_and_never_taken_for_lost_while_it_is_unmounted() {
    with_isolated(async |bench: Arc<Bench>, harm: Arc<Isolated>| {
        bench.made().await;
        let file = harm.files.node().join("data/more");
        let write = || std::fs::write(&file, [1; 1 << 16]);
        write().unwrap();
        std::fs::remove_file(&file).unwrap();
        drilled(&bench).fill_disk(bench.name()).await.unwrap();
        assert_eq!(drilled(&bench).disturbance().await.unwrap(), Some("left with a full disk"));
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
    with_isolated(async |bench: Arc<Bench>, harm: Arc<Isolated>| {
        bench.made().await;
        let address = &address(&bench);
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
        assert_eq!(drilled(&bench).disturbance().await.unwrap(), Some("left with a disk that was shut down"));
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
        assert_eq!((drilled(&bench).disturbance().await.unwrap(), left()), (None, [false, true, true]));
        serves(address).await;
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_was_just_formatted_is_so_after_a_loss_of_power_too() {
    with_isolated(async |bench: Arc<Bench>, harm: Arc<Isolated>| {
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
