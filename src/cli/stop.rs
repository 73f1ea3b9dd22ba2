//! `octad stop`: halts the stack and keeps its data.

use super::hosts::Hosts;
use super::session::Session;
use super::{Changing, CliError, change};
use crate::engine::{self, History};
use crate::report::exit;
use crate::stack::ValidStack;
use clap::Args;

/// Halt the stack and keep its data; `up` starts it again
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  octad stop\n  octad stop --stack minimal --yes")]
pub(super) struct Stop {
    #[command(flatten)]
    changing: Changing,
}

impl Stop {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        session.existing_state(&name)?;
        session
            .consent(
                "stop",
                self.changing.yes,
                &format!("Halt the stack {name}? No records are taken or given until it is up again."),
            )
            .await?;
        let lock = session.lock(&name, "stop", self.changing.lock_timeout).await?;
        let stack = ValidStack::empty(name);
        let mut hosts = session.hold(&stack, &lock, &self.changing).await?;
        let result = self.stop(session, &stack, &mut hosts).await;
        hosts.give_back().await;
        result?;
        session.output().line(&format!("The stack {} is stopped; its data is kept.", stack.name()));
        Ok(exit::OK)
    }

    async fn stop(&self, session: &Session, stack: &ValidStack, hosts: &mut Hosts) -> Result<(), CliError> {
        session.existing_state(stack.name())?;
        hosts.are_held()?;
        let mut store = session.store(stack.name())?;
        // Another state may know of nodes that this one doesn't.
        let look = session.look_for(stack, store.state()).await?;
        session.tell(&look);
        look.adopted.into_iter().try_for_each(|record| store.append(record))?;
        let context = session.context(stack, store.state())?;
        let history = History::begin(&session.site(stack.name())?, "stop", vec!["stop all nodes".into()])?;
        let result = engine::halt(&context, store.state(), session.interrupt()).await.map_err(CliError::Halt);
        change::note_end(session, history, &result);
        result
    }
}
