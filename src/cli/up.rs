//! `octad up`: brings the stack to what its file declares.

use super::change::{self, Activation, Terms};
use super::named::named_nodes;
use super::session::Session;
use super::{Changing, CliError, Consent, Scope};
use crate::engine::Intent;
use crate::model::{HostInputs, Key};
use crate::report::exit;
use clap::Args;
use std::path::PathBuf;

/// Make the stack what its file declares: create, change, start, mend
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad up\n  octad up --stack minimal --yes\n  octad up --stack stacks/prod.toml\n  \
                  octad up --target @broker\n  octad up --plan monday.plan"
)]
pub(super) struct Up {
    #[command(flatten)]
    changing: Changing,
    /// Install what this machine lacks for it, where octad knows how
    #[arg(long)]
    install: bool,
    /// Give this node an empty disk where its data is gone for good, and have the others fill it
    #[arg(long, value_name = "NODE")]
    refill: Vec<String>,
    /// Format the data disk of this machine, where it is blank; may be repeated
    #[arg(long, value_name = "HOST")]
    format: Vec<String>,
    /// Boot machines that run another kernel than their system has, one at a time, once they run what they are to
    #[arg(long)]
    reboot: bool,
    /// Only have machines tell what running their new systems would do; changes nothing
    #[arg(long)]
    dry_activate: bool,
    /// Only have machines boot their new systems from now on; nothing changes until they do
    #[arg(long, conflicts_with_all = ["dry_activate", "reboot"])]
    boot: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    scope: Scope,
    /// Do what `preview --save-plan` saved, without asking, or nothing where that is no longer what is to be done
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "exclude", "interrupt", "allow_loss"])]
    plan: Option<PathBuf>,
    /// Show the files that change on the hosts, line by line
    #[arg(long)]
    diff: bool,
    /// Where something is to be changed, change nothing and exit with 1
    #[arg(long)]
    expect_no_changes: bool,
}

impl Up {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        let refill = named_nodes(&self.refill, &stack)?;
        let formats = self.format.iter().map(|host| Key::new(HostInputs::KIND, host)).collect();
        let terms = Terms {
            intent: Intent { refill, formats, reboot: self.reboot, ..self.consent.intent() },
            scope: self.scope.clone(),
            plan: self.plan.clone(),
            diff: self.diff,
            install: self.install,
            expect_no_changes: self.expect_no_changes,
            activation: match (self.dry_activate, self.boot) {
                (true, _) => Activation::Dry,
                (_, true) => Activation::Boot,
                _ => Activation::Switch,
            },
        };
        let question = |_: &_| format!("Make these changes to the stack {}?", stack.name());
        let done = change::change(session, "up", &stack, &self.changing, &terms, question).await?;
        if done.only_rehearsed {
            return Ok(exit::OK);
        }
        let state = session.state(stack.name())?;
        session.output().ready(&state, done.changed, done.left_out, &session.invocation());
        Ok(exit::OK)
    }
}
