//! What a watchdog reads of Kafka in ZooKeeper. Only reads; many znodes at a time.

use super::rule::Partition;
use crate::zookeeper::{Session, SessionError, Znode};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// Why it is not known what Kafka has written.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// No server answered as it should.
    #[error("ZooKeeper could not be asked")]
    Session(#[from] SessionError),
    /// A znode is not of Kafka's form.
    #[error("{path} holds what Kafka doesn't write")]
    Unreadable {
        /// The znode.
        path: String,
    },
    /// No server answered in time.
    #[error("ZooKeeper did not answer within {after:?}")]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
}

/// A broker's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct Registered {
    /// The transaction that made it.
    pub(super) created: i64,
    /// Where the broker listens, where that can be read.
    pub(super) address: Option<String>,
}

/// What a broker writes into its znode; there is more.
#[derive(Deserialize)]
struct Registration {
    endpoints: Vec<String>,
}

/// What the controller writes of itself; there is more.
#[derive(Deserialize)]
struct Controller {
    brokerid: i32,
}

/// What the controller writes of a topic; there is more.
#[derive(Deserialize)]
struct Assigned {
    partitions: BTreeMap<i32, Vec<i32>>,
}

/// What the controller writes of a partition; there is more.
#[derive(Deserialize)]
struct State {
    leader: i32,
    isr: Vec<i32>,
}

/// What is set for a topic, for a broker, or for all brokers.
#[derive(Deserialize)]
struct Configured {
    config: BTreeMap<String, String>,
}

/// The ids of all registered brokers.
pub(in crate::kafka) async fn registered_ids(session: &mut Session) -> Result<Vec<i32>, SessionError> {
    let names = session.children("/brokers/ids").await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// All registered brokers.
pub(in crate::kafka) async fn registered(
    session: &mut Session,
) -> Result<BTreeMap<i32, Registered>, SessionError> {
    let ids = registered_ids(session).await?;
    let paths: Vec<String> = ids.iter().map(|id| format!("/brokers/ids/{id}")).collect();
    let found = session.read_all(&paths).await?;
    let there = ids.into_iter().zip(found).filter_map(|(id, znode)| Some((id, znode?)));
    Ok(there
        .map(|(id, znode)| (id, Registered { created: znode.created, address: address(&znode) }))
        .collect())
}

fn address(znode: &Znode) -> Option<String> {
    let Registration { endpoints } = serde_json::from_slice(&znode.data).ok()?;
    Some(endpoints.first()?.split_once("://")?.1.to_owned())
}

/// What a look finds that takes at most `limit`, in a session that is over with it. It is no older than this call.
pub(in crate::kafka) async fn look<T>(
    zookeeper: &[String],
    limit: Duration,
    look: impl for<'a> FnOnce(&'a mut Session) -> BoxFuture<'a, Result<T, LookError>> + Send,
) -> Result<T, LookError> {
    let within = async {
        let mut session = Session::open_any(zookeeper).await?;
        let found = match session.sync().await {
            Ok(()) => look(&mut session).await,
            Err(error) => Err(error.into()),
        };
        // It holds nothing, and is over by itself soon.
        let _ = session.close().await;
        found
    };
    timeout(limit, within).await.map_err(|_| LookError::TimedOut { after: limit })?
}

/// The broker that is the controller.
pub(in crate::kafka) async fn controller(session: &mut Session) -> Result<Option<i32>, LookError> {
    let path = "/controller";
    let found = session.read(path).await?;
    found.map(|znode| json::<Controller>(path, &znode).map(|controller| controller.brokerid)).transpose()
}

/// The topics and partitions of which a replica is assigned to a broker, those among them that a reassignment adds.
pub(in crate::kafka) async fn assigned_to(
    session: &mut Session,
    broker: i32,
) -> Result<Vec<(String, i32)>, LookError> {
    let topics = session.children("/brokers/topics").await?;
    let paths: Vec<String> = topics.iter().map(|topic| format!("/brokers/topics/{topic}")).collect();
    let mut here = Vec::new();
    for ((topic, path), found) in topics.iter().zip(&paths).zip(session.read_all(&paths).await?) {
        // One that has been deleted meanwhile has no partitions.
        let Some(znode) = found else { continue };
        let Assigned { partitions } = json(path, &znode)?;
        let held = partitions.into_iter().filter(|(_, replicas)| replicas.contains(&broker));
        here.extend(held.map(|(partition, _)| (topic.clone(), partition)));
    }
    Ok(here)
}

/// The partitions in whose ISR a broker is. `registered` are those who may lead one, and `by_default` is how many
/// replicas must be in sync where nothing in ZooKeeper says it.
pub(in crate::kafka) async fn partitions(
    session: &mut Session,
    broker: i32,
    registered: impl Iterator<Item = i32>,
    by_default: usize,
) -> Result<Vec<Partition>, LookError> {
    let by_default = min_insync_of_brokers(session, registered, by_default).await?;
    let here = assigned_to(session, broker).await?;
    let paths: Vec<String> = here
        .iter()
        .map(|(topic, partition)| format!("/brokers/topics/{topic}/partitions/{partition}/state"))
        .collect();
    let mut in_sync = Vec::new();
    for (((topic, partition), path), found) in here.iter().zip(&paths).zip(session.read_all(&paths).await?) {
        // Nobody has led it yet, or it has been deleted.
        let Some(znode) = found else { continue };
        let State { leader, isr } = json(path, &znode)?;
        if isr.contains(&broker) {
            let (topic, partition, written) = (topic.clone(), *partition, znode.written);
            in_sync.push(Partition { topic, partition, leader, isr, min_insync: by_default, written });
        }
    }
    let mut topics: Vec<String> = in_sync.iter().map(|partition| partition.topic.clone()).collect();
    topics.dedup();
    let paths: Vec<String> = topics.iter().map(|topic| format!("/config/topics/{topic}")).collect();
    let found = session.read_all(&paths).await?;
    let mut own = BTreeMap::new();
    for ((topic, path), znode) in topics.into_iter().zip(&paths).zip(found) {
        own.extend(min_insync(path, znode)?.map(|min_insync| (topic, min_insync)));
    }
    for partition in &mut in_sync {
        partition.min_insync = own.get(&partition.topic).copied().unwrap_or(partition.min_insync);
    }
    Ok(in_sync)
}

/// The most that any of these brokers asks for, for topics without a figure of their own: any of them may lead.
async fn min_insync_of_brokers(
    session: &mut Session,
    brokers: impl Iterator<Item = i32>,
    by_default: usize,
) -> Result<usize, LookError> {
    let own = brokers.map(|id| format!("/config/brokers/{id}"));
    let paths: Vec<String> = ["/config/brokers/<default>".to_owned()].into_iter().chain(own).collect();
    let mut set = Vec::new();
    for (path, znode) in paths.iter().zip(session.read_all(&paths).await?) {
        set.push(min_insync(path, znode)?);
    }
    let by_default = set[0].unwrap_or(by_default);
    Ok(set[1..].iter().map(|own| own.unwrap_or(by_default)).max().unwrap_or(by_default))
}

fn min_insync(path: &str, znode: Option<Znode>) -> Result<Option<usize>, LookError> {
    let Some(znode) = znode else { return Ok(None) };
    let Configured { config } = json(path, &znode)?;
    let Some(set) = config.get("min.insync.replicas") else { return Ok(None) };
    set.parse().map(Some).map_err(|_| LookError::Unreadable { path: path.to_owned() })
}

fn json<T: DeserializeOwned>(path: &str, znode: &Znode) -> Result<T, LookError> {
    serde_json::from_slice(&znode.data).map_err(|_| LookError::Unreadable { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Buf as _, BufMut as _};
    use serde_json::json;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// A server that has these znodes, for one connection, and how often it had to be waited for.
    async fn server(znodes: BTreeMap<String, String>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let trips = Arc::new(AtomicUsize::new(0));
        let counted = trips.clone();
        tokio::spawn(async move { serve(listener.accept().await.unwrap().0, &znodes, &counted).await });
        (address, trips)
    }

    /// Answers all that has been sent by now, then waits for more.
    async fn serve(
        mut stream: TcpStream,
        znodes: &BTreeMap<String, String>,
        trips: &AtomicUsize,
    ) -> std::io::Result<()> {
        let (mut sent, mut greeted) = (Vec::with_capacity(1 << 16), false);
        while stream.read_buf(&mut sent).await? > 0 {
            trips.fetch_add(1, Ordering::Relaxed);
            let (mut answers, mut rest) = (Vec::new(), sent.as_slice());
            while let Some((length, after)) = rest.split_first_chunk()
                && let Some((message, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize)
            {
                let answer = if greeted { answer(message, znodes) } else { greeting() };
                answers.put_u32(answer.len() as u32);
                answers.extend(answer);
                (greeted, rest) = (true, after);
            }
            let read = sent.len() - rest.len();
            sent.drain(..read);
            stream.write_all(&answers).await?;
        }
        Ok(())
    }

    /// Version, timeout, session.
    fn greeting() -> Vec<u8> {
        let mut answer = Vec::new();
        answer.put_i32(0);
        answer.put_i32(4_000);
        answer.put_i64(1);
        answer
    }

    fn answer(mut request: &[u8], znodes: &BTreeMap<String, String>) -> Vec<u8> {
        let (xid, kind, length) = (request.get_i32(), request.get_i32(), request.get_i32());
        let path = std::str::from_utf8(&request[..length as usize]).unwrap();
        let below = format!("{path}/");
        let children =
            znodes.keys().filter_map(|known| known.strip_prefix(&below)).filter(|name| !name.contains('/'));
        let mut body = Vec::new();
        let mut put = |bytes: &[u8]| {
            body.put_i32(bytes.len() as i32);
            body.extend_from_slice(bytes);
        };
        let code = match (kind, znodes.get(path)) {
            (4, None) => -101,
            (4, Some(data)) => {
                put(data.as_bytes());
                // The transactions that made and wrote it, then the rest of a stat.
                body.put_i64(7);
                body.put_i64(8);
                body.put_bytes(0, 52);
                0
            }
            (8, _) => {
                let children: Vec<&str> = children.collect();
                let mut list = (children.len() as u32).to_be_bytes().to_vec();
                for child in children {
                    list.put_i32(child.len() as i32);
                    list.extend_from_slice(child.as_bytes());
                }
                body = list;
                0
            }
            _ => panic!("no watchdog looks by request {kind}"),
        };
        let mut answer = Vec::new();
        answer.put_i32(xid);
        answer.put_i64(9);
        answer.put_i32(code);
        answer.extend(body);
        answer
    }

    /// A topic with three replicas of each partition, on broker 1 and two others.
    fn topic(name: &str, partitions: i32) -> Vec<(String, String)> {
        let path = format!("/brokers/topics/{name}");
        let assigned: BTreeMap<_, _> = (0..partitions).map(|partition| (partition, [1, 2, 3])).collect();
        let state = |partition| {
            let state = json!({ "leader": 1, "isr": [1, 2, 3], "leader_epoch": 0, "version": 1 });
            (format!("{path}/partitions/{partition}/state"), state.to_string())
        };
        let states: Vec<_> = (0..partitions).map(state).collect();
        [(path, json!({ "partitions": assigned }).to_string())].into_iter().chain(states).collect()
    }

    async fn look(znodes: BTreeMap<String, String>) -> Result<Vec<Partition>, LookError> {
        let mut session = Session::open(&server(znodes).await.0).await?;
        partitions(&mut session, 1, 1..=5, 2).await
    }

    #[tokio::test]
    async fn five_thousand_partitions_take_few_round_trips() {
        let znodes: BTreeMap<_, _> = (0..100).flat_map(|index| topic(&format!("t{index}"), 50)).collect();
        let (address, trips) = server(znodes).await;
        let mut session = Session::open(&address).await.unwrap();
        for _ in 0..100 {
            session.read("/brokers/topics/t0/partitions/0/state").await.unwrap();
        }
        let before = trips.load(Ordering::Relaxed);
        assert!(before >= 100, "the detector: one after the other, each takes one");
        assert_eq!(partitions(&mut session, 1, 1..=5, 2).await.unwrap().len(), 5_000);
        // At 2 ms each, a fifth of a second. Of 3 s, 5,000 would take 10.
        let trips = trips.load(Ordering::Relaxed) - before;
        assert!(trips < 100, "{trips}");
    }

    #[tokio::test]
    async fn a_broker_is_assigned_what_any_topic_says_in_sync_or_not() {
        let znodes: BTreeMap<_, _> = [topic("a", 2), topic("b", 1)].concat().into_iter().collect();
        let mut session = Session::open(&server(znodes).await.0).await.unwrap();
        let all = [("a".to_owned(), 0), ("a".to_owned(), 1), ("b".to_owned(), 0)];
        assert_eq!(assigned_to(&mut session, 3).await.unwrap(), all);
        assert_eq!(assigned_to(&mut session, 4).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_must_be_in_sync_is_what_the_topic_says_and_else_what_any_broker_does() {
        let configured = |figure: &str| json!({ "config": { "min.insync.replicas": figure } }).to_string();
        let of = |znodes: &[(&str, String)]| {
            let mut all: BTreeMap<_, _> = topic("t", 1).into_iter().collect();
            all.extend(znodes.iter().map(|(path, data)| ((*path).to_owned(), data.clone())));
            async move { look(all).await.map(|found| found[0].min_insync) }
        };
        let (topic, broker, all) = ("/config/topics/t", "/config/brokers/3", "/config/brokers/<default>");
        assert_eq!(of(&[]).await.unwrap(), 2);
        assert_eq!(of(&[(all, configured("1"))]).await.unwrap(), 1);
        assert_eq!(of(&[(all, configured("1")), (broker, configured("3"))]).await.unwrap(), 3);
        assert_eq!(of(&[(topic, configured("1")), (broker, configured("3"))]).await.unwrap(), 1);
        assert!(
            matches!(of(&[(topic, configured("many"))]).await, Err(LookError::Unreadable { path }) if path == topic)
        );
    }

    #[tokio::test]
    async fn what_can_not_be_read_is_not_taken_for_nothing() {
        let whole: BTreeMap<_, _> = topic("t", 1).into_iter().collect();
        let state = Partition {
            topic: "t".into(),
            partition: 0,
            leader: 1,
            isr: vec![1, 2, 3],
            min_insync: 2,
            written: 8,
        };
        assert_eq!(look(whole.clone()).await.unwrap(), [state]);
        for path in whole.keys() {
            let mut broken = whole.clone();
            broken.insert(path.clone(), "{}".into());
            let seen = look(broken).await;
            assert!(matches!(&seen, Err(LookError::Unreadable { path: told }) if told == path), "{seen:?}");
        }
    }
}
