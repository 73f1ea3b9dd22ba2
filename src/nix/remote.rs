//! A Nix daemon at the other end of an OpenSSH connection, run by a small script that decompresses what it is sent.
//!
//! `ssh` ends with its standard input, and so does what it runs: whatever happens to Octad, nothing of it is left on either
//! side.

use super::daemon::{self, Replies};
use super::error::SshFailure;
use super::frames::{self, Frame, Wanted};
use super::scratch::Scratch;
use super::ssh::Ssh;
use super::{DaemonError, PushError, StorePath};
use std::collections::HashSet;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use std::{fs, io};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
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

/// What the script's first line begins with: whatever a login shell prints stands before it.
const MARK: &str = "octad-push";

/// Run by `sh` on the host. No single quotes, since it stands between such; no backslashes, since shells differ in them.
///
/// It says what it is on, then takes lines, each with what it announces behind it: `z N` for N compressed bytes, `r N` for N
/// as they are, both for the daemon; `n N` for N bytes with the paths that follow, one a line; `s`, which has on the disk what
/// came; and `k NAME PATH…`, which has NAME's links lead to these paths. Where the daemon ends, so does the loop before it,
/// which would wait for the next line: both are of the session's process group.
///
/// A daemon has on the disk that it has a path before the path is there: where power is lost, files that were written less
/// than half a minute ago are empty, and the store believes in them. So what is sent is noted before, on the disk, and struck
/// out when it is there as well. A note from before the last boot names what is in doubt.
const SCRIPT: &str = r#"PATH=$PATH:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$HOME/.nix-profile/bin
daemon=$(command -v nix-daemon) || daemon=-
zstd=$(command -v zstd) || zstd=-
sudo=
[ $daemon = - ] || [ $(id -u) = 0 ] || ! sudo -n $daemon --version >/dev/null 2>&1 || sudo="sudo -n"
nixos=-
[ ! -e /etc/NIXOS ] || nixos=nixos
notes=$HOME/.local/state/octad/unsynced
read -r boot </proc/sys/kernel/random/boot_id
note=$boot.$$
doubts() {
  cd "$notes" 2>/dev/null || return
  for one in *; do
    case $one in
      $boot.*) ;;
      *) [ ! -f $one ] || cat $one ;;
    esac
  done
}
list=$(doubts)
set -f
set -- $list
set +f
echo octad-push $(uname -m) $nixos $daemon $zstd $# $HOME
[ $# = 0 ] || echo "$list"
[ $daemon != - ] || exit 1
synced() {
  cd "$notes" 2>/dev/null || return 0
  over=
  for one in $boot.*; do
    [ $one = $note ] || kill -0 ${one##*.} 2>/dev/null || over="$over $one"
  done
  sync -f /nix/store "$notes" || sync
  for one in *; do
    case $one in
      $boot.*) ;;
      *)
        [ -f $one ] && [ -f $note ] || continue
        grep -vxF -f $note $one >../left.$$
        if [ -s ../left.$$ ]; then mv ../left.$$ $one; else rm -f $one ../left.$$; fi ;;
    esac
  done
  rm -f $note $over
}
trap : TERM
while read -r what rest; do
  case $what in
    z) head -c $rest | zstd -dcq || exit 1 ;;
    r) head -c $rest || exit 1 ;;
    n) mkdir -p "$notes" && cd "$notes" && head -c $rest >$note && { sync $note . || sync; } || exit 1 ;;
    s) synced || exit 1 ;;
    k)
      set -f
      set -- $rest
      set +f
      links="$HOME"/.local/state/octad/roots/$1
      shift
      mkdir -p "$links" || exit 1
      number=0
      for path; do
        ln -sfn $path "$links/$number" || exit 1
        number=$((number + 1))
      done
      while [ -L "$links/$number" ]; do
        rm "$links/$number"
        number=$((number + 1))
      done ;;
  esac
done | { $sudo $daemon --stdio; kill 0; }"#;

/// A connection to a daemon.
pub(super) struct Remote {
    child: Child,
    stdin: ChildStdin,
    pub(super) replies: Replies<ChildStdout>,
    said: Arc<Mutex<Vec<u8>>>,
    scratch: Scratch,
    /// The architecture, as `uname -m` says it.
    pub(super) machine: String,
    /// It runs NixOS.
    pub(super) is_nixos: bool,
    /// What it takes.
    pub(super) wanted: Wanted,
    home: String,
    /// Paths that it may believe to have and that may be broken.
    doubted: HashSet<String>,
    /// Its daemon trusts us.
    pub(super) trusted: bool,
}

impl Remote {
    /// Connects to a host and begins to talk to its daemon.
    pub(super) async fn connect(ssh: &Ssh, host: &str) -> Result<Self, PushError> {
        let (mut tried, mut asked) = (1, !ssh.may_ask);
        loop {
            let connected = {
                let _turn = HANDSHAKES.acquire().await.expect("it is never closed");
                Self::try_to_connect(ssh, host).await
            };
            match connected {
                Err(PushError::Ssh { class: SshFailure::Busy, .. }) if tried < TRIES_WHERE_BUSY => {
                    sleep(Duration::from_millis(u64::from(tried * 300 + jitter()))).await;
                    tried += 1;
                }
                Err(PushError::Ssh { class: SshFailure::HostKeyUnknown, .. }) if !asked => {
                    ssh.ask(host).await;
                    asked = true;
                }
                connected => return connected,
            }
        }
    }

    async fn try_to_connect(ssh: &Ssh, host: &str) -> Result<Self, PushError> {
        let scratch = Scratch::new().map_err(|source| PushError::NoScratch { source })?;
        let mut command =
            ssh.run(host, SCRIPT, &scratch).map_err(|source| PushError::NoScratch { source })?;
        let mut child = command.spawn().map_err(|source| PushError::NoSsh { source })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were asked for")
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let keeping = tokio::spawn(keep(stderr, said.clone()));
        let mut stdout = BufReader::with_capacity(64 << 10, stdout);
        let greeting = timeout(LOGIN, greeting(&mut stdout)).await;
        let Ok(Ok(Greeting { machine, is_nixos, has_daemon, has_zstd, doubts, home })) = greeting else {
            let noise = match greeting {
                Ok(Err(noise)) => noise,
                _ => String::new(),
            };
            let is_pinned = ssh.host_keys.contains_key(host);
            let _ = timeout(LAST_WORDS, child.wait()).await;
            // What a jump host said may still be on its way.
            let _ = timeout(LAST_WORDS, keeping).await;
            return Err(not_connected(child.try_wait(), &log(&scratch), &text(&said), &noise, is_pinned));
        };
        if !has_daemon {
            return Err(PushError::NoNix);
        }
        let mut doubted = HashSet::new();
        for _ in 0..doubts {
            let mut line = String::new();
            // A link that breaks here is told of by the daemon's first word, which doesn't come.
            let _ = timeout(LOGIN, stdout.read_line(&mut line)).await;
            doubted.insert(line.trim_end().to_owned());
        }
        let wanted = Wanted::by(has_zstd);
        let replies = Replies::new(stdout);
        let mut remote = Self {
            child,
            stdin,
            replies,
            said,
            scratch,
            machine,
            is_nixos,
            wanted,
            home,
            doubted,
            trusted: false,
        };
        let hello = frames::requests(daemon::put_hello, wanted).map_err(DaemonError::from);
        let answered = match hello {
            Ok(hello) => {
                // Why it can't be written to is told by what can be read.
                let _ = remote.send(&hello).await;
                remote.replies.hello().await
            }
            Err(error) => Err(error),
        };
        match answered {
            Ok(trusted) => Ok(Self { trusted, ..remote }),
            Err(error) => Err(remote.explain(error).await),
        }
    }

    /// Sends a frame, and returns how many bytes that were.
    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<u64> {
        send(&mut self.stdin, frame, self.wanted).await
    }

    /// Both directions of the connection, for use at the same time.
    pub(super) fn both(&mut self) -> (&mut ChildStdin, &mut Replies<ChildStdout>) {
        (&mut self.stdin, &mut self.replies)
    }

    /// Whether the host may believe to have a path that is broken.
    pub(super) fn doubts(&self, path: &StorePath) -> bool {
        self.doubted.contains(path.as_str())
    }

    /// Has the host take note of what it is about to be sent.
    pub(super) async fn note(&mut self, paths: impl Iterator<Item = &StorePath>) -> io::Result<()> {
        let lines: String = paths.map(|path| format!("{path}\n")).collect();
        match lines.as_str() {
            "" => Ok(()),
            lines => self.stdin.write_all(format!("n {}\n{lines}", lines.len()).as_bytes()).await,
        }
    }

    /// Has all that came on the host's disk, and keeps these paths from the garbage collector until others are kept under the
    /// same name; without a name only the former.
    pub(super) async fn keep(&mut self, name: &str, roots: &[StorePath]) -> Result<(), PushError> {
        let kept = if name.is_empty() { &[] } else { roots };
        let mut line = "s\n".to_owned();
        if !kept.is_empty() {
            line.push_str(&format!("k {name}"));
            kept.iter().for_each(|root| line.push_str(&format!(" {root}")));
            line.push('\n');
        }
        let links = (0..kept.len())
            .map(|number| format!("{}/.local/state/octad/roots/{name}/{number}", self.home))
            .collect::<Vec<_>>();
        let registered = async {
            let request = |out: &mut Vec<u8>| {
                links.iter().for_each(|link| daemon::put_add_indirect_root(out, link));
                // A collection under way looked at the links before these were there, and may look at temporary roots only
                // once this connection is over. Told once more, it has taken note before it answers.
                roots.iter().for_each(|root| daemon::put_add_temp_root(out, root));
            };
            let request = frames::requests(request, self.wanted)?;
            let _ = self.stdin.write_all(line.as_bytes()).await;
            let _ = self.send(&request).await;
            for _ in 0..links.len() + roots.len() {
                self.replies.done().await?;
            }
            Ok(())
        };
        match registered.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Ends the connection in good order.
    pub(super) async fn close(mut self) {
        drop(self.stdin);
        let _ = timeout(LAST_WORDS, self.child.wait()).await;
    }

    /// What it means that the daemon did not answer as it should.
    pub(super) async fn explain(&mut self, error: DaemonError) -> PushError {
        match error {
            DaemonError::Refused { message } if is_of_full_disk(&message) => {
                PushError::DiskFull { said: message }
            }
            DaemonError::Ended { .. } => {
                let ended = timeout(LAST_WORDS, self.child.wait()).await;
                // The script has no such exit code: it is ssh's own.
                let broke = matches!(&ended, Ok(Ok(status)) if status.code() == Some(255));
                let said = text(&self.said).replace('\n', "; ");
                match log(&self.scratch) {
                    log if broke || ended.is_err() => PushError::Cut {
                        said: log.lines().last().unwrap_or("nothing is heard of it any more").to_owned(),
                    },
                    _ if is_of_full_disk(&said) => PushError::DiskFull { said },
                    _ => PushError::Ended { source: error, said },
                }
            }
            error => PushError::Daemon(error),
        }
    }
}

/// Whether it is said of a full disk. The database of a store can't even be read there, since a file beside it must grow; a
/// broken disk has it say the same.
fn is_of_full_disk(said: &str) -> bool {
    ["No space left on device", "database or disk is full", "disk I/O error"]
        .iter()
        .any(|words| said.contains(words))
}

pub(super) async fn send(stdin: &mut ChildStdin, frame: &Frame, wanted: Wanted) -> io::Result<u64> {
    let (line, bytes) = frame.as_sent(wanted);
    stdin.write_all(line.as_bytes()).await?;
    stdin.write_all(bytes).await?;
    Ok((line.len() + bytes.len()) as u64)
}

/// What the script says of the host.
#[derive(Debug, PartialEq, Eq)]
struct Greeting {
    machine: String,
    is_nixos: bool,
    has_daemon: bool,
    has_zstd: bool,
    /// How many lines follow, each with a path that is in doubt.
    doubts: usize,
    home: String,
}

impl Greeting {
    fn of(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(MARK)?.strip_prefix(' ')?.splitn(6, ' ');
        let (machine, nixos, daemon, zstd) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(Self {
            machine: machine.to_owned(),
            is_nixos: nixos != "-",
            has_daemon: daemon != "-",
            has_zstd: zstd != "-",
            doubts: words.next()?.parse().ok()?,
            home: words.next()?.to_owned(),
        })
    }
}

/// Reads up to the script's first line.
///
/// # Errors
/// What was said instead.
async fn greeting(stdout: &mut BufReader<ChildStdout>) -> Result<Greeting, String> {
    let mut noise = String::new();
    let mut line = Vec::new();
    while noise.len() < KEPT {
        line.clear();
        let read = (&mut *stdout).take(KEPT as u64).read_until(b'\n', &mut line).await;
        let line = String::from_utf8_lossy(&line);
        match Greeting::of(line.trim_end()) {
            Some(greeting) => return Ok(greeting),
            None if matches!(read, Ok(0) | Err(_)) => break,
            None => noise.push_str(&line),
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
) -> PushError {
    match ended {
        Ok(Some(status)) if status.code() == Some(255) => PushError::of_ssh(log, said, is_pinned),
        Ok(Some(_)) => {
            let told = format!("{noise} {said}");
            let words: Vec<&str> = told.split_whitespace().collect();
            PushError::LoginShell { said: words.join(" ").chars().take(300).collect() }
        }
        _ => PushError::Ssh { class: SshFailure::Unreachable, by_jump_host: false, said: log.to_owned() },
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

/// Some milliseconds below 400, so that those who were turned away together don't come back together.
fn jitter() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_micros() % 400)
}

/// What ssh itself said.
fn log(scratch: &Scratch) -> String {
    let text = fs::read(scratch.file("log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let told = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Said once for each new address, and no failure.
    told.filter(|line| !line.starts_with("Warning: Permanently added")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stands_between_single_quotes_of_any_shell() {
        assert!(!SCRIPT.contains(['\'', '\\']));
        assert!(SCRIPT.contains(&format!("echo {MARK} ")));
    }

    #[test]
    fn a_greeting_tells_what_the_host_has() {
        let greeting = Greeting::of("octad-push x86_64 nixos /bin/nix-daemon - 3 /home/a b").unwrap();
        assert_eq!(
            greeting,
            Greeting {
                machine: "x86_64".into(),
                is_nixos: true,
                has_daemon: true,
                has_zstd: false,
                doubts: 3,
                home: "/home/a b".into()
            }
        );
        assert_eq!(Greeting::of("octad-push x86_64"), None);
        assert_eq!(Greeting::of("Welcome to octad-push"), None);
    }
}
