//! How a process ended and what that means. Pure.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::timestamp;

/// 128 + SIGTERM: what a JVM answers when SIGTERM ended it in an orderly way.
const TERMINATED_BY_SIGTERM: i32 = 143;

/// How a unit's process ended, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Exit {
    /// It returned.
    Code {
        /// Its exit code.
        code: i32,
    },
    /// A signal killed it.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// It could not be forked; the machine was short of something.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// An [`Exit`] and its moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How.
    pub exit: Exit,
    /// When the supervisor learned of it.
    #[serde(with = "timestamp::rfc3339")]
    pub at: SystemTime,
}

impl Exit {
    /// Whether the process ended because it was done or was asked to, as systemd's `Restart=on-failure` sees
    /// it: such a unit stays down.
    pub fn is_clean(&self) -> bool {
        use rustix::process::Signal;
        match self {
            Self::Code { code } => matches!(*code, 0 | TERMINATED_BY_SIGTERM),
            Self::Signal { signal } => {
                [Signal::TERM, Signal::INT, Signal::HUP].iter().any(|clean| clean.as_raw() == *signal)
            }
            Self::NotStarted { .. } => false,
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code { code },
            (None, Some(signal)) => Self::Signal { signal },
            // A waited-for process has one or the other; a failure is the reading that loses nothing.
            (None, None) => Self::Code { code: -1 },
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { code } => write!(f, "exit code {code}"),
            Self::Signal { signal } => write!(f, "signal {signal}"),
            Self::NotStarted { reason } => write!(f, "not started: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_and_polite_signals_are_clean() {
        let code = |code| Exit::Code { code }.is_clean();
        let signal = |signal| Exit::Signal { signal }.is_clean();
        assert!(code(0) && code(143));
        assert!(signal(15) && signal(2) && signal(1));
        assert!(!code(1) && !code(137) && !code(130) && !code(-1));
        assert!(!signal(9) && !signal(11) && !signal(6) && !signal(3));
        assert!(!Exit::NotStarted { reason: String::new() }.is_clean());
    }

    #[test]
    fn wait_status_is_told_apart() {
        assert_eq!(Exit::from(ExitStatus::from_raw(0x0300)), Exit::Code { code: 3 });
        assert_eq!(Exit::from(ExitStatus::from_raw(9)), Exit::Signal { signal: 9 });
    }
}
