//! Other machines by OpenSSH, which is called as a program: no library honours all of a user's configuration.
//!
//! | part | what it knows |
//! |---|---|
//! | `call` | how `ssh` is called |
//! | `scratch` | what lies in files for that |
//! | `connection` | a script at the other end, that answers |
//! | `error` | why there is none, each with what helps |
//! | `shell` | a script that does what it is told, one thing after the other |

mod call;
mod connection;
mod error;
mod scratch;
mod shell;

pub use call::Ssh;
pub use connection::{Connection, End, Process};
pub(crate) use error::told;
pub use error::{SshError, SshFailure};
pub use shell::{Answer, Shell, ShellError, quoted};
