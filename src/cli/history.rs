//! `octad history`: who changed the stack, when, how, and what came of it.

use super::CliError;
use super::session::Session;
use crate::engine;
use crate::report::exit;
use clap::Args;

/// Show who changed the stack, when, and what came of it; newest first
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad history\n  octad history --limit 3\n  octad history --output json"
)]
pub(super) struct History {
    /// At most this many updates
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
}

impl History {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        session.existing_state(&name)?;
        let mut updates = engine::History::read(&session.site(&name)?)?;
        updates.reverse();
        updates.truncate(self.limit.unwrap_or(usize::MAX));
        session.output().history(&updates);
        Ok(exit::OK)
    }
}
