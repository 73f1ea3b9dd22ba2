//! Real ZooKeeper and Kafka servers on loopback addresses, gone when the test is.

use crate::subnet::Subnet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use octad::artifact::{ArtifactSet, Store};
use octad::tool::Environment;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tempfile::TempDir;

use crate::bench::until;

/// Which server's jars.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Software {
    Kafka,
    Zookeeper,
}

/// The class path that starts a server, as Octad itself would start it: fetched where the store lacks it.
fn class_path(software: Software) -> &'static OsStr {
    static KAFKA: LazyLock<OsString> = LazyLock::new(|| resolved("kafka", "3.9.2"));
    static ZOOKEEPER: LazyLock<OsString> = LazyLock::new(|| resolved("zookeeper", "3.9.5"));
    match software {
        Software::Kafka => &KAFKA,
        Software::Zookeeper => &ZOOKEEPER,
    }
}

fn resolved(name: &str, version: &str) -> OsString {
    let resolve = async {
        let store = Store::locate(Environment::from_process()).unwrap();
        store.resolve(ArtifactSet::find(name, version).unwrap(), &|_| {}).await.unwrap().to_arg()
    };
    // A thread of its own: the tests' threads are within a runtime already, which can't wait for another.
    let alone =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(resolve);
    thread::scope(|scope| scope.spawn(alone).join().unwrap())
}

/// A running JVM, killed on drop. It dies with the thread that started it, so that thread must outlive it:
/// start servers on the test's own thread.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(software: Software, folder: &Path, heap: &str, main_class: &str, config: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("server.properties"), config).unwrap();
        fs::write(folder.join("log4j.properties"), LOG4J).unwrap();
        fs::write(folder.join("logback.xml"), LOGBACK).unwrap();
        let log = File::options().create(true).append(true).open(folder.join("server.log")).unwrap();
        let mut command = Command::new("java");
        command
            .current_dir(folder)
            .args([heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"])
            .args(["-Dlog4j.configuration=file:log4j.properties", "-Dlogback.configurationFile=logback.xml"])
            .arg("-cp")
            .arg(class_path(software))
            .args([main_class, "server.properties"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        // SAFETY: prctl is async-signal-safe, and nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        Self { child: command.spawn().expect("java is on the PATH"), log: folder.join("server.log") }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it where it stands: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        // Its threads stop one after the other, a moment after they were told to.
        let stands = |task: io::Result<DirEntry>| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            // One that is gone answers nothing either.
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        };
        let tasks = format!("/proc/{}/task", self.child.id());
        until("a process that stands still", Duration::from_secs(10), || {
            if fs::read_dir(&tasks).unwrap().all(stands) { Ok(()) } else { Err("a thread runs".into()) }
        });
    }

    /// Ends [`freeze`](Server::freeze).
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            eprintln!("the last lines of {}:\n{last}", self.log.display());
        }
        // Fails when it was killed before, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of this test process's own.
pub(crate) fn host(number: u8) -> String {
    static SUBNET: LazyLock<Subnet> = LazyLock::new(Subnet::local);
    format!("{}{number}", *SUBNET)
}

/// A ZooKeeper ensemble of one or more members with ids from 1.
pub(crate) struct Ensemble {
    pub(crate) members: Vec<Server>,
    first_host: u8,
    _folder: TempDir,
}

impl Ensemble {
    /// Starts `size` members on the hosts from `first_host`.
    pub(crate) fn start(size: u8, first_host: u8) -> Self {
        let folder = TempDir::new().unwrap();
        let peers: String = (1..=size)
            .filter(|_| size > 1)
            .map(|id| format!("server.{id}={}:2888:3888\n", host(first_host + id - 1)))
            .collect();
        let members = (1..=size)
            .map(|id| {
                let home = folder.path().join(format!("zookeeper-{id}"));
                empty_disk(&home, id.into());
                member(&home, &host(first_host + id - 1), &peers)
            })
            .collect();
        Self { members, first_host, _folder: folder }
    }

    /// The client address of member `id`.
    pub(crate) fn address(&self, id: i32) -> String {
        format!("{}:2181", host(self.first_host + id as u8 - 1))
    }
}

/// An empty disk for a member.
pub(crate) fn empty_disk(home: &Path, id: i32) {
    fs::create_dir_all(home.join("data")).unwrap();
    fs::write(home.join("data/myid"), id.to_string()).unwrap();
}

/// Starts a member on its disk, at a host of its own; `further` lines end its configuration.
pub(crate) fn member(home: &Path, host: &str, further: &str) -> Server {
    let config = format!(
        "dataDir=data\nclientPort=2181\nclientPortAddress={host}\ntickTime=500\ninitLimit=20\nsyncLimit=10\n\
         admin.enableServer=false\n4lw.commands.whitelist=srvr,mntr,ruok,cons\n{further}"
    );
    let class = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
    Server::start(Software::Zookeeper, home, "-Xmx128m", class, &config)
}

/// Brokers with ids from 1 on a ZooKeeper of their own.
pub(crate) struct Cluster {
    pub(crate) zookeeper: Ensemble,
    brokers: Vec<Server>,
    folder: TempDir,
}

/// The first hosts of each kind of server within this process's /24.
const ZOOKEEPER_HOST: u8 = 100;

impl Cluster {
    /// Starts one ZooKeeper and `brokers` brokers; does not wait until they serve.
    pub(crate) fn start(brokers: i32) -> Self {
        let zookeeper = Ensemble::start(1, ZOOKEEPER_HOST);
        let folder = TempDir::new().unwrap();
        let brokers = (1..=brokers).map(|id| broker(folder.path(), id)).collect();
        Self { zookeeper, brokers, folder }
    }

    /// All brokers' addresses.
    pub(crate) fn bootstrap(&self) -> Vec<String> {
        (1..=self.brokers.len() as i32).map(|id| self.address(id)).collect()
    }

    /// The address of broker `id`.
    pub(crate) fn address(&self, id: i32) -> String {
        format!("{}:9092", host(id as u8))
    }

    /// Broker `id`.
    pub(crate) fn broker(&mut self, id: i32) -> &mut Server {
        &mut self.brokers[id as usize - 1]
    }

    /// Starts broker `id` again, on the data it had.
    pub(crate) fn restart(&mut self, id: i32) {
        *self.broker(id) = broker(self.folder.path(), id);
    }
}

fn broker(folder: &Path, id: i32) -> Server {
    let config = format!(
        "broker.id={id}\nbroker.rack=zone-{id}\nlisteners=PLAINTEXT://{}:9092\nlog.dirs=data\n\
         zookeeper.connect={}:2181\nzookeeper.session.timeout.ms=4000\n\
         auto.create.topics.enable=false\nauto.leader.rebalance.enable=false\nmin.insync.replicas=2\n\
         log.cleaner.enable=false\nnum.network.threads=2\nnum.io.threads=2\n",
        host(id as u8),
        host(ZOOKEEPER_HOST),
    );
    let home = folder.join(format!("kafka-{id}"));
    Server::start(Software::Kafka, &home, "-Xmx320m", "kafka.Kafka", &config)
}

const LOG4J: &str = "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.out.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n\n";

const LOGBACK: &str = "<configuration><appender name=\"out\" class=\"ch.qos.logback.core.ConsoleAppender\">\
    <encoder><pattern>%d %p %m%n</pattern></encoder></appender>\
    <root level=\"WARN\"><appender-ref ref=\"out\"/></root></configuration>";
