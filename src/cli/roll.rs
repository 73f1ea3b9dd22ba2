//! `octad roll`: restarts nodes as they are, one at a time.

use super::change::{self, Terms};
use super::session::Session;
use super::{Changing, CliError, Consent};
use crate::engine::{Intent, Selection, Systems};
use crate::report::exit;
use clap::Args;
use std::collections::BTreeMap;

/// Restart nodes as they are, one at a time, each only where the others can do without it
#[derive(Debug, Args)]
#[command(
    after_help = "It changes nothing of what is recorded; a change of the stack file waits for `octad up`.\n\n\
                  Examples:\n  octad roll\n  octad roll @broker\n  octad roll broker-3 --yes"
)]
pub(super) struct Roll {
    /// Which: broker-1, or all of a role as @broker; all nodes where none is named
    #[arg(value_name = "NODE|@ROLE")]
    nodes: Vec<String>,
    /// Install what this machine lacks for it, where octad knows how
    #[arg(long)]
    install: bool,
    /// Boot the machines of those that run another kernel than their system has
    #[arg(long)]
    reboot: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    changing: Changing,
}

impl Roll {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let state = session.existing_state(&name)?;
        let stack = state.as_stack(name);
        let selected = Selection::only(&self.nodes, &stack, &state)?;
        let restart = stack.resources.keys().filter(|key| selected.names(key)).cloned().collect();
        let question = |_: &_| format!("Restart these nodes of the stack {} one at a time?", stack.name());
        let (systems, reboot) = (Systems::AsTheyRun(BTreeMap::new()), self.reboot);
        let intent = Intent { restart, systems, reboot, ..self.consent.intent() };
        let terms = Terms { intent, install: self.install, ..Terms::default() };
        let done = change::change(session, "roll", &stack, &self.changing, &terms, question).await?;
        let state = session.existing_state(stack.name())?;
        session.output().ready(&state, done.changed, done.left_out, &session.invocation());
        Ok(exit::OK)
    }
}
