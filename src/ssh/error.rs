//! Why no script answers on another machine, each with what helps.

use std::io;

/// Why no script answers there.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// This machine can't run ssh.
    #[error("could not run ssh")]
    NotRun {
        /// What the system said.
        source: io::Error,
    },
    /// This machine has no room for the files that ssh reads and writes.
    #[error("could not make a directory for ssh in {}", std::env::temp_dir().display())]
    NoScratch {
        /// What the system said.
        source: io::Error,
    },
    /// No connection could be made.
    #[error("{}", refused(*.class, *.by_jump_host, said))]
    Refused {
        /// Why, as far as it can be told.
        class: SshFailure,
        /// The way there goes through other hosts, and ended at one of them.
        by_jump_host: bool,
        /// What ssh said.
        said: String,
    },
    /// Something else than Octad's script answered.
    #[error("no script can be run there; its login shell said: {said}")]
    LoginShell {
        /// What was said.
        said: String,
    },
}

/// Why ssh made no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshFailure {
    /// Nothing answers at that address.
    Unreachable,
    /// Nothing listens at that port.
    Refused,
    /// There is no host of that name.
    NameUnknown,
    /// It takes none of the user's keys.
    KeyRefused,
    /// Its key was never accepted here.
    HostKeyUnknown,
    /// Its key is another one than was accepted.
    HostKeyChanged,
    /// Its key is not the one that it must show.
    HostKeyNotPinned,
    /// It takes no more connections for now.
    Busy,
    /// Something else.
    Other,
}

impl SshFailure {
    /// Tells it from what ssh said, in English, and in which line of that.
    fn of(said: &str) -> (Self, Option<&str>) {
        let classes: [(&[&str], Self); 7] = [
            (&["HOST IDENTIFICATION HAS CHANGED"], Self::HostKeyChanged),
            (&["Host key verification failed", "host key is known for"], Self::HostKeyUnknown),
            (&["Permission denied (", "Too many authentication failures"], Self::KeyRefused),
            (&["Could not resolve hostname"], Self::NameUnknown),
            (&["kex_exchange_identification", "Exceeded MaxStartups"], Self::Busy),
            (&["Connection refused"], Self::Refused),
            (&["timed out", "No route to host", "is unreachable"], Self::Unreachable),
        ];
        let lines = |signs: &[&str]| said.lines().find(|line| signs.iter().any(|sign| line.contains(sign)));
        let told =
            classes.into_iter().find_map(|(signs, class)| lines(signs).map(|line| (class, Some(line))));
        told.unwrap_or((Self::Other, said.lines().last()))
    }
}

impl SshError {
    /// Why ssh ended, from what it said itself, and what was said on its stderr: by a jump host's ssh, or by itself before it
    /// had read its options.
    pub(super) fn of(log: &str, said: &str, is_pinned: bool) -> Self {
        let (class, line) = match SshFailure::of(log) {
            (SshFailure::HostKeyUnknown | SshFailure::HostKeyChanged, line) if is_pinned => {
                (SshFailure::HostKeyNotPinned, line)
            }
            told => told,
        };
        // It only knows that there is no way where another ssh was to make it.
        let by_another = match SshFailure::of(said) {
            (SshFailure::Other, _) if !log.is_empty() => None,
            told => matches!(class, SshFailure::Busy | SshFailure::Other | SshFailure::Unreachable)
                .then_some(told),
        };
        let by_jump_host = by_another.is_some() && !log.is_empty();
        let (class, line) = by_another.unwrap_or((class, line));
        Self::Refused { class, by_jump_host, said: line.unwrap_or_default().to_owned() }
    }

    /// Whether the same may go well a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        let passing = [SshFailure::Unreachable, SshFailure::Refused, SshFailure::Busy];
        matches!(self, Self::Refused { class, .. } if passing.contains(class))
    }

    /// What to do next.
    pub fn hint(&self, host: &str) -> String {
        match self {
            Self::NotRun { .. } => "install OpenSSH's client, or add it to PATH".into(),
            Self::NoScratch { .. } => "make room there, or name another directory in TMPDIR".into(),
            Self::Refused { by_jump_host: true, .. } => {
                format!(
                    "log in to {host} once by `ssh {host}`; what it goes through, ProxyJump in your ssh configuration says"
                )
            }
            Self::Refused { class, .. } => match class {
                SshFailure::Unreachable => {
                    format!("see that {host} is on and that its address is right; `ssh -v {host}` tells more")
                }
                SshFailure::Refused => format!("see that sshd runs on {host}, and at which port"),
                SshFailure::NameUnknown => {
                    format!("correct the name {host}, or say its address in ~/.ssh/config")
                }
                SshFailure::KeyRefused => format!(
                    "have {host} accept a key that your agent or ~/.ssh/config has, or log in as another user"
                ),
                SshFailure::HostKeyUnknown => {
                    format!("`ssh {host}` once, and compare its key before you accept it")
                }
                SshFailure::HostKeyChanged => format!(
                    "find out why: another machine may answer. Where {host} was made anew, `ssh-keygen -R {host}`, then \
                     `ssh {host}` once"
                ),
                SshFailure::HostKeyNotPinned => format!(
                    "find out why: another machine may answer. Where {host} was made anew, pin the key that it shows: \
                     `cat /etc/ssh/ssh_host_ed25519_key.pub` there"
                ),
                SshFailure::Busy => {
                    format!("try again, or raise MaxStartups in the sshd of {host} or of the jump host")
                }
                SshFailure::Other => format!("`ssh -v {host}` tells more"),
            },
            Self::LoginShell { .. } => {
                format!("see that `ssh {host} true` runs, and prints nothing, or log in as another user")
            }
        }
    }
}

fn refused(class: SshFailure, by_jump_host: bool, said: &str) -> String {
    let why = match class {
        SshFailure::Unreachable => "nothing answers there",
        SshFailure::Refused => "no sshd listens there",
        SshFailure::NameUnknown => "there is no host of that name",
        SshFailure::KeyRefused => "it accepts none of your keys",
        SshFailure::HostKeyUnknown => "its key is not known here",
        SshFailure::HostKeyChanged => "its key is another one than was accepted",
        SshFailure::HostKeyNotPinned => "its key is not the one that is pinned",
        SshFailure::Busy => "it takes no more connections for now",
        SshFailure::Other => "ssh made no connection",
    };
    let place = if by_jump_host { "a jump host on the way: " } else { "" };
    // The banner of a changed key goes over many lines, and the class tells it all.
    match class {
        SshFailure::HostKeyChanged | SshFailure::HostKeyNotPinned => format!("{place}{why}"),
        _ => format!("{place}{why}{}", told(said)),
    }
}

/// What was said, behind what it is said of.
pub(crate) fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_told_apart() {
        for (said, class) in [
            ("ssh: Could not resolve hostname a: Name or service not known", SshFailure::NameUnknown),
            ("ssh: connect to host a port 22: Connection refused", SshFailure::Refused),
            ("ssh: connect to host a port 22: Connection timed out", SshFailure::Unreachable),
            ("ssh: connect to host a port 22: No route to host", SshFailure::Unreachable),
            ("root@a: Permission denied (publickey).", SshFailure::KeyRefused),
            ("Host key verification failed.", SshFailure::HostKeyUnknown),
            ("kex_exchange_identification: Connection closed by remote host", SshFailure::Busy),
            ("Warning: x\nHost key verification failed.\nlast", SshFailure::HostKeyUnknown),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                SshFailure::HostKeyChanged,
            ),
            ("Bad configuration option: x", SshFailure::Other),
        ] {
            assert_eq!(SshFailure::of(said).0, class, "{said}");
        }
    }

    #[test]
    fn what_a_jump_host_says_counts_for_more_than_that_there_is_no_way() {
        let log = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535";
        let told = |log, said, pinned| match SshError::of(log, said, pinned) {
            SshError::Refused { class, by_jump_host, said } => (class, by_jump_host, said),
            other => panic!("{other}"),
        };
        let unknown = "ssh: Could not resolve hostname jump: Name or service not known";
        assert_eq!(told(log, unknown, true), (SshFailure::NameUnknown, true, unknown.into()));
        assert_eq!(told(log, "", true).0, SshFailure::Busy);
        assert!(!told(log, "Welcome", true).1);
        // Its own host's key is another matter than a jump host's.
        assert_eq!(told("Host key verification failed.", "", true).0, SshFailure::HostKeyNotPinned);
        assert_eq!(told(log, "Host key verification failed.", true).0, SshFailure::HostKeyUnknown);
        // It hasn't read its options yet.
        let wrong = "command-line: line 0: Bad configuration option: x";
        assert_eq!(told("", wrong, false), (SshFailure::Other, false, wrong.into()));
    }
}
