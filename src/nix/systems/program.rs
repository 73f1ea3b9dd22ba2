//! A program of Nix at work.

use crate::nix::LocalError;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// How much of what a program says of itself is kept: its end, in lines and in bytes a line.
const LINES: usize = 60;
const LINE: u64 = 4096;

/// A program that runs. Dropped, it is asked to end, as a ^C does, and has its builders end; killed, it would leave them.
pub(super) struct Running {
    name: &'static str,
    child: Child,
}

/// A program that has ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    /// The end of what it said of itself.
    pub(super) said: String,
}

/// A program of Nix with what is called experimental.
pub(super) fn nix(program: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--option", "extra-experimental-features", "nix-command flakes"]);
    command
}

impl Running {
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self, LocalError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|source| LocalError::NoNix { program: name, source })?;
        Ok(Self { name, child })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end. `tell` gets each line of what it says of itself as it comes.
    pub(super) async fn ended(
        mut self,
        input: &str,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Ended, LocalError> {
        let (stdin, stdout, stderr) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // Where it ended before it has read all, it says why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let read = async {
            let mut all = Vec::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut all).await?;
            }
            Ok::<_, std::io::Error>(all)
        };
        let listen = async {
            let mut last: VecDeque<String> = VecDeque::new();
            let Some(stderr) = stderr else { return Ok(last) };
            let mut stderr = BufReader::new(stderr);
            loop {
                let mut line = Vec::new();
                // A longer line comes in pieces.
                if (&mut stderr).take(LINE).read_until(b'\n', &mut line).await? == 0 {
                    return Ok::<_, std::io::Error>(last);
                }
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                tell(&line);
                if last.len() == LINES {
                    last.pop_front();
                }
                last.push_back(line);
            }
        };
        let ((), stdout, last) = tokio::join!(write, read, listen);
        let failed = |source| LocalError::NoNix { program: self.name, source };
        let (stdout, last) = (stdout.map_err(failed)?, last.map_err(failed)?);
        let status = self.child.wait().await.map_err(failed)?;
        let said = last.into_iter().collect::<Vec<_>>().join("\n").trim().to_owned();
        Ok(Ended { status, stdout, said })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `None` once it has been waited for: its number may be another's by then.
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
