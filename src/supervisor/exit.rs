//! How a process ended. Pure.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::timestamp;

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
    /// There was none: a file, a disk or memory was missing.
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
    fn wait_status_is_told_apart() {
        assert_eq!(Exit::from(ExitStatus::from_raw(0x0300)), Exit::Code { code: 3 });
        assert_eq!(Exit::from(ExitStatus::from_raw(9)), Exit::Signal { signal: 9 });
    }
}
