//! `octad up`: brings the stack to what its file declares.

use super::named::named_nodes;
use super::session::Session;
use super::{Changing, CliError, change};
use crate::report::exit;
use clap::Args;

/// Make the stack what its file declares: create, change, start, mend
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad up\n  octad up --stack minimal --yes\n  octad up --stack stacks/prod.toml"
)]
pub(super) struct Up {
    #[command(flatten)]
    changing: Changing,
    /// Give this node an empty disk where its data is gone for good, and have the others fill it
    #[arg(long, value_name = "NODE")]
    refill: Vec<String>,
}

impl Up {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        let refill = named_nodes(&self.refill, &stack)?;
        let stack = stack.with_refill(refill);
        let question = |_: &_| format!("Make these changes to the stack {}?", stack.name());
        let changed = change::change(session, "up", &stack, &self.changing, question).await?;
        let state = session.existing_state(stack.name())?;
        session.output().ready(&state, changed, &session.invocation());
        Ok(exit::OK)
    }
}
