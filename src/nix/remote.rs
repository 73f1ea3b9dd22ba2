//! A Nix daemon at the other end of an OpenSSH connection, run by a small script that decompresses what it is sent.

use super::daemon::{self, Replies};
use super::frames::{self, Frame, Wanted};
use super::{DaemonError, PushError, StorePath};
use crate::ssh::{Connection, End, Process, Ssh, SshError};
use std::collections::HashSet;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

/// How long the script may take between two lines.
const ANSWER: Duration = Duration::from_secs(30);

/// What the script's first line begins with.
const MARK: &str = "octad-push";

/// Run by `sh` on the host. It says what it is on, then takes lines, each with what it announces behind it: `z N` for N
/// compressed bytes, `r N` for N as they are, both for the daemon; `n N` for N bytes with the paths that follow, one a line; `s`, which has on the disk what
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
    stdin: ChildStdin,
    pub(super) replies: Replies<ChildStdout>,
    process: Process,
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
        let Connection { stdin, mut stdout, greeting, process } =
            Connection::open(ssh, host, SCRIPT, MARK).await?;
        let Some(Greeting { machine, is_nixos, has_daemon, has_zstd, doubts, home }) =
            Greeting::of(&greeting)
        else {
            return Err(SshError::LoginShell { said: greeting }.into());
        };
        if !has_daemon {
            return Err(PushError::NoNix);
        }
        let mut doubted = HashSet::new();
        for _ in 0..doubts {
            let mut line = String::new();
            // A link that breaks here is told of by the daemon's first word, which doesn't come.
            let _ = timeout(ANSWER, stdout.read_line(&mut line)).await;
            doubted.insert(line.trim_end().to_owned());
        }
        let wanted = Wanted::by(has_zstd);
        let replies = Replies::new(stdout);
        let mut remote =
            Self { stdin, replies, process, machine, is_nixos, wanted, home, doubted, trusted: false };
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
    pub(super) async fn close(self) {
        drop(self.stdin);
        self.process.close().await;
    }

    /// What it means that the daemon did not answer as it should.
    pub(super) async fn explain(&mut self, error: DaemonError) -> PushError {
        match error {
            DaemonError::Refused { message } if is_of_full_disk(&message) => {
                PushError::DiskFull { said: message }
            }
            DaemonError::Ended { .. } => match self.process.ended().await {
                End::Broke(said) => PushError::Cut { said },
                End::Script(said) if is_of_full_disk(&said) => PushError::DiskFull { said },
                End::Script(said) => PushError::Ended { source: error, said },
            },
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
        let mut words = line.splitn(6, ' ');
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
        let greeting = Greeting::of("x86_64 nixos /bin/nix-daemon - 3 /home/a b").unwrap();
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
        assert_eq!(Greeting::of("x86_64"), None);
    }
}
