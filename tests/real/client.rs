//! Clients that aren't ours: the producer and the consumer that Kafka itself comes with.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use octad::artifact::{ArtifactSet, Java, Store};
use octad::tool::Environment;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::until;

/// What starts a tool: Java and the class path.
static TOOLS: LazyLock<(PathBuf, OsString)> = LazyLock::new(|| {
    wait_for(async {
        let environment = Environment::from_process();
        let java = Java::find(&environment).await.unwrap();
        let set = ArtifactSet::find("kafka-tools", "3.9.2").unwrap();
        let store = Store::locate(environment).unwrap();
        (java.path, store.resolve(set, &|_| {}).await.unwrap().to_arg())
    })
});

/// How long a client may take; one for a hundred thousand records takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long nothing may come after the last record that is expected before a topic counts as read to its end.
const IDLE: Duration = Duration::from_secs(2);

pub(crate) fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A tool with its output in a file, killed on drop.
struct Tool {
    child: Child,
    output: PathBuf,
}

impl Tool {
    fn start(directory: &Path, class: &str, arguments: &[&str]) -> Self {
        let name = class.rsplit('.').next().unwrap();
        let output = directory.join(format!("{name}.out"));
        let (java, class_path) = &*TOOLS;
        let child = Command::new(java)
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(class_path)
            .arg(format!("org.apache.kafka.tools.{class}"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(output.with_extension("err")).unwrap())
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; how it ended and what it wrote.
    fn finish(mut self) -> (ExitStatus, String, String) {
        let status = until("the end of a client", PATIENCE, || {
            self.child.try_wait().unwrap().ok_or_else(|| self.errors())
        });
        (status, fs::read_to_string(&self.output).unwrap(), self.errors())
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.output.with_extension("err")).unwrap_or_default()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // Fails when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A producer that writes `PREFIX.0`, `PREFIX.1` and so on with `acks=all`.
pub(crate) struct Producer(Tool);

/// What a producer wrote.
pub(crate) struct Written {
    /// How many records it handed over.
    pub(crate) sent: u64,
    /// The values that the cluster acknowledged.
    pub(crate) acknowledged: Vec<String>,
}

impl Producer {
    /// Begins to write `count` records, as fast as it can.
    pub(crate) fn of(directory: &Path, bootstrap: &str, topic: &str, prefix: u32, count: u32) -> Self {
        Self::start(directory, bootstrap, topic, prefix, &["--max-messages", &count.to_string()])
    }

    /// Begins to write `rate` records a second, until it is stopped.
    pub(crate) fn steady(directory: &Path, bootstrap: &str, topic: &str, prefix: u32, rate: u32) -> Self {
        Self::start(directory, bootstrap, topic, prefix, &["--throughput", &rate.to_string()])
    }

    fn start(directory: &Path, bootstrap: &str, topic: &str, prefix: u32, more: &[&str]) -> Self {
        // The tool's own default is to give up at the first failure, unlike that of every other producer.
        let config = directory.join("producer.properties");
        fs::write(&config, "retries=2147483647\nenable.idempotence=true\n").unwrap();
        let (config, prefix) = (config.display().to_string(), prefix.to_string());
        let fixed = ["--bootstrap-server", bootstrap, "--topic", topic, "--acks", "-1"];
        let own = ["--value-prefix", &prefix, "--producer.config", &config];
        Self(Tool::start(directory, "VerifiableProducer", &[&fixed[..], &own, more].concat()))
    }

    /// How many acknowledgements it has noted so far.
    pub(crate) fn acknowledged(&self) -> usize {
        fs::read_to_string(&self.0.output).unwrap_or_default().matches("producer_send_success").count()
    }

    /// Lets it hand over what it has, and ends it.
    pub(crate) fn stop(self) -> Written {
        self.0.signal(Signal::TERM);
        self.written(true)
    }

    /// Waits until it is done.
    pub(crate) fn finish(self) -> Written {
        self.written(false)
    }

    /// What it wrote. One that is `stopped` closes its producer under its own hands: the record that it was about to
    /// hand over then is counted as sent although the producer never had it.
    fn written(self, stopped: bool) -> Written {
        let (_, output, errors) = self.0.finish();
        let events: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let named = |name: &'static str| events.iter().filter(move |event| event["name"] == name);
        let total = named("tool_data").next().unwrap_or_else(|| panic!("no summary in:\n{output}\n{errors}"));
        let (withdrawn, failed): (Vec<_>, Vec<_>) = named("producer_send_error")
            .partition(|event| stopped && event["message"] == "Producer closed while send in progress");
        assert!(
            failed.is_empty(),
            "{} of {} records were not taken, {:?} first\nthe client says:\n{errors}",
            failed.len(),
            total["sent"],
            failed[0]
        );
        assert!(withdrawn.len() <= 1, "one thread hands records over: {withdrawn:?}");
        Written {
            sent: total["sent"].as_u64().unwrap() - withdrawn.len() as u64,
            acknowledged: named("producer_send_success")
                .map(|event| event["value"].as_str().unwrap().to_owned())
                .collect(),
        }
    }
}

impl Written {
    /// Asserts that every record that was handed over was acknowledged.
    #[track_caller]
    pub(crate) fn in_full(self) -> Vec<String> {
        assert_eq!(self.acknowledged.len() as u64, self.sent, "each record is acknowledged");
        self.acknowledged
    }
}

/// The values `PREFIX.0` to `PREFIX.(count - 1)`.
pub(crate) fn values(prefix: u32, count: u32) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}.{number}")).collect()
}

/// Asserts that a topic holds each of `written` once and nothing else, as Kafka's own consumer reads it.
#[track_caller]
pub(crate) fn assert_holds(directory: &Path, bootstrap: &str, topic: &str, written: &[String]) {
    assert_exactly(&read(directory, bootstrap, topic, written.len()), written);
}

/// Reads a topic from its beginning until `expected` records are there and nothing more comes, or until nothing has
/// come for long: how long the first record takes says nothing on a machine on which several clusters start.
fn read(directory: &Path, bootstrap: &str, topic: &str, expected: usize) -> Vec<String> {
    let arguments = ["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning"];
    let consumer = Tool::start(directory, "consumer.ConsoleConsumer", &arguments);
    let (mut read, mut since) = (0, Instant::now());
    loop {
        let now = fs::read(&consumer.output).unwrap().iter().filter(|byte| **byte == b'\n').count();
        if now != read {
            (read, since) = (now, Instant::now());
        }
        let idle = if read < expected { PATIENCE } else { IDLE };
        if since.elapsed() > idle {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    consumer.signal(Signal::TERM);
    let (_, output, errors) = consumer.finish();
    let read: Vec<String> = output.lines().map(str::to_owned).collect();
    let told = format!("Processed a total of {} messages", read.len());
    assert!(errors.contains(&told), "the consumer tells how much it read: {errors}");
    read
}

/// Asserts that `read` is each of `written` once and nothing else.
#[track_caller]
pub(crate) fn assert_exactly(read: &[String], written: &[String]) {
    let (found, wanted) = (BTreeSet::from_iter(read), BTreeSet::from_iter(written));
    let missing: Vec<_> = wanted.difference(&found).collect();
    let foreign: Vec<_> = found.difference(&wanted).collect();
    let some = |of: &[&&String]| of.iter().take(5).map(|value| value.to_string()).collect::<Vec<_>>();
    assert!(
        missing.is_empty() && foreign.is_empty() && read.len() == written.len(),
        "{} written, {} read; {} missing such as {:?}, {} foreign such as {:?}, {} more than once",
        written.len(),
        read.len(),
        missing.len(),
        some(&missing),
        foreign.len(),
        some(&foreign),
        read.len() - found.len(),
    );
}
