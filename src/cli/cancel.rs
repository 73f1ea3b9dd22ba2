//! `octad cancel`: asks the octad that works on the stack to stop.

use super::CliError;
use super::session::Session;
use crate::engine;
use crate::report::exit;
use clap::Args;
use std::time::Duration;

/// Ask the octad that works on the stack to stop at a safe point, as ^C would
#[derive(Debug, Args)]
#[command(
    after_help = "Once more, or with --force, it stops at once, and what is under way is left as it is.\n\
    Either way the next `octad up` goes on from there.\n\n\
    Examples:\n  octad cancel\n  octad cancel --stack minimal --force"
)]
pub(super) struct Cancel {
    /// Have it stop at once, as a second ^C would
    #[arg(long)]
    force: bool,
    /// How long to wait until it is gone
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Cancel {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let holder = engine::cancel(&session.site(&name)?, self.force, self.timeout).await?;
        session.output().line(&match holder {
            Some(holder) => format!("`octad {}` (process {}) has stopped.", holder.verb, holder.pid),
            None => format!("No octad works on the stack {name}."),
        });
        Ok(exit::OK)
    }
}
