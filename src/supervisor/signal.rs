//! The signals that a drill may send. Pure.

use serde::{Deserialize, Serialize};

/// A signal by its name, since numbers differ between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are POSIX's own")]
pub enum Signal {
    Abrt,
    Cont,
    Hup,
    Int,
    Kill,
    Quit,
    Segv,
    Stop,
    Term,
    Usr1,
    Usr2,
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Abrt => Self::ABORT,
            Signal::Cont => Self::CONT,
            Signal::Hup => Self::HUP,
            Signal::Int => Self::INT,
            Signal::Kill => Self::KILL,
            Signal::Quit => Self::QUIT,
            Signal::Segv => Self::SEGV,
            Signal::Stop => Self::STOP,
            Signal::Term => Self::TERM,
            Signal::Usr1 => Self::USR1,
            Signal::Usr2 => Self::USR2,
        }
    }
}
