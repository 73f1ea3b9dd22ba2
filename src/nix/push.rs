//! Pushes a closure to hosts: asks each what it misses, sends that, and has it kept.

use super::daemon;
use super::frames::{self, Frame, Wanted};
use super::order::{Lacking, Operation, operations};
use super::remote::{Remote, send};
use super::{Closure, DaemonError, LocalError, PathInfo, PushError, StorePath, closure};
use crate::ssh::Ssh;
use futures_util::future::{join, join_all, try_join};
use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::ChildStdin;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

/// How often a host is tried whose link breaks; it is sent only what is missing by then.
const TRIES: u32 = 4;
/// How long it is left alone after the first try; twice that after the second, and so on.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a daemon may take to say why it takes nothing any more.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a closure is pushed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How `ssh` is called.
    pub ssh: Ssh,
    /// Has each host fetch from its own substituters what they have.
    pub substitute: bool,
    /// Under which name the hosts keep the paths from their garbage collectors; those of the last push under this name are
    /// let go. Letters, digits, `-` and `_`; empty: they aren't kept.
    pub keep_as: String,
}

/// A host, and what it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host, as ssh knows it.
    pub host: String,
    /// What is pushed to it, with all that this needs: some of the roots of the closure.
    pub roots: Vec<StorePath>,
}

/// How far a host has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Paths that it has said it has taken, in this push.
    pub paths: usize,
    /// Of how many that it missed.
    pub of_paths: usize,
    /// The sizes of these paths' NARs, in bytes.
    pub bytes: u64,
    /// Of how many.
    pub of_bytes: u64,
}

/// What came of a push to one host.
#[derive(Debug)]
pub struct Pushed {
    /// The host, as it was named.
    pub host: String,
    /// Why it does not have all of it.
    pub failure: Option<PushError>,
    /// What it was sent, and has taken.
    pub sent: Sent,
    /// What went over the wire for that, in bytes, before ssh.
    pub on_wire: u64,
    /// How often the link broke on the way.
    pub cuts: u32,
    /// How long it took.
    pub took: Duration,
}

impl Pushed {
    fn new(host: String) -> Self {
        Self { host, failure: None, sent: Sent::default(), on_wire: 0, cuts: 0, took: Duration::ZERO }
    }
}

/// A frame for a host, or why no more come.
type Delivery = Result<Arc<Frame>, Arc<LocalError>>;

/// Where a push tells how far each host has come.
pub type OnSent<'a> = &'a (dyn Fn(&str, Sent) + Send + Sync);

/// Pushes to each host its part of a closure, all at once; what one of them fails of doesn't hold the others up, but the
/// slowest link sets the pace of all. While connections are made the closure is looked up. Returns it and what came of the push, in the order of
/// `targets`.
///
/// A host that got only a part keeps what arrived until its next garbage collection; the next push sends only the rest.
/// Dropping the future ends it at once.
///
/// # Errors
/// Where the closure can't be told; nothing has been sent then.
pub async fn push(
    options: &Options,
    closure: impl Future<Output = Result<Closure, LocalError>>,
    targets: &[Target],
    on_sent: OnSent<'_>,
) -> Result<(Closure, Vec<Pushed>), LocalError> {
    let begun = Instant::now();
    let mut all: Vec<Pushed> = targets.iter().map(|target| Pushed::new(target.host.clone())).collect();
    let mut left: Vec<usize> = (0..targets.len()).collect();
    let connect = |left: &[usize]| {
        let names = left.iter().map(|host| targets[*host].host.as_str());
        join_all(names.map(|host| Remote::connect(&options.ssh, host)))
    };
    let connecting = async { Ok(connect(&left).await) };
    let (closure, mut connected) = try_join(closure, connecting).await?;
    let parts: Vec<Part> = targets
        .iter()
        .map(|Target { roots, .. }| Part { closure: &closure, roots, needed: closure.needed(roots) })
        .collect();
    for round in 1.. {
        push_once(options, &closure, &parts, &mut all, left.iter().copied().zip(connected), on_sent).await;
        left.iter().for_each(|host| all[*host].took = begun.elapsed());
        left.retain(|host| {
            let Pushed { failure, cuts, .. } = &mut all[*host];
            let broke = matches!(failure, Some(PushError::Cut { .. }));
            *cuts += u32::from(broke);
            // One that never answered isn't waited for.
            *cuts > 0 && round < TRIES && failure.as_ref().is_some_and(PushError::may_pass)
        });
        if left.is_empty() {
            break;
        }
        sleep(PAUSE * 2u32.pow(round - 1)).await;
        connected = connect(&left).await;
    }
    Ok((closure, all))
}

/// What one host is to have of a closure.
struct Part<'a> {
    closure: &'a Closure,
    roots: &'a [StorePath],
    /// Places of all that these need.
    needed: Vec<usize>,
}

/// One try for those of `all` that connections were tried to.
async fn push_once(
    options: &Options,
    closure: &Closure,
    parts: &[Part<'_>],
    all: &mut [Pushed],
    connected: impl Iterator<Item = (usize, Result<Remote, PushError>)>,
    on_sent: OnSent<'_>,
) {
    let ask = |(host, remote)| async move {
        match remote {
            Ok(remote) => (host, ask(options, &parts[host], remote).await),
            Err(failure) => (host, Err(failure)),
        }
    };
    let asked = join_all(connected.map(ask)).await;
    let mut missing = vec![Lacking::default(); closure.paths.len()];
    let mut wanted = Wanted { plain: false, compressed: false };
    let mut remotes = Vec::new();
    for (host, asked) in asked {
        match asked {
            Ok((remote, misses)) => {
                wanted.plain |= remote.wanted.plain;
                wanted.compressed |= remote.wanted.compressed;
                misses.into_iter().for_each(|place| {
                    missing[place].hosts.insert(host);
                    missing[place].in_doubt |= remote.doubts(&closure.paths[place].path);
                });
                all[host].failure = None;
                remotes.push((host, remote));
            }
            Err(failure) => all[host].failure = Some(failure),
        }
    }
    let operations: Arc<[Operation]> = operations(&closure.paths, &missing).into();
    let mut channels: BTreeMap<usize, UnboundedSender<Delivery>> = BTreeMap::new();
    let mut sending = Vec::new();
    for (host, remote) in remotes {
        let (sender, deliveries) = unbounded_channel();
        channels.insert(host, sender);
        let its: Vec<&Operation> =
            operations.iter().filter(|operation| operation.hosts.contains(&host)).collect();
        let pushed = std::mem::replace(&mut all[host], Pushed::new(String::new()));
        sending.push(async move {
            (host, send_all(options, &parts[host], remote, &its, deliveries, pushed, on_sent).await)
        });
    }
    let reading = async {
        let deliver = |number: usize, frame: Arc<Frame>| {
            for host in &operations[number].hosts {
                // One that has failed takes no more.
                let _ = channels[host].send(Ok(frame.clone()));
            }
        };
        let read = frames::read(closure.paths.clone(), operations.clone(), wanted, deliver).await;
        if let Err(error) = read.map_err(Arc::new) {
            channels.values().for_each(|host| drop(host.send(Err(error.clone()))));
        }
        drop(channels);
    };
    let ((), sent) = join(reading, join_all(sending)).await;
    sent.into_iter().for_each(|(host, pushed)| all[host] = pushed);
}

/// Asks a host what it misses, as places in the closure. Nothing that it has already is deleted there as long as the
/// connection lasts.
async fn ask(
    options: &Options,
    part: &Part<'_>,
    mut remote: Remote,
) -> Result<(Remote, Vec<usize>), PushError> {
    if let Some(system) = closure::system(part.roots) {
        if system != format!("{}-linux", remote.machine) {
            return Err(PushError::WrongSystem { machine: remote.machine, system });
        }
        if !remote.is_nixos {
            return Err(PushError::NotNixos);
        }
    }
    let needed = || part.needed.iter().map(|place| &part.closure.paths[*place]);
    let ask = |out: &mut Vec<u8>| {
        // Before the question: what is there by then stays.
        needed().for_each(|info| daemon::put_add_temp_root(out, &info.path));
        let paths: Vec<&StorePath> = needed().map(|info| &info.path).collect();
        daemon::put_query_valid_paths(out, paths.into_iter(), options.substitute);
    };
    let question = frames::requests(ask, remote.wanted)
        .map_err(|source| PushError::Ended { source: source.into(), said: String::new() })?;
    let wanted = remote.wanted;
    let (stdin, replies) = remote.both();
    let answered = async {
        for _ in &part.needed {
            replies.done().await?;
        }
        replies.paths().await
    };
    let (_, answered) = join(send(stdin, &question, wanted), answered).await;
    let there: HashSet<String> = match answered {
        Ok(paths) => paths.into_iter().collect(),
        Err(error) => return Err(remote.explain(error).await),
    };
    let is_missing = |place: &usize| {
        let path = &part.closure.paths[*place].path;
        !there.contains(path.as_str()) || remote.doubts(path)
    };
    let misses: Vec<usize> = part.needed.iter().copied().filter(is_missing).collect();
    if !remote.trusted {
        let unsigned =
            misses.iter().map(|place| &part.closure.paths[*place]).filter(|info| !info.is_vouched_for());
        let unsigned: Vec<&PathInfo> = unsigned.collect();
        if let Some(example) = unsigned.first() {
            return Err(PushError::Untrusted { unsigned: unsigned.len(), example: example.path.to_string() });
        }
    }
    Ok((remote, misses))
}

/// Sends a host its operations as they come, and has it keep what was asked for.
async fn send_all(
    options: &Options,
    part: &Part<'_>,
    mut remote: Remote,
    operations: &[&Operation],
    deliveries: UnboundedReceiver<Delivery>,
    mut pushed: Pushed,
    on_sent: OnSent<'_>,
) -> Pushed {
    let Pushed { host, sent, on_wire, .. } = &mut pushed;
    sent.of_paths = sent.paths + operations.iter().map(|operation| operation.paths.len()).sum::<usize>();
    sent.of_bytes = sent.bytes + operations.iter().map(|operation| operation.bytes).sum::<u64>();
    on_sent(host, *sent);
    let wanted = remote.wanted;
    let paths = operations.iter().flat_map(|operation| &operation.paths);
    if let Err(error) = remote.note(paths.map(|place| &part.closure.paths[*place].path)).await {
        pushed.failure = Some(remote.explain(error.into()).await);
        return pushed;
    }
    let (stdin, replies) = remote.both();
    let taken = async {
        for operation in operations {
            replies.settled().await?;
            sent.paths += operation.paths.len();
            sent.bytes += operation.bytes;
            on_sent(host, *sent);
        }
        Ok(())
    };
    let done = transfer(stdin, wanted, deliveries, on_wire, taken).await;
    let kept = match done {
        Ok(()) => remote.keep(&options.keep_as, part.roots).await,
        Err(Stopped::Local(error)) => Err(PushError::Local(error)),
        Err(Stopped::Daemon(error)) => Err(remote.explain(error).await),
    };
    match kept {
        Ok(()) => remote.close().await,
        Err(failure) => pushed.failure = Some(failure),
    }
    pushed
}

/// Why a transfer ended early.
enum Stopped {
    Local(Arc<LocalError>),
    Daemon(DaemonError),
}

/// Writes what is delivered while replies are read. What the daemon says counts for more than that it can't be written to.
async fn transfer(
    stdin: &mut ChildStdin,
    wanted: Wanted,
    mut deliveries: UnboundedReceiver<Delivery>,
    on_wire: &mut u64,
    taken: impl Future<Output = Result<(), DaemonError>>,
) -> Result<(), Stopped> {
    let written = async {
        while let Some(delivery) = deliveries.recv().await {
            let frame = delivery.map_err(Stopped::Local)?;
            let sent = send(stdin, &frame, wanted).await;
            *on_wire += sent.map_err(|error| Stopped::Daemon(error.into()))?;
        }
        Ok(())
    };
    let (mut taken, mut written) = (pin!(taken), pin!(written));
    let written = tokio::select! {
        taken = &mut taken => return taken.map_err(Stopped::Daemon),
        written = &mut written => written,
    };
    match written {
        Ok(()) => taken.await.map_err(Stopped::Daemon),
        Err(Stopped::Daemon(error)) => {
            timeout(LAST_WORDS, taken).await.unwrap_or(Err(error)).map_err(Stopped::Daemon)
        }
        Err(local) => Err(local),
    }
}
