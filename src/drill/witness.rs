//! Looks for the signs of a fault, each by somebody who has no part in making it: ZooKeeper, the kernel, the network as
//! another host has it, a node's own log.

use super::chronicle::Chronicle;
use super::error::DrillError;
use super::scene::Scene;
use super::sign::{Evidence, Sign};
use crate::host::{Host, LogQuery, RunState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Between looks for a sign.
const LOOK: Duration = Duration::from_millis(20);

/// A connection that takes longer doesn't come about: the kernel asks a second time after one second.
const CONNECTION: Duration = Duration::from_secs(2);

/// Signs that are being looked for. Dropping it ends that.
pub(super) struct Witness<'a> {
    scene: &'a Scene,
    chronicle: Arc<Mutex<Chronicle>>,
    epoch: Instant,
    awaited: Mutex<Vec<Awaited>>,
}

/// One sign.
struct Awaited {
    sign: Sign,
    from: Duration,
    seen: Arc<Mutex<Option<Duration>>>,
    task: JoinHandle<()>,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<'a> Witness<'a> {
    /// A witness who has been told of nothing yet. `chronicle` is what ZooKeeper tells, as it grows.
    pub(super) fn new(scene: &'a Scene, chronicle: Arc<Mutex<Chronicle>>, epoch: Instant) -> Self {
        Self { scene, chronicle, epoch, awaited: Mutex::default() }
    }

    /// Begins to look for a sign of what is about to be done. One that can't be looked for is not seen.
    pub(super) fn expect(&self, sign: &Sign) {
        let (epoch, from) = (self.epoch, self.epoch.elapsed());
        let seen = Arc::new(Mutex::new(None));
        let (note, look) = (seen.clone(), self.look(sign, from));
        let task = tokio::spawn(async move {
            if let Ok(Some(look)) = look {
                let at = look.until_seen(epoch).await;
                *note.lock().expect("no holder of a sign panics") = Some(at);
            }
        });
        let awaited = Awaited { sign: sign.clone(), from, seen, task };
        self.awaited.lock().expect("no holder of the signs panics").push(awaited);
    }

    /// Whether every sign has been seen.
    pub(super) fn saw_all(&self) -> bool {
        self.awaited
            .lock()
            .expect("no holder of the signs panics")
            .iter()
            .all(|awaited| awaited.seen().is_some())
    }

    /// Stops looking and gives what was seen.
    pub(super) fn finish(self) -> Vec<Evidence> {
        let awaited = self.awaited.into_inner().expect("no holder of the signs panics");
        awaited.iter().map(|one| Evidence::of(&one.sign, one.from, one.seen())).collect()
    }

    /// How a sign is looked for; `None` where it is of a node that there isn't.
    fn look(&self, sign: &Sign, from: Duration) -> Result<Option<Look>, DrillError> {
        let chronicle = || self.chronicle.clone();
        let facts = |node: &str| self.scene.node(node);
        let address = |node: &str| facts(node)?.endpoint("client")?.parse::<SocketAddr>().ok();
        Ok(match sign {
            Sign::Unregistered(node) => {
                facts(node).map(|facts| Look::Told { chronicle: chronicle(), from, of: Some(facts.id) })
            }
            Sign::AnyChange => Some(Look::Told { chronicle: chronicle(), from, of: None }),
            Sign::Closed(node) => address(node).map(Look::Closed),
            Sign::Apart { from, to } => match (facts(from), address(to)) {
                (Some(from), Some(to)) => Some(Look::Apart { host: self.scene.host_of(from)?, to }),
                _ => None,
            },
            Sign::Frozen(node) => match facts(node) {
                Some(facts) => Some(Look::Frozen { host: self.scene.host_of(facts)?, node: node.clone() }),
                None => None,
            },
            Sign::Said { node, words } => match facts(node) {
                Some(facts) => {
                    Some(Look::Said { host: self.scene.host_of(facts)?, node: node.clone(), words })
                }
                None => None,
            },
        })
    }
}

impl Awaited {
    fn seen(&self) -> Option<Duration> {
        *self.seen.lock().expect("no holder of a sign panics")
    }
}

/// Where a sign is looked for.
enum Look {
    /// In what ZooKeeper tells, since a moment: of a broker's registration, or of anything.
    Told {
        chronicle: Arc<Mutex<Chronicle>>,
        from: Duration,
        of: Option<i32>,
    },
    Closed(SocketAddr),
    Apart {
        host: Arc<dyn Host>,
        to: SocketAddr,
    },
    Frozen {
        host: Arc<dyn Host>,
        node: String,
    },
    Said {
        host: Arc<dyn Host>,
        node: String,
        words: &'static str,
    },
}

impl Look {
    /// Waits for the sign; when it was seen.
    async fn until_seen(self, epoch: Instant) -> Duration {
        if let Self::Said { host, node, words } = &self {
            return said(host.as_ref(), node, words, epoch).await;
        }
        loop {
            if let Some(at) = self.once(epoch).await {
                return at;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A look. What can't be looked at isn't seen.
    async fn once(&self, epoch: Instant) -> Option<Duration> {
        let seen = match self {
            Self::Told { chronicle, from, of } => {
                return told(&chronicle.lock().expect("no holder of the chronicle panics"), *from, *of);
            }
            Self::Closed(address) => is_closed(*address).await,
            Self::Apart { host, to } => match host.drill() {
                Ok(host) => matches!(host.reaches(*to).await, Ok(false)),
                Err(_) => false,
            },
            Self::Frozen { host, node } => {
                let found = host.node(node).await;
                matches!(found, Ok(Some(found)) if found.run == RunState::Frozen)
            }
            Self::Said { .. } => false,
        };
        seen.then(|| epoch.elapsed())
    }
}

/// When ZooKeeper told first since `from` that this broker's registration ended, or of any change where `of` is `None`.
fn told(chronicle: &Chronicle, from: Duration, of: Option<i32>) -> Option<Duration> {
    let gone = chronicle.gone.iter().filter(|gone| of.is_none() || gone.broker == of).map(|gone| gone.at);
    let led = chronicle.led.iter().filter(|_| of.is_none()).map(|led| led.at);
    gone.chain(led).filter(|at| *at >= from).min()
}

/// Whether a connection is refused, or has no answer. That this process can't try tells nothing.
async fn is_closed(address: SocketAddr) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    match tokio::time::timeout(CONNECTION, TcpStream::connect(address)).await {
        Ok(Ok(_)) => false,
        Ok(Err(error)) => {
            matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | TimedOut)
        }
        Err(_) => true,
    }
}

/// Waits until a node says these words.
async fn said(host: &dyn Host, node: &str, words: &str, epoch: Instant) -> Duration {
    let mut query = LogQuery { since: Some(SystemTime::now()), follow: true, ..LogQuery::default() };
    loop {
        if let Ok(mut lines) = host.logs(node, query).await {
            while let Some(line) = lines.recv().await {
                if line.text.contains(words) {
                    return epoch.elapsed();
                }
                query.since = Some(line.at);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Gone, Led};

    #[test]
    fn what_zookeeper_told_before_or_of_others_is_no_sign() {
        let ms = Duration::from_millis;
        let gone = |at, broker| Gone { at: ms(at), broker };
        let led = Led { at: ms(400), partition: 0, leader: Some(2), isr: vec![2] };
        let chronicle =
            Chronicle { gone: vec![gone(100, Some(1)), gone(200, None), gone(300, Some(2))], led: vec![led] };
        assert_eq!(told(&chronicle, ms(50), Some(1)), Some(ms(100)));
        assert_eq!(told(&chronicle, ms(150), Some(1)), None);
        assert_eq!(told(&chronicle, ms(0), Some(3)), None);
        assert_eq!(told(&chronicle, ms(350), None), Some(ms(400)));
        assert_eq!(told(&chronicle, ms(401), None), None);
    }

    #[tokio::test]
    async fn a_port_that_is_listened_on_is_open_and_another_is_closed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_closed(address).await);
        drop(listener);
        assert!(is_closed(address).await);
    }
}
