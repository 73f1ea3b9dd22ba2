//! `octad unlock`: takes the lock away from an octad that can't be asked.

use super::CliError;
use super::session::Session;
use crate::engine::{self, Holder, HolderError, LeaseError};
use crate::report::exit;
use clap::Args;

/// Take the lock, or the stack's machines, away from an octad on another machine that is gone or hangs
#[derive(Debug, Args)]
#[command(
    after_help = "The lock of a process on this machine is free as soon as the process is gone, and one that is \
    alive is stopped by `octad cancel`; this is for stacks in a directory that several machines share, and for hosts that \
    several reach, which are free by themselves a minute after their holder is gone. If the other octad lives after all, it \
    stops before its next step.\n\nExamples:\n  octad unlock 64d2fe3a1c9b0-1f3a"
)]
pub(super) struct Unlock {
    /// The lock's id, as the error names it
    id: String,
    /// Consent without being asked
    #[arg(long, short)]
    yes: bool,
}

impl Unlock {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let question =
            format!("Take the lock {} of the stack {name} away? Its holder must be gone or hang.", self.id);
        session.consent("unlock", self.yes, &question).await?;
        let holder = match engine::unlock(&session.site(&name)?, &self.id) {
            Ok(holder) => Some(holder),
            Err(error @ HolderError::OtherLock { .. }) => {
                match session.take_hosts_away(&name, &self.id).await {
                    // It is no lease either.
                    Err(CliError::Lease(LeaseError::NoSuchLease { .. })) => return Err(error.into()),
                    taken => taken?,
                }
            }
            Err(error) => return Err(error.into()),
        };
        let whose = holder.map_or_else(
            || format!("The lock {}", self.id),
            |Holder { verb, user, host, pid, .. }| {
                format!("The lock of `octad {verb}` of {user}@{host} (process {pid})")
            },
        );
        session.output().line(&format!("{whose} is taken away."));
        Ok(exit::OK)
    }
}
