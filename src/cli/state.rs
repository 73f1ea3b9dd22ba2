//! `octad state`: what is recorded of the stack, and changes of the record alone.

use super::CliError;
use super::edit::{Edit, Editing};
use super::named::named;
use super::session::Session;
use crate::engine;
use crate::report::exit;
use clap::{Args, Subcommand};

/// Show or edit what is recorded of the stack, without touching the stack itself
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad state list\n  octad state show node/broker-1\n  octad state rm topic/orders\n  octad state unprotect node/broker-5\n  octad state unprotect topic/orders"
)]
pub(super) struct State {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the recorded resources
    List,
    /// Show one resource as JSON
    Show {
        /// Its name, with its kind where several have that name
        name: String,
    },
    /// Forget a resource; it goes on as it is, and is no longer this stack's
    Rm {
        /// Its name, with its kind where several have that name
        name: String,
        /// Also where others are recorded as needing it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        editing: Editing,
    },
    /// Consent to the removal of a node or a topic that is no longer declared, with its data
    Unprotect {
        /// Its name, with its kind where several have that name
        name: String,
        #[command(flatten)]
        editing: Editing,
    },
    /// Take that consent back
    Protect {
        /// Its name, with its kind where several have that name
        name: String,
        #[command(flatten)]
        editing: Editing,
    },
}

impl State {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        match &self.verb {
            Verb::List => list(session),
            Verb::Show { name } => show(session, name),
            Verb::Rm { name, force, editing } => remove(session, name, *force, editing).await,
            Verb::Unprotect { name, editing } => protect(session, name, editing, false).await,
            Verb::Protect { name, editing } => protect(session, name, editing, true).await,
        }
    }
}

fn list(session: &Session) -> Result<u8, CliError> {
    let state = session.existing_state(&session.stack_name()?)?;
    session.output().resources(&state);
    Ok(exit::OK)
}

fn show(session: &Session, name: &str) -> Result<u8, CliError> {
    let state = session.existing_state(&session.stack_name()?)?;
    let key = named(name, state.resources.keys())?;
    session.output().resource(&key, &state.resources[&key]);
    Ok(exit::OK)
}

async fn remove(session: &Session, name: &str, force: bool, editing: &Editing) -> Result<u8, CliError> {
    let stack = session.stack_name()?;
    let edit = Edit::open(session, "state rm", editing, &stack).await?;
    let key = named(name, edit.state().resources.keys())?;
    let record = engine::forget(session.registry(), edit.state(), &key, force).map_err(CliError::Refusal)?;
    let question = format!(
        "Forget {key}? It goes on as it is, and neither `up` nor `destroy` of the stack {stack} will care for it."
    );
    edit.write(&question, vec![format!("forget {key}")], vec![record]).await?;
    session.output().line(&format!("{key} is forgotten; nothing was done to it."));
    Ok(exit::OK)
}

async fn protect(session: &Session, name: &str, editing: &Editing, protected: bool) -> Result<u8, CliError> {
    let stack = session.stack_name()?;
    let verb = if protected { "state protect" } else { "state unprotect" };
    let edit = Edit::open(session, verb, editing, &stack).await?;
    let key = named(name, edit.state().resources.keys())?;
    let record =
        engine::protect(session.registry(), edit.state(), &key, protected).map_err(CliError::Refusal)?;
    let (question, change, told) = if protected {
        (format!("Protect {key} again?"), "protect", "is protected: `up` does not remove it")
    } else {
        let question = format!("Let `up` remove {key} with its data once it is no longer declared?");
        (
            question,
            "unprotect",
            "is no longer protected: `up` may remove it once it is no longer declared, where its group can do without it",
        )
    };
    edit.write(&question, vec![format!("{change} {key}")], vec![record]).await?;
    session.output().line(&format!("{key} {told}."));
    Ok(exit::OK)
}
