//! A shell on another machine, as root: what it is told goes there one after the other, over one connection.

use super::{Connection, End, Process, Ssh, SshError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

/// What the script's first line begins with.
const MARK: &str = "octad-shell";
/// What stands behind it where the user can't be root.
const NO_SUDO: &str = "no-sudo";

/// Run by `sh` on the host. It takes lines with a number of bytes each, with so many bytes of a script behind it, and says of
/// each script its exit code and the length of what it said, and that. In `since` a script finds when the connection was made, by
/// the host's uptime. Half a script isn't run. A script that was begun comes to its end, also where
/// the connection breaks meanwhile.
const SCRIPT: &str = r#"PATH=$PATH:/run/wrappers/bin:/run/current-system/sw/bin
LC_ALL=C
export PATH LC_ALL
read -r since rest </proc/uptime
sudo=
[ $(id -u) = 0 ] || sudo="sudo -n"
if ! $sudo true 2>/dev/null; then
  echo octad-shell no-sudo
  exit 1
fi
echo octad-shell ready
while read -r length; do
  script=$(head -c $length)
  [ ${#script} = $length ] || exit 1
  said=$($sudo sh -c "since=$since; $script" 2>&1 </dev/null)
  code=$?
  echo $code ${#said}
  printf %s "$said"
done"#;

/// A shell on a host.
pub struct Shell {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    process: Process,
}

/// What came of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it said, on both ways, without line ends behind it.
    pub said: String,
}

/// Why a script gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// No shell can be had there.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The user who logs in isn't root, and may not be.
    #[error("the user who logs in isn't root, and may not `sudo` without a password")]
    NoSudo,
    /// The connection broke. Whatever was told may have been done, or not.
    #[error("the connection broke: {said}")]
    Broke {
        /// What ssh said.
        said: String,
    },
    /// It did not answer in time; what it was told may still be done.
    #[error("no answer came within {} s", after.as_secs())]
    Late {
        /// How long it was waited for.
        after: Duration,
    },
}

impl ShellError {
    /// What to do next.
    pub fn hint(&self, host: &str) -> String {
        match self {
            Self::Ssh(error) => error.hint(host),
            Self::NoSudo => {
                format!("log in to {host} as root, or allow the user `sudo` without a password there")
            }
            Self::Broke { .. } | Self::Late { .. } => {
                format!(
                    "see that `ssh {host} true` answers; the same command goes on with what it finds there"
                )
            }
        }
    }
}

impl Shell {
    /// A shell on a host, as ssh knows it.
    ///
    /// # Errors
    /// Where none can be had.
    pub async fn open(ssh: &Ssh, host: &str) -> Result<Self, ShellError> {
        let Connection { stdin, stdout, greeting, process } =
            Connection::open(ssh, host, SCRIPT, MARK).await?;
        match greeting.as_str() {
            NO_SUDO => Err(ShellError::NoSudo),
            _ => Ok(Self { stdin, stdout, process }),
        }
    }

    /// Has a script run. Returns the shell with the answer: whoever doesn't wait for that has no use for the shell any more,
    /// which would take it for the answer to the next one.
    ///
    /// # Errors
    /// Where no answer comes; the script may have run.
    pub async fn run(mut self, script: &str, patience: Duration) -> Result<(Self, Answer), ShellError> {
        match timeout(patience, self.exchange(script)).await {
            Ok(Ok(answer)) => Ok((self, answer)),
            Ok(Err(_)) => match self.process.ended().await {
                End::Broke(said) | End::Script(said) => Err(ShellError::Broke { said }),
            },
            Err(_) => Err(ShellError::Late { after: patience }),
        }
    }

    async fn exchange(&mut self, script: &str) -> std::io::Result<Answer> {
        let script = script.trim_end();
        self.stdin.write_all(format!("{}\n{script}", script.len()).as_bytes()).await?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).await?;
        let strange = || std::io::Error::other(format!("{line:?} is no answer"));
        let (code, length) = line.trim_end().split_once(' ').ok_or_else(strange)?;
        let (code, length) =
            (code.parse().map_err(|_| strange())?, length.parse::<usize>().map_err(|_| strange())?);
        let mut said = vec![0; length];
        self.stdout.read_exact(&mut said).await?;
        Ok(Answer { code, said: String::from_utf8_lossy(&said).into_owned() })
    }
}

/// A word of a script, whatever is in it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_so_that_a_shell_takes_it_for_itself() {
        let word = "a 'b' \"$c\" `d` \\ \n e";
        let said = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(word))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
    }

    #[test]
    fn the_script_stands_between_single_quotes_of_any_shell() {
        assert!(!SCRIPT.contains(['\'', '\\']));
        assert!(SCRIPT.contains(&format!("echo {MARK} {NO_SUDO}")));
    }
}
