//! A script that answers at the other end of an OpenSSH connection.
//!
//! `ssh` ends with its standard input, and so does what it runs: whatever happens to Octad, nothing of it is left on either
//! side.

use super::scratch::Scratch;
use super::{Ssh, SshError, SshFailure};
use crate::clock::jitter;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Handshakes at a time: with sshd's own settings, the eleventh through one jump host may be refused (MaxStartups).
static HANDSHAKES: Semaphore = Semaphore::const_new(8);
/// How often a connection is tried that the other side has no room for.
const TRIES_WHERE_BUSY: u32 = 4;
/// From the start of `ssh` until the script answers: ssh's own limit, and as much for a slow login.
const LOGIN: Duration = Duration::from_secs(30);
/// How long something that has ended as far as we can see may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How much is kept of what a host says beside its answers, in bytes.
const KEPT: usize = 4096;
/// What is read at once from what a script says, in bytes.
const BUFFER: usize = 64 << 10;

/// A script on another machine.
pub struct Connection {
    /// What it reads.
    pub stdin: ChildStdin,
    /// What it says.
    pub stdout: BufReader<ChildStdout>,
    /// What its first line says behind the mark.
    pub greeting: String,
    /// The process that leads there.
    pub process: Process,
}

/// The process of a connection.
pub struct Process {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    scratch: Scratch,
}

/// How a connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It broke, with ssh's words for it.
    Broke(String),
    /// The script ended, with what was said on its stderr.
    Script(String),
}

impl Connection {
    /// Runs a script on a host, as soon as its first line begins with `mark` and a space; whatever a login shell prints stands
    /// before that. The script must hold no single quotes, since it stands between such, and no backslashes, since shells
    /// differ in them.
    ///
    /// # Errors
    /// Where no such script answers.
    pub async fn open(ssh: &Ssh, host: &str, script: &str, mark: &str) -> Result<Self, SshError> {
        let (mut tried, mut asked) = (1, !ssh.may_ask);
        loop {
            let connected = {
                let _turn = HANDSHAKES.acquire().await.expect("it is never closed");
                Self::try_to_open(ssh, host, script, mark).await
            };
            match connected {
                Err(SshError::Refused { class: SshFailure::Busy, .. }) if tried < TRIES_WHERE_BUSY => {
                    sleep(tried * Duration::from_millis(300) + jitter(Duration::from_millis(400))).await;
                    tried += 1;
                }
                Err(SshError::Refused { class: SshFailure::HostKeyUnknown, .. }) if !asked => {
                    ssh.ask(host).await;
                    asked = true;
                }
                connected => return connected,
            }
        }
    }

    async fn try_to_open(ssh: &Ssh, host: &str, script: &str, mark: &str) -> Result<Self, SshError> {
        debug_assert!(!script.contains(['\'', '\\']));
        let scratch = Scratch::new().map_err(|source| SshError::NoScratch { source })?;
        let mut command =
            ssh.run(host, script, &scratch).await.map_err(|source| SshError::NoScratch { source })?;
        let mut child = command.spawn().map_err(|source| SshError::NotRun { source })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were asked for")
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let keeping = tokio::spawn(keep(stderr, said.clone()));
        let mut stdout = BufReader::with_capacity(BUFFER, stdout);
        let greeting = timeout(LOGIN, greeting(&mut stdout, mark)).await;
        let noise = match greeting {
            Ok(Ok(greeting)) => {
                let process = Process { child, said, scratch };
                return Ok(Self { stdin, stdout, greeting, process });
            }
            Ok(Err(noise)) => noise,
            Err(_) => String::new(),
        };
        let is_pinned = ssh.host_keys.contains_key(host);
        let _ = timeout(LAST_WORDS, child.wait()).await;
        // What a jump host said may still be on its way.
        let _ = timeout(LAST_WORDS, keeping).await;
        Err(not_connected(child.try_wait(), &log(&scratch), &text(&said), &noise, is_pinned))
    }
}

impl Process {
    /// Ends the connection in good order, once what the script reads is closed.
    pub async fn close(mut self) {
        let _ = timeout(LAST_WORDS, self.child.wait()).await;
    }

    /// How a connection ended on which nothing is heard any more.
    pub async fn ended(&mut self) -> End {
        let ended = timeout(LAST_WORDS, self.child.wait()).await;
        // No script of ours has such an exit code: it is ssh's own.
        let broke = matches!(&ended, Ok(Ok(status)) if status.code() == Some(255));
        if broke || ended.is_err() {
            let log = log(&self.scratch);
            return End::Broke(log.lines().last().unwrap_or("nothing is heard of it any more").to_owned());
        }
        End::Script(text(&self.said).replace('\n', "; "))
    }
}

/// Reads up to the script's first line.
///
/// # Errors
/// What was said instead.
async fn greeting(stdout: &mut BufReader<ChildStdout>, mark: &str) -> Result<String, String> {
    let mut noise = String::new();
    let mut line = Vec::new();
    while noise.len() < KEPT {
        line.clear();
        let read = (&mut *stdout).take(KEPT as u64).read_until(b'\n', &mut line).await;
        let line = String::from_utf8_lossy(&line);
        match line.trim_end().strip_prefix(mark).and_then(|rest| rest.strip_prefix(' ')) {
            Some(greeting) if line.ends_with('\n') => return Ok(greeting.to_owned()),
            _ if matches!(read, Ok(0) | Err(_)) => break,
            _ => noise.push_str(&line),
        }
    }
    Err(noise)
}

/// Why the script never answered, from how ssh ended, if it did.
fn not_connected(
    ended: io::Result<Option<ExitStatus>>,
    log: &str,
    said: &str,
    noise: &str,
    is_pinned: bool,
) -> SshError {
    match ended {
        Ok(Some(status)) if status.code() == Some(255) => SshError::of(log, said, is_pinned),
        Ok(Some(_)) => {
            let told = format!("{noise} {said}");
            let words: Vec<&str> = told.split_whitespace().collect();
            SshError::LoginShell { said: words.join(" ").chars().take(300).collect() }
        }
        _ => {
            let said = log.to_owned();
            SshError::Refused { class: SshFailure::Unreachable, by_jump_host: false, said }
        }
    }
}

/// Keeps the end of what is said on stderr.
async fn keep(mut stderr: ChildStderr, said: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let mut said = said.lock().expect("nobody panics with it");
        said.extend_from_slice(&buffer[..read]);
        let surplus = said.len().saturating_sub(KEPT);
        said.drain(..surplus);
    }
}

fn text(said: &Mutex<Vec<u8>>) -> String {
    let said = said.lock().expect("nobody panics with it");
    let text = String::from_utf8_lossy(&said);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What ssh itself said.
fn log(scratch: &Scratch) -> String {
    let text = fs::read(scratch.file("log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let told = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Said once for each new address, and no failure.
    told.filter(|line| !line.starts_with("Warning: Permanently added")).collect::<Vec<_>>().join("\n")
}
