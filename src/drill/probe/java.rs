//! Kafka's own Java clients, from its published tools: a reader that shares no code with librdkafka, and the producer
//! as most services on a JVM have it.

use super::Assignment;
use super::background::Background;
use super::log::IDLE;
use super::producer::Written;
use crate::artifact::{self, ArtifactSet, Store};
use crate::causes::with_causes;
use crate::drill::accounting::{Found, Outcome};
use crate::drill::record::Mark;
use crate::tool::Environment;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// What starts Kafka's tools.
#[derive(Debug, Clone)]
pub struct JavaClients {
    java: PathBuf,
    class_path: OsString,
}

/// The artifact set that holds them.
const TOOLS: &str = "kafka-tools";

/// How often each partition gets a key: with so many keys for each, none stays without one.
const KEYS_PER_PARTITION: u32 = 64;

/// How long a producer writes at most, should nobody be left to end it: longer than any drill.
const LONGEST: Duration = Duration::from_secs(900);

impl JavaClients {
    /// Those of Kafka at this version; what is missing of them is fetched.
    ///
    /// # Errors
    /// Why they can't be had, in words.
    pub async fn find(version: &str) -> Result<Self, String> {
        let environment = Environment::from_process();
        let java = artifact::Java::find(&environment).await.map_err(|error| with_causes(&error))?;
        let class_path = async {
            let set = ArtifactSet::find(TOOLS, version)?;
            Store::locate(environment)?.resolve(set, &|_| {}).await
        };
        let class_path = class_path.await.map_err(|error| with_causes(&error))?.to_arg();
        Ok(Self { java: java.path, class_path })
    }

    fn tool(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(&self.class_path)
            .arg(format!("org.apache.kafka.tools.{class}"));
        command
    }

    /// The first `count` records that Kafka's console consumer reads of the topic, by partition and offset; fewer where
    /// nothing more comes.
    ///
    /// # Errors
    /// Why it could not read, in words.
    pub(crate) async fn read_back(
        &self,
        assignment: &Assignment,
        count: usize,
    ) -> Result<Vec<Vec<Found>>, String> {
        let mut command = tokio::process::Command::from(self.tool("consumer.ConsoleConsumer"));
        command
            .args(["--bootstrap-server", &assignment.bootstrap, "--topic", &assignment.topic])
            .args(["--from-beginning", "--group", &assignment.second_reader()])
            // No offset is ever stored.
            .args(["--consumer-property", "enable.auto.commit=false"])
            .args(["--max-messages", &count.to_string(), "--timeout-ms", &IDLE.as_millis().to_string()])
            .args(["--property", "print.partition=true", "--property", "print.offset=true"])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.map_err(|error| format!("Java could not be run: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default();
            return Err(format!("Kafka's console consumer failed ({}): {last}", output.status));
        }
        let mut logs = vec![Vec::new(); usize::try_from(assignment.partitions).unwrap_or_default()];
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some((partition, found)) = printed(line) else {
                return Err(format!("Kafka's console consumer printed what can't be read: {line:?}"));
            };
            let log: Option<&mut Vec<Found>> = logs.get_mut(partition);
            log.ok_or_else(|| format!("Kafka's console consumer read a partition {partition}"))?.push(found);
        }
        for log in &mut logs {
            // A consumer that was dealt its partitions anew repeats itself.
            log.sort_by_key(|found| found.offset);
            log.dedup_by_key(|found| found.offset);
        }
        Ok(logs)
    }
}

/// A line of the console consumer: `Partition:3<tab>Offset:12<tab>VALUE`.
fn printed(line: &str) -> Option<(usize, Found)> {
    let mut fields = line.splitn(3, '\t');
    let partition = fields.next()?.strip_prefix("Partition:")?.parse().ok()?;
    let offset = fields.next()?.strip_prefix("Offset:")?.parse().ok()?;
    Some((partition, Found { offset, mark: Mark::decode(fields.next()?.as_bytes()) }))
}

/// Kafka's own producer at work, with what it has where nobody sets anything.
pub(crate) struct JavaProducer {
    child: Child,
    partitions: Arc<Mutex<Vec<Written>>>,
    /// Ends with the producer's output.
    listener: Background,
}

impl JavaProducer {
    /// Begins to write.
    ///
    /// # Errors
    /// Where Java can't be started.
    pub(crate) fn start(clients: &JavaClients, assignment: &Assignment) -> std::io::Result<Self> {
        let count = usize::try_from(assignment.partitions).unwrap_or_default();
        let keys = assignment.partitions.unsigned_abs() * KEYS_PER_PARTITION;
        let throughput = assignment.rate * assignment.partitions.unsigned_abs();
        let most = u64::from(throughput) * LONGEST.as_secs();
        let mut child = clients
            .tool("VerifiableProducer")
            .args(["--bootstrap-server", &assignment.bootstrap, "--topic", &assignment.topic])
            .args(["--throughput", &throughput.to_string(), "--max-messages", &most.to_string()])
            .args(["--repeating-keys", &keys.to_string(), "--acks", "-1"])
            .args(["--producer.config", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // The tool gives up at the first failure unless told otherwise; this is what all other producers have.
        let mut config = child.stdin.take().expect("piped just above");
        config.write_all(b"retries=2147483647\n")?;
        drop(config);
        let output = child.stdout.take().expect("piped just above");
        let partitions = Arc::new(Mutex::new(vec![Written::default(); count]));
        let (books, begun) = (partitions.clone(), SystemTime::now() - assignment.epoch.elapsed());
        let listener = Background::start(move |_| {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((partition, at)) = acknowledged(&line, begun) {
                    let mut books = books.lock().expect("no holder of the books panics");
                    let Some(written) = books.get_mut(partition) else { continue };
                    written.outcomes.push(Outcome::Acked { offset: None });
                    written.acks.push(at);
                }
            }
        });
        Ok(Self { child, partitions, listener })
    }

    /// How many partitions have had no acknowledgement yet.
    pub(crate) fn silent(&self) -> usize {
        let partitions = self.partitions.lock().expect("no holder of the books panics");
        partitions.iter().filter(|written| written.acks.is_empty()).count()
    }

    /// Lets it hand over what it has, and gives what was acknowledged. Blocks.
    pub(crate) fn finish(mut self) -> Vec<Written> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        self.listener.stop();
        std::mem::take(&mut *self.partitions.lock().expect("no holder of the books panics"))
    }
}

impl Drop for JavaProducer {
    fn drop(&mut self) {
        // Fails where it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the producer prints of a record that was acknowledged; there is more.
#[derive(Deserialize)]
struct Event {
    name: String,
    /// Milliseconds since 1970, by this machine's clock.
    timestamp: u64,
    #[serde(default)]
    partition: usize,
}

fn acknowledged(line: &str, begun: SystemTime) -> Option<(usize, Duration)> {
    let event: Event = serde_json::from_str(line).ok()?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(event.timestamp);
    (event.name == "producer_send_success")
        .then(|| (event.partition, at.duration_since(begun).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_console_consumer_prints_is_understood() {
        let mark = Mark { run: 9, partition: 3, sequence: 4 };
        let line = format!("Partition:3\tOffset:12\t{}", String::from_utf8(mark.encode(100)).unwrap());
        assert_eq!(printed(&line), Some((3, Found { offset: 12, mark: Some(mark) })));
        assert_eq!(
            printed("Partition:0\tOffset:1\tsomething\telse"),
            Some((0, Found { offset: 1, mark: None }))
        );
        assert_eq!(printed("something else"), None);
    }

    #[test]
    fn what_the_verifiable_producer_prints_is_understood() {
        let begun = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000);
        let line = r#"{"timestamp":1000250,"name":"producer_send_success","key":"7","value":"7","offset":3,"topic":"t","partition":5}"#;
        assert_eq!(acknowledged(line, begun), Some((5, Duration::from_millis(250))));
        assert_eq!(acknowledged(r#"{"timestamp":1000250,"name":"startup_complete"}"#, begun), None);
    }
}
