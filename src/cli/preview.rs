//! `octad preview`: what `up` would do.

use super::named::named_nodes;
use super::session::Session;
use super::{CliError, Consent, Scope, change};
use crate::engine::{Intent, SavedPlan};
use crate::report::exit;
use crate::stack::ValidStack;
use clap::Args;
use std::path::PathBuf;

/// Show what `up` would do, and change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad preview\n  octad preview --stack stacks/ha.toml --detailed-exitcode\n  \
                  octad preview --diff --target broker-1\n  octad preview --save-plan monday.plan"
)]
pub(super) struct Preview {
    #[command(flatten)]
    scope: Scope,
    /// Show what `destroy` would do
    #[arg(long, conflicts_with_all = ["target", "exclude", "interrupt", "allow_loss"])]
    destroy: bool,
    /// Show the files that change on the hosts, line by line
    #[arg(long)]
    diff: bool,
    /// Save the plan, so that `up --plan FILE` does exactly this or nothing
    #[arg(long, value_name = "FILE")]
    save_plan: Option<PathBuf>,
    /// Exit with 0 where nothing is to be changed, 2 where something is, 1 on failure
    #[arg(long)]
    detailed_exitcode: bool,
    /// Give this node an empty disk where its data is gone for good, and have the others fill it
    #[arg(long, value_name = "NODE", conflicts_with = "destroy")]
    refill: Vec<String>,
    /// Show with it the boots of machines that run another kernel than their system has
    #[arg(long, conflicts_with = "destroy")]
    reboot: bool,
    #[command(flatten)]
    consent: Consent,
    /// Exit with 1 where something is to be changed
    #[arg(long, conflicts_with = "detailed_exitcode")]
    expect_no_changes: bool,
}

impl Preview {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack =
            if self.destroy { ValidStack::empty(session.stack_name()?) } else { session.declare()? };
        let look = session.look_for(&stack, &session.state(stack.name())?).await?;
        session.tell(&look);
        let (state, mut inventory) = (look.state, look.inventory);
        let refill = named_nodes(&self.refill, &stack)?;
        let selection = self.scope.selection(&stack, &state)?;
        let intent = Intent { selection, refill, reboot: self.reboot, ..self.consent.intent() };
        let context = session.context_for(&stack, &intent, &state)?;
        change::compare(session, &context, &stack, &intent, &state, &mut inventory).await?;
        let planned = change::planned(session, &stack, &intent, &state, &inventory)?;
        let (plan, later) = (planned.plan, planned.later);
        let files = change::files(&context, &plan, self.diff).await;
        session.output().plan(&plan, &later, files.as_deref());
        change::refuse(&plan, &later)?;
        if let Some(path) = &self.save_plan {
            SavedPlan::write(path, &plan, &later)?;
        }
        if self.expect_no_changes {
            change::expect_none(&plan)?;
        }
        Ok(if self.detailed_exitcode && !plan.only_waits() { exit::CHANGES } else { exit::OK })
    }
}
