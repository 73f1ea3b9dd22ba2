//! The network of a host that is kept apart: a namespace, whose only way out is a virtual cable to the stack's switch,
//! a bridge. Octad and its clients have the last address of the subnet on that bridge.
//!
//! Packets vanish by a table of the packet filter in the host's own namespace. Nothing else there is leaves both sides
//! without a word: with the cable or the link taken away, neighbours fail to be resolved and the kernel tells senders
//! that the host is unreachable, and so does a blackhole route; an entry for a neighbour that is nobody would have to be
//! made in every other namespace too, to stop what they send. A table of the filter is replaced as a whole, lets
//! neighbours be resolved, and goes with its namespace.

use super::error::LocalError;
use super::program::{run, run_with};
use crate::hex::hex;
use crate::host::{Cut, HostError, Peers};
use crate::tool;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::sync::Mutex;

/// The last byte of the address that the machine itself has on the switch.
const GATEWAY: u8 = 254;

/// The table of the packet filter that makes packets vanish.
const TABLE: &str = "inet octad_cut";

/// One host at a time looks whether the switch is there or still needed.
static SWITCHES: Mutex<()> = Mutex::const_new(());

/// The network of one host.
#[derive(Debug)]
pub(super) struct Network {
    host: String,
    address: Ipv4Addr,
    /// The bridge.
    switch: String,
    /// The cable's end on the bridge; the other one is `eth0` of the host.
    cable: String,
    namespace: String,
    /// The cut that is made, as the packet filter was told of it.
    note: PathBuf,
}

impl Network {
    /// The network of the host at `directory`, by names that follow from it: they are unique on the machine, and have
    /// at most the 15 characters of an interface's.
    pub(super) fn of(directory: &Path, host: &str, address: Ipv4Addr) -> Self {
        let directory = real(directory);
        let site = directory.parent().and_then(Path::parent).unwrap_or(&directory);
        let stack = digest(site);
        Self {
            host: host.to_owned(),
            address,
            switch: format!("octad-{stack}"),
            cable: format!("octad{}", digest(&directory)),
            namespace: format!("octad-{stack}-{host}"),
            note: directory.join("cut.nft"),
        }
    }

    /// The file that stands for the namespace.
    pub(super) fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    /// Makes what of the network is missing. Where there was none and that fails, there is none after it.
    pub(super) async fn attach(&self) -> Result<(), HostError> {
        let _turn = SWITCHES.lock().await;
        let fresh = !self.namespace().exists();
        let made = self.make().await;
        if made.is_err() && fresh {
            // What went wrong first is what must be told.
            let _ = self.remove().await;
        }
        made
    }

    async fn make(&self) -> Result<(), HostError> {
        let (switch, cable, namespace) = (&self.switch, &self.cable, &self.namespace);
        let [a, b, c, _] = self.address.octets();
        if !is_interface(switch) {
            self.check_free(&format!("{a}.{b}.{c}.0/24")).await?;
            run("ip", &["link", "add", switch, "type", "bridge"]).await?;
        }
        if !self.namespace().exists() {
            run("ip", &["netns", "add", namespace]).await?;
        }
        if !is_interface(cable) {
            let ends = [cable, "type", "veth", "peer", "name", "eth0", "netns", namespace];
            run("ip", &[&["link", "add"], &ends[..]].concat()).await?;
        }
        let outside = format!(
            "addr replace {a}.{b}.{c}.{GATEWAY}/24 dev {switch}\nlink set {switch} up\n\
             link set {cable} master {switch} up\n"
        );
        let inside = format!("addr replace {}/24 dev eth0\nlink set lo up\nlink set eth0 up\n", self.address);
        run_with("ip", &["-batch", "-"], &outside).await?;
        run_with("ip", &["-netns", namespace, "-batch", "-"], &inside).await.map(drop)
    }

    /// Removes the host's part of the network, and the switch with the last one.
    pub(super) async fn detach(&self) -> Result<(), HostError> {
        let _turn = SWITCHES.lock().await;
        self.remove().await
    }

    async fn remove(&self) -> Result<(), HostError> {
        // The cable first: left to the namespace's end, it goes at some later moment.
        if is_interface(&self.cable) {
            run("ip", &["link", "del", &self.cable]).await?;
        }
        if self.namespace().exists() {
            run("ip", &["netns", "del", &self.namespace]).await?;
        }
        let plugs = fs::read_dir(interface(&self.switch).join("brif"));
        if plugs.is_ok_and(|mut plugs| plugs.next().is_none()) {
            run("ip", &["link", "del", &self.switch]).await?;
        }
        self.forget_cut()
    }

    /// Has packets vanish, instead of those that an earlier cut made vanish.
    pub(super) async fn cut(&self, cut: &Cut) -> Result<(), HostError> {
        let table = table(cut);
        // Written down first: whoever finds it mends what may not have been made.
        fs::write(&self.note, &table).map_err(|source| self.failed("write", source))?;
        self.filter(&table).await
    }

    /// Whether packets may vanish.
    pub(super) fn is_cut(&self) -> bool {
        self.note.exists()
    }

    /// Lets all packets through.
    pub(super) async fn mend(&self) -> Result<(), HostError> {
        if !self.is_cut() {
            return Ok(());
        }
        if self.namespace().exists() {
            self.filter(&removed()).await?;
        }
        self.forget_cut()
    }

    async fn filter(&self, script: &str) -> Result<(), HostError> {
        let nft = tool::find(tool::NFT).unwrap_or_else(|| tool::NFT.into());
        let arguments = ["netns", "exec", &self.namespace, &nft.to_string_lossy(), "-f", "-"];
        run_with("ip", &arguments, script).await.map(drop)
    }

    fn forget_cut(&self) -> Result<(), HostError> {
        match fs::remove_file(&self.note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> HostError {
        HostError::Io { action, path: self.note.display().to_string(), source }
    }

    /// Nothing of this machine has an address of the subnet.
    async fn check_free(&self, subnet: &str) -> Result<(), HostError> {
        let holders = run("ip", &["-oneline", "-4", "address", "show", "to", subnet]).await?;
        match holders.split_whitespace().nth(1) {
            None => Ok(()),
            Some(interface) => Err(LocalError::SubnetTaken {
                host: self.host.clone(),
                subnet: subnet.to_owned(),
                interface: interface.to_owned(),
            }
            .into()),
        }
    }
}

/// How long a connection may take that gets anywhere: the kernel asks a second time after one second.
const CONNECTION: Duration = Duration::from_secs(2);

/// Whether a connection to `address` comes about or is refused, from a namespace or, without one, from this process's.
/// Blocks.
pub(super) fn reaches(namespace: Option<&Path>, address: SocketAddr) -> io::Result<bool> {
    let attempt = || -> io::Result<bool> {
        if let Some(namespace) = namespace {
            let namespace = fs::File::open(namespace)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        match TcpStream::connect_timeout(&address, CONNECTION) {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Ok(true),
                io::ErrorKind::TimedOut
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable => Ok(false),
                _ => Err(error),
            },
        }
    };
    // A namespace is a thread's, and no other work must find itself there.
    let attempted = thread::scope(|scope| scope.spawn(attempt).join());
    attempted.unwrap_or_else(|died| std::panic::resume_unwind(died))
}

/// The commands that remove the table. Added first, since one can't remove what isn't there.
fn removed() -> String {
    format!("add table {TABLE}\ndelete table {TABLE}\n")
}

/// The commands that put the table for a cut in the place of whatever there is, in one transaction.
fn table(cut: &Cut) -> String {
    let rule = |peers: &Peers, field: &str, interface: &str| match peers {
        Peers::All => format!("{interface} \"eth0\" drop"),
        Peers::Only(peers) if peers.is_empty() => String::new(),
        Peers::Only(peers) => {
            let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
            format!("ip {field} {{ {} }} drop", peers.join(", "))
        }
    };
    // Before whatever else filters: -300 is where raw tables are.
    let chain = |hook: &str, rule: String| {
        format!("  chain {hook} {{\n    type filter hook {hook} priority -300\n    {rule}\n  }}\n")
    };
    let (received, sent) = (rule(&cut.from, "saddr", "iifname"), rule(&cut.to, "daddr", "oifname"));
    let chains = chain("input", received) + &chain("output", sent);
    format!("{}table {TABLE} {{\n{chains}}}\n", removed())
}

fn interface(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

fn is_interface(name: &str) -> bool {
    interface(name).exists()
}

/// The path without links and the like, as far as it exists: a directory has one name, however it is written.
fn real(path: &Path) -> PathBuf {
    match (fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

fn digest(path: &Path) -> String {
    hex(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_directory_and_fit_an_interface() {
        let network = |site: &str, host: &str| {
            Network::of(&Path::new(site).join("hosts").join(host), host, Ipv4Addr::new(10, 80, 1, 101))
        };
        let (one, beside) = (network("/nowhere/a", "broker-1"), network("/nowhere/a", "broker-2"));
        let other = network("/nowhere/b", "broker-1");
        assert_eq!(one.switch, beside.switch);
        assert_ne!(one.switch, other.switch);
        for different in [&beside, &other] {
            assert_ne!((&one.cable, &one.namespace), (&different.cable, &different.namespace));
        }
        for name in [&one.switch, &one.cable] {
            assert!(name.len() <= 15, "{name}");
        }
    }

    #[test]
    fn a_cut_is_a_table_of_its_own() {
        let peers = [Ipv4Addr::new(10, 80, 1, 11), Ipv4Addr::new(10, 80, 1, 12)];
        let both = table(&Cut::off_from(peers));
        assert!(both.starts_with(&removed()));
        assert!(both.contains("ip saddr { 10.80.1.11, 10.80.1.12 } drop"), "{both}");
        assert!(both.contains("ip daddr { 10.80.1.11, 10.80.1.12 } drop"), "{both}");
        let deaf = table(&Cut::deaf());
        assert!(deaf.contains("iifname \"eth0\" drop") && !deaf.contains("oifname"), "{deaf}");
        assert!(!table(&Cut::off_from([])).contains("drop"));
    }
}
