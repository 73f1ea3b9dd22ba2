//! New ZooKeeper servers, and servers whose disks were replaced, behind `octad admit` as NixOS starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use octad::wire::Wire as _;
use octad::zookeeper::{EnsembleView, MemberView};
use tempfile::TempDir;

use super::servers::{Server, empty_disk, host, member};
use super::{PATIENCE, wire};

const FIRST_HOST: u8 = 221;

struct Machines {
    folder: TempDir,
    running: BTreeMap<i32, Server>,
}

impl Machines {
    fn home(&self, id: i32) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    fn has(&self, id: i32, file: &str) -> bool {
        self.home(id).join("data").join(file).exists()
    }

    /// Gives a server an empty disk with this leave.
    fn format(&self, id: i32, leave: &str) {
        let _ = fs::remove_dir_all(self.home(id));
        empty_disk(&self.home(id), id);
        fs::write(self.home(id).join("data/octad-fresh"), leave).unwrap();
    }

    /// Begins to ask whether a server may start.
    fn admit(&self, id: i32, limit: &str) -> Child {
        let servers = [1, 2, 3].map(address).join(",");
        let mut command = Command::new(env!("CARGO_BIN_EXE_octad"));
        command.args(["admit", "--servers", &servers, "--own", &address(id), "--limit", limit, "--data"]);
        command.arg(self.home(id).join("data"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn start(&mut self, id: i32) {
        let peers = [1, 2, 3].map(|id| format!("server.{id}={}:2888:3888\n", at(id))).concat();
        let server = member(&self.home(id), &at(id), &format!("db.autocreate=false\n{peers}"));
        self.running.insert(id, server);
    }

    fn stop_all(&mut self) {
        self.running.values_mut().for_each(Server::kill);
        self.running.clear();
    }
}

fn at(id: i32) -> String {
    host(FIRST_HOST + u8::try_from(id).unwrap())
}

fn address(id: i32) -> String {
    format!("{}:2181", at(id))
}

/// How an attempt ended: its exit code, and what it said.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn until(what: &str, wanted: impl Fn(&EnsembleView) -> bool) {
    let members: BTreeMap<i32, String> = [1, 2, 3].map(|id| (id, address(id))).into();
    let look = async {
        while !wanted(&wire().zookeeper().describe(&members).await) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("not seen in {PATIENCE:?}: {what}"));
}

fn whole(view: &EnsembleView) -> bool {
    view.health(&BTreeSet::from([1, 2, 3])).is_ok()
}

#[tokio::test]
async fn new_servers_begin_together_and_a_disk_under_a_wrong_word_outvotes_nobody() {
    let mut machines = Machines { folder: TempDir::new().unwrap(), running: BTreeMap::new() };
    (1..=3).for_each(|id| machines.format(id, "new"));
    // Two know of each other, and each waits for the third.
    let early = [1, 2].map(|id| machines.admit(id, "2s"));
    for child in early {
        let (code, said) = ended(child);
        assert!(code == Some(10) && said.contains("is not known to be as new"), "{said}");
    }
    let mut open: BTreeMap<i32, Child> = [1, 2, 3].map(|id| (id, machines.admit(id, "60s"))).into();
    while !open.is_empty() {
        let done: Vec<i32> =
            open.iter_mut().filter_map(|(id, child)| child.try_wait().unwrap().map(|_| *id)).collect();
        for id in done {
            let (code, said) = ended(open.remove(&id).unwrap());
            assert_eq!(code, Some(0), "{said}");
            machines.start(id);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("an ensemble", whole).await;

    // Two disks are replaced, and formatted with the wrong word, while the one that has everything is cut off.
    machines.stop_all();
    fs::rename(machines.home(1), machines.folder.path().join("kept")).unwrap();
    [1, 2].into_iter().for_each(|id| machines.format(id, "new"));
    let refused = |machines: &Machines, why: &str| {
        for child in [1, 2].map(|id| machines.admit(id, "2s")) {
            let (code, said) = ended(child);
            assert!(code == Some(10) && said.contains(why), "{said}");
        }
        assert!([1, 2].iter().all(|id| machines.has(*id, "octad-fresh") && !machines.has(*id, "initialize")));
    };
    refused(&machines, "cannot connect to");
    // It is back, and has no quorum.
    machines.start(3);
    until("one in no quorum", |view| view.members[&3] == MemberView::NotServing).await;
    refused(&machines, "it runs, and is in no quorum");

    // The first has its own disk again: the two serve, and fill the other.
    fs::remove_dir_all(machines.home(1)).unwrap();
    fs::rename(machines.folder.path().join("kept"), machines.home(1)).unwrap();
    assert_eq!(ended(machines.admit(1, "2s")).0, Some(0));
    machines.start(1);
    until("two that serve", |view| view.serving().count() == 2).await;
    let (code, said) = ended(machines.admit(2, "60s"));
    assert!(code == Some(0) && said.contains("fills the disk"), "{said}");
    assert!(!machines.has(2, "octad-fresh") && !machines.has(2, "initialize"));
    machines.start(2);
    until("an ensemble", whole).await;
}
