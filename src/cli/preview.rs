//! `octad preview`: what `up` would do.

use super::named::named_nodes;
use super::session::Session;
use super::{CliError, change};
use crate::report::exit;
use clap::Args;

/// Show what `up` would do, and change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad preview\n  octad preview --stack stacks/ha.toml --detailed-exitcode"
)]
pub(super) struct Preview {
    /// Exit with 0 where nothing is to be changed, 2 where something is, 1 on failure
    #[arg(long)]
    detailed_exitcode: bool,
    /// Give this node an empty disk where its data is gone for good, and have the others fill it
    #[arg(long, value_name = "NODE")]
    refill: Vec<String>,
}

impl Preview {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        let refill = named_nodes(&self.refill, &stack)?;
        let stack = stack.with_refill(refill);
        let state = session.state(stack.name())?;
        let plan = change::planned(session, &stack, &state).await?;
        session.output().plan(&plan);
        if !plan.refusals.is_empty() {
            return Err(CliError::Refused { refusals: plan.refusals });
        }
        Ok(if self.detailed_exitcode && !plan.is_empty() { exit::CHANGES } else { exit::OK })
    }
}
