//! `octad import`: takes over a declared resource that exists already.

use super::CliError;
use super::edit::{Edit, Editing};
use super::session::Session;
use crate::engine;
use crate::model::Key;
use crate::report::exit;
use clap::Args;

/// Take over a declared resource that exists already, such as a topic
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is done to it: it is recorded as it is, and the next `octad preview` shows how it differs from\n\
                  the stack file.\n\nExamples:\n  octad import topic/orders"
)]
pub(super) struct Import {
    /// The resource, as declared in the stack file
    #[arg(value_name = "KIND/NAME")]
    key: Key,
    #[command(flatten)]
    editing: Editing,
}

impl Import {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        let edit = Edit::open(session, "import", &self.editing, stack.name()).await?;
        let key = &self.key;
        let inventory = session.observe(&stack, edit.state()).await?;
        let records = engine::import(session.registry(), &stack, edit.state(), &inventory, key)
            .map_err(CliError::Refusal)?;
        let question = format!(
            "Take {key} over? From then on it is part of the stack {}, and is changed and destroyed with it.",
            stack.name()
        );
        edit.write(&question, vec![format!("import {key}")], records).await?;
        session.output().line(&format!(
            "{key} is part of the stack {} now; nothing was done to it.\n\nTry next:\n  {}",
            stack.name(),
            session.invocation().command("preview")
        ));
        Ok(exit::OK)
    }
}
