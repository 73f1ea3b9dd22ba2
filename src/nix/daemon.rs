//! The Nix daemon's protocol, version 1.35 without features: what Nix 2.18 and newer, Lix and Determinate Nix all speak.
//! Requests are bytes; replies are read in the order of the requests, of which any number may be under way.

use super::wire::{Reader, put_number, put_text, put_texts};
use super::{DaemonError, PathInfo, StorePath};
use tokio::io::{AsyncRead, BufReader};

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;
/// The major version in the second byte, the minor one in the first.
const VERSION: u64 = 0x0123;

/// Operations, by the numbers that the protocol gives them.
mod operation {
    pub(super) const ADD_TEMP_ROOT: u64 = 11;
    pub(super) const ADD_INDIRECT_ROOT: u64 = 12;
    pub(super) const QUERY_PATH_INFO: u64 = 26;
    pub(super) const QUERY_VALID_PATHS: u64 = 31;
    pub(super) const ADD_MULTIPLE_TO_STORE: u64 = 44;
}

/// What precedes a reply.
mod message {
    pub(super) const NEXT: u64 = 0x6f6c_6d67;
    pub(super) const LAST: u64 = 0x616c_7473;
    pub(super) const ERROR: u64 = 0x6378_7470;
    pub(super) const START_ACTIVITY: u64 = 0x5354_5254;
    pub(super) const STOP_ACTIVITY: u64 = 0x5354_4f50;
    pub(super) const RESULT: u64 = 0x5253_4c54;
}

/// The client's part of the handshake, all at once: nothing of it depends on what the daemon says.
pub(super) fn put_hello(out: &mut Vec<u8>) {
    put_number(out, CLIENT_MAGIC);
    put_number(out, VERSION);
    // No CPU affinity, no reserved space: both are obsolete.
    put_number(out, 0);
    put_number(out, 0);
}

/// No garbage collection deletes the path as long as this connection is open, whether or not it is there yet.
pub(super) fn put_add_temp_root(out: &mut Vec<u8>, path: &StorePath) {
    put_number(out, operation::ADD_TEMP_ROOT);
    put_text(out, path);
}

/// Makes a root of a link that lies somewhere on the host.
pub(super) fn put_add_indirect_root(out: &mut Vec<u8>, link: &str) {
    put_number(out, operation::ADD_INDIRECT_ROOT);
    put_text(out, link);
}

/// What the store knows of a path.
pub(super) fn put_query_path_info(out: &mut Vec<u8>, path: &StorePath) {
    put_number(out, operation::QUERY_PATH_INFO);
    put_text(out, path);
}

/// Which of these the store has; `substitute`: has it fetch those from its substituters first that they have.
pub(super) fn put_query_valid_paths<'a>(
    out: &mut Vec<u8>,
    paths: impl ExactSizeIterator<Item = &'a StorePath>,
    substitute: bool,
) {
    put_number(out, operation::QUERY_VALID_PATHS);
    put_texts(out, paths);
    put_number(out, u64::from(substitute));
}

/// The head of an operation that adds paths. What follows is framed: the number of paths, then each as what is known of it
/// and its NAR.
///
/// `repair`: it takes them also where it believes to have them.
pub(super) fn put_add_multiple_to_store(out: &mut Vec<u8>, repair: bool) {
    put_number(out, operation::ADD_MULTIPLE_TO_STORE);
    put_number(out, u64::from(repair));
    // Signatures aren't looked at where the daemon trusts us, and are where it doesn't, whatever this says.
    put_number(out, 1);
}

/// What a daemon says in reply to requests.
pub(super) struct Replies<R>(Reader<R>);

impl<R: AsyncRead + Unpin> Replies<R> {
    pub(super) fn new(from: BufReader<R>) -> Self {
        Self(Reader::new(from))
    }

    /// The daemon's part of the handshake: whether it trusts us.
    pub(super) async fn hello(&mut self) -> Result<bool, DaemonError> {
        match self.0.number().await? {
            DAEMON_MAGIC => {}
            other => return Err(DaemonError::Protocol { what: format!("{other:#x} as its first word") }),
        }
        let version = self.0.number().await?;
        let (major, minor) = (version >> 8, version & 0xff);
        if major != VERSION >> 8 || minor < VERSION & 0xff {
            return Err(DaemonError::TooOld { major, minor });
        }
        let _nix_version = self.0.text().await?;
        let trust = self.0.number().await?;
        self.settled().await?;
        Ok(trust == 1)
    }

    /// A reply that is a number, which says nothing.
    pub(super) async fn done(&mut self) -> Result<(), DaemonError> {
        self.settled().await?;
        self.0.number().await?;
        Ok(())
    }

    /// A reply that is a list of paths.
    pub(super) async fn paths(&mut self) -> Result<Vec<String>, DaemonError> {
        self.settled().await?;
        self.0.texts().await
    }

    /// A reply that tells of a path; `None` where the store doesn't have it.
    pub(super) async fn path_info(&mut self, path: StorePath) -> Result<Option<PathInfo>, DaemonError> {
        self.settled().await?;
        if self.0.number().await? == 0 {
            return Ok(None);
        }
        PathInfo::read(&mut self.0, path).await.map(Some)
    }

    /// Skips what is told on the way, up to the reply proper.
    pub(super) async fn settled(&mut self) -> Result<(), DaemonError> {
        loop {
            match self.0.number().await? {
                message::LAST => return Ok(()),
                message::ERROR => return Err(self.error().await?),
                message::NEXT => {
                    self.0.text().await?;
                }
                message::START_ACTIVITY => {
                    for _ in 0..3 {
                        self.0.number().await?;
                    }
                    self.0.text().await?;
                    self.fields().await?;
                    self.0.number().await?;
                }
                message::STOP_ACTIVITY => {
                    self.0.number().await?;
                }
                message::RESULT => {
                    self.0.number().await?;
                    self.0.number().await?;
                    self.fields().await?;
                }
                other => return Err(DaemonError::Protocol { what: format!("{other:#x} before a reply") }),
            }
        }
    }

    async fn fields(&mut self) -> Result<(), DaemonError> {
        for _ in 0..self.0.count().await? {
            match self.0.number().await? {
                0 => {
                    self.0.number().await?;
                }
                _ => {
                    self.0.text().await?;
                }
            }
        }
        Ok(())
    }

    async fn error(&mut self) -> Result<DaemonError, DaemonError> {
        let _kind = self.0.text().await?;
        let _level = self.0.number().await?;
        let _name = self.0.text().await?;
        let message = plain(&self.0.text().await?);
        let _position = self.0.number().await?;
        for _ in 0..self.0.count().await? {
            let _position = self.0.number().await?;
            self.0.text().await?;
        }
        Ok(DaemonError::Refused { message })
    }
}

/// A message without colours, in one line, and without the word that it begins with on a terminal.
fn plain(message: &str) -> String {
    let mut parts = message.split('\x1b');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(bytes: &[u8]) -> Replies<&[u8]> {
        Replies::new(BufReader::new(bytes))
    }

    #[tokio::test]
    async fn what_is_told_on_the_way_is_skipped_and_an_error_is_told_plainly() {
        let mut out = Vec::new();
        put_number(&mut out, message::NEXT);
        put_text(&mut out, "copying");
        put_number(&mut out, message::START_ACTIVITY);
        [1, 2, 3].into_iter().for_each(|number| put_number(&mut out, number));
        put_text(&mut out, "what");
        put_number(&mut out, 2);
        [0, 7, 1].into_iter().for_each(|number| put_number(&mut out, number));
        put_text(&mut out, "field");
        put_number(&mut out, 0);
        put_number(&mut out, message::RESULT);
        [1, 2, 0].into_iter().for_each(|number| put_number(&mut out, number));
        put_number(&mut out, message::STOP_ACTIVITY);
        put_number(&mut out, 1);
        put_number(&mut out, message::LAST);
        put_number(&mut out, message::ERROR);
        put_text(&mut out, "Error");
        put_number(&mut out, 0);
        put_text(&mut out, "Error");
        put_text(&mut out, "\x1b[31;1merror:\x1b[0m writing to file:\n  \x1b[35mNo space left\x1b[0m");
        [0, 1, 0].into_iter().for_each(|number| put_number(&mut out, number));
        put_text(&mut out, "a trace");
        let mut replies = replies(&out);
        replies.settled().await.unwrap();
        let error = replies.settled().await.unwrap_err();
        assert_eq!(error.to_string(), "the Nix daemon refused: writing to file: No space left");
    }

    #[tokio::test]
    async fn an_older_daemon_is_refused_by_its_version() {
        let mut out = Vec::new();
        put_number(&mut out, DAEMON_MAGIC);
        put_number(&mut out, 0x0122);
        let error = replies(&out).hello().await.unwrap_err();
        assert!(matches!(error, DaemonError::TooOld { major: 1, minor: 34 }), "{error}");
    }
}
