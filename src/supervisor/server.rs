//! The supervisor process: lock, socket, signals, until it is told to end.

use std::{fs, io, os::fd::AsFd as _, path::Path, sync::Arc, time::Duration};

use rustix::{
    fs::Mode,
    net::{RecvFlags, recv},
    process::umask,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
};

use super::{
    error::SupervisorError,
    host::{Host, refused},
    journal::{Chain, Journal},
    layout,
    lock::HostLock,
    protocol::{REQUEST_LIMIT, Refusal, RefusalCode, Request},
};

/// After a failed accept, as for want of file descriptors, which others have to give back first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The host directory as this process names it: relative to the working directory, so that it is found where it has been
/// moved.
const HERE: &str = "";

/// Supervises the host at `dir` until SIGTERM or a `shutdown` request; then all units are stopped. Where `netns` stands
/// for a network namespace, the host's network is that one.
///
/// Must be called from the main thread of a process that does nothing else: the kernel kills the units when
/// the calling thread ends, and the process's working directory becomes `dir`.
///
/// # Errors
/// [`SupervisorError::AlreadyRunning`] if the host has a supervisor; else what of the host's files can't be
/// used. Units that can't be started are no error.
pub fn serve(dir: &Path, netns: Option<&Path>) -> Result<(), SupervisorError> {
    netns.map_or(Ok(()), enter)?;
    let entered = fs::canonicalize(dir).and_then(|dir| std::env::set_current_dir(&dir).map(|()| dir));
    let dir = entered.map_err(|source| SupervisorError::HostDirectory { dir: dir.to_owned(), source })?;
    let _lock = HostLock::acquire(&dir)?;
    let journal = Arc::new(Journal::open(HERE.as_ref())?);
    let ended = supervise(&dir, &journal);
    if let Err(error) = &ended {
        journal.note(format_args!("gave up: {}", Chain(error)));
    }
    ended
}

/// Enters a network namespace. It is a thread's property, and this process has one yet.
fn enter(netns: &Path) -> Result<(), SupervisorError> {
    let failed = |source| SupervisorError::File { action: "enter", path: netns.to_owned(), source };
    let namespace = fs::File::open(netns).map_err(failed)?;
    let entered = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
    entered.map_err(|errno| failed(errno.into()))
}

fn supervise(dir: &Path, journal: &Arc<Journal>) -> Result<(), SupervisorError> {
    fail_as_a_whole();
    let set_up = |what| move |source| SupervisorError::SetUp { dir: dir.to_owned(), what, source };
    let host = Arc::new(Host::open(HERE.into(), journal.clone())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Only an archive is synced elsewhere; more threads would cost memory.
        .max_blocking_threads(1)
        .build()
        .map_err(set_up("event loop"))?;
    let served = runtime.block_on(async {
        let signals = Signals::take().map_err(set_up("signals"))?;
        let listener = listen().map_err(set_up("socket"))?;
        journal.note(format_args!(
            "octad {} supervises as {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id()
        ));
        host.boot();
        accept_until_over(&host, listener, signals, journal).await;
        Ok(())
    });
    // Nobody shall find a socket that nobody answers on; the lock is still held.
    let _ = fs::remove_file(layout::SOCKET);
    journal.note("ended");
    served
}

/// A panic ends the process: a unit whose task is gone would run on unwatched, and a lost host is a state
/// that every other part of Octad can deal with.
fn fail_as_a_whole() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Signals that would end the process. Ignored ones have a handler that nobody listens to: a disposition of
/// "ignore" would be inherited by the units.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    _ignored: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            _ignored: [signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?],
        })
    }
}

/// Binds the socket in the working directory: an absolute path may be longer than the 108 bytes of an
/// address.
fn listen() -> io::Result<UnixListener> {
    match fs::remove_file(layout::SOCKET) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The mask makes it private from its first instant; a later chmod would leave a gap.
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(layout::SOCKET);
    umask(before);
    listener
}

async fn accept_until_over(
    host: &Arc<Host>,
    listener: UnixListener,
    mut signals: Signals,
    journal: &Journal,
) {
    loop {
        tokio::select! {
            () = host.over() => return,
            Some(()) = signals.terminate.recv() => {
                journal.note("SIGTERM: stopping all units");
                let host = host.clone();
                tokio::spawn(async move {
                    host.shut_down().await;
                    host.end();
                });
            }
            accepted = listener.accept() => match accepted {
                // A task of its own: requests don't wait for each other.
                Ok((stream, _)) => drop(tokio::spawn(converse(host.clone(), stream))),
                Err(error) => {
                    journal.note(format_args!("cannot accept a connection: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Whether the other end of a connection is closed.
fn has_gone(stream: &UnixStream) -> bool {
    let looked = recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(looked, Ok((_, 0)))
}

/// Answers the requests of one connection, one after the other. What is begun is done even if the one who asks goes away.
async fn converse(host: Arc<Host>, stream: UnixStream) {
    let (requests, mut answers) = stream.into_split();
    let mut requests = BufReader::with_capacity(1024, requests);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut requests).take(REQUEST_LIMIT).read_until(b'\n', &mut line).await {
            Ok(1..) if line.ends_with(b"\n") => {}
            Ok(length) if length as u64 == REQUEST_LIMIT => {
                let message = format!("a request has at most {REQUEST_LIMIT} bytes");
                let refusal = Refusal { code: RefusalCode::BadRequest, message };
                let _ = answers.write_all(&refused(refusal)).await;
                return;
            }
            _ => return,
        }
        if has_gone(requests.get_ref().as_ref()) {
            // Who asked has given up, as while this process stood still. A stop that comes late would be one that
            // nobody looks after any more.
            return;
        }
        let request = Request::decode(&line);
        let is_last = request == Ok(Request::Shutdown);
        let answer = match request {
            Ok(request) => host.answer(request).await,
            Err(refusal) => refused(refusal),
        };
        let written = answers.write_all(&answer).await;
        if is_last {
            host.end();
        }
        if written.is_err() {
            return;
        }
    }
}
