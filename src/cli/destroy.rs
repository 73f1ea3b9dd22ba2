//! `octad destroy`: removes the stack with its data.

use super::change::{self, Terms};
use super::session::Session;
use super::{Changing, CliError};
use crate::report::exit;
use crate::stack::ValidStack;
use clap::Args;
use std::path::PathBuf;

/// Remove the stack with all its data
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  octad destroy\n  octad destroy --stack minimal --yes")]
pub(super) struct Destroy {
    #[command(flatten)]
    changing: Changing,
    /// Do what `preview --destroy --save-plan` saved, without asking, or nothing where it no longer holds
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

impl Destroy {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        // The file isn't needed: what exists is told by the state.
        let name = session.stack_name()?;
        session.existing_state(&name)?;
        let stack = ValidStack::empty(name);
        let question =
            |_: &_| format!("Remove the stack {} and lose every record in it for ever?", stack.name());
        let terms = Terms { plan: self.plan.clone(), ..Terms::default() };
        change::change(session, "destroy", &stack, &self.changing, &terms, question).await?;
        session.output().line(&format!("The stack {} is gone.", stack.name()));
        Ok(exit::OK)
    }
}
