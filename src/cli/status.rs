//! `octad status`: how the stack is.

use super::CliError;
use super::session::Session;
use crate::report::exit;
use clap::Args;

/// Show how the stack is; exits with 1 where it isn't healthy
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  octad status\n  octad status --output json")]
pub(super) struct Status {}

impl Status {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let state = session.existing_state(&name)?;
        let status = session.status(name, &state).await?;
        session.output().status(&status);
        Ok(if status.healthy { exit::OK } else { exit::FAILED })
    }
}
