//! `octad destroy`: removes the stack with its data.

use super::change::{self, Terms};
use super::session::Session;
use super::{Changing, CliError};
use crate::engine::{Action, Checked, Plan};
use crate::report::exit;
use crate::stack::ValidStack;
use clap::Args;
use std::path::PathBuf;

/// How many names a question tells; the preview above it has them all.
const NAMES: usize = 8;

/// The topics that a plan loses, for its question; empty where there are none.
fn lost(plan: &Plan<Checked>) -> String {
    let topics = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Forget { key, loses, .. } if !loses.is_empty() => Some(key.to_string()),
        _ => None,
    });
    let mut names: Vec<String> = topics.take(NAMES + 1).collect();
    if names.len() > NAMES {
        names[NAMES] = "…".into();
    }
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

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
        let question = |plan: &Plan<Checked>| {
            format!("Remove the stack {} and lose every record in it for ever{}?", stack.name(), lost(plan))
        };
        let terms = Terms { plan: self.plan.clone(), ..Terms::default() };
        change::change(session, "destroy", &stack, &self.changing, &terms, question).await?;
        session.output().line(&format!("The stack {} is gone.", stack.name()));
        Ok(exit::OK)
    }
}
