//! What a node's service says, by the machine's journal.

use super::error::NixosError;
use crate::host::{LogLine, LogQuery};
use crate::ssh::{Connection, ShellError, Ssh};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncBufReadExt as _;
use tokio::sync::mpsc;

/// What stands before the first line.
const MARK: &str = "octad-logs";

/// Reads a service's lines over a connection of its own, which lasts as long as somebody wants more of them.
pub(super) async fn read(
    ssh: &Ssh,
    host: &str,
    node: &str,
    query: LogQuery,
) -> Result<mpsc::Receiver<LogLine>, NixosError> {
    let mut options = String::from("--no-pager --quiet --output=short-unix --no-hostname");
    if let Some(since) = query.since {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        options.push_str(&format!(" --since=@{}.{:06}", since.as_secs(), since.subsec_micros()));
    }
    match query.tail {
        Some(tail) => options.push_str(&format!(" --lines={tail}")),
        None => options.push_str(" --lines=all"),
    }
    if query.follow {
        options.push_str(" --follow");
    }
    // It ends with its standard input, which is ssh's.
    let script = format!(
        "PATH=$PATH:/run/wrappers/bin:/run/current-system/sw/bin\nsudo=\n[ $(id -u) = 0 ] || sudo=\"sudo -n\"\n\
         echo {MARK} begin\n$sudo journalctl --unit=octad-{node}.service {options} </dev/null &\n\
         {}",
        if query.follow { "read -r end\nkill $!" } else { "wait" }
    );
    let opened = Connection::open(ssh, host, &script, MARK).await;
    let Connection { stdin, mut stdout, process, .. } = opened.map_err(|source| NixosError::Unreached {
        host: host.to_owned(),
        asked: "asked for its log",
        source: ShellError::Ssh(source),
    })?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = tokio::select! {
                read = stdout.read_until(b'\n', &mut bytes) => read,
                () = sender.closed() => break,
            };
            if !matches!(read, Ok(1..)) {
                break;
            }
            if let Some(line) = line(String::from_utf8_lossy(&bytes).trim_end_matches('\n'))
                && sender.send(line).await.is_err()
            {
                break;
            }
        }
        drop((stdin, process));
    });
    Ok(receiver)
}

/// `1700000000.123456 octad[42]: text`, as the journal writes it.
fn line(text: &str) -> Option<LogLine> {
    let (at, rest) = text.split_once(' ')?;
    let (seconds, micros) = at.split_once('.')?;
    let at: Duration =
        Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    let text = rest.split_once(": ").map_or(rest, |(_, text)| text);
    Some(LogLine { at: SystemTime::UNIX_EPOCH + at, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_journal_has_its_time_and_who_said_it_before_it() {
        let found = line("1700000000.250000 octad[42]: [main] INFO: started").unwrap();
        assert_eq!(found.text, "[main] INFO: started");
        assert_eq!(found.at, UNIX_EPOCH + Duration::from_millis(1_700_000_000_250));
        assert_eq!(line("-- No entries --"), None);
    }
}
