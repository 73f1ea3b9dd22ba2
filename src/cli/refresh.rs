//! `octad refresh`: brings the state in line with what is there.

use super::CliError;
use super::edit::{Edit, Editing};
use super::session::Session;
use crate::engine::{self, Record, State};
use crate::report::exit;
use crate::stack::{Name, ValidStack};
use clap::Args;

/// Show what another hand changed, and take it into the state, also what a state in another place knows; changes nothing else
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  octad refresh\n  octad refresh --expect-no-changes")]
pub(super) struct Refresh {
    /// Only look, and exit with 1 where anything differs
    #[arg(long)]
    expect_no_changes: bool,
    #[command(flatten)]
    editing: Editing,
}

impl Refresh {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        if self.expect_no_changes {
            let state = session.existing_state(&name)?;
            return match compared(session, &name, &state).await?.drifts.len() {
                0 => Ok(exit::OK),
                count => Err(CliError::Drifted { count }),
            };
        }
        self.adopt(session, &name).await?;
        let edit = Edit::open(session, "refresh", &self.editing, &name).await?;
        let records = compared(session, &name, edit.state()).await?.records(edit.state());
        if !records.is_empty() {
            let changes =
                records.iter().filter_map(Record::ended).map(|key| format!("refresh {key}")).collect();
            let question = format!("Take this into the state of the stack {name}?");
            edit.write(&question, changes, records).await?;
            session.output().line("The state is as the stack is now; nothing was done to the stack.");
        }
        Ok(exit::OK)
    }
}

impl Refresh {
    /// Has the state know what is declared and there, and which it doesn't know: in an empty checkout all of it.
    async fn adopt(&self, session: &Session, name: &Name) -> Result<(), CliError> {
        // A stack that is recorded needs no file.
        let Ok(stack) = session.declare() else { return Ok(()) };
        if session.look(&stack, &session.state(name)?).await?.adopted.is_empty() {
            return Ok(());
        }
        let _lock = session.lock(name, "refresh", self.editing.lock_timeout).await?;
        let mut store = session.store(name)?;
        // Others may have changed it meanwhile.
        let look = session.look(&stack, store.state()).await?;
        session.tell(&look);
        look.adopted.into_iter().try_for_each(|record| store.append(record))?;
        Ok(store.fold()?)
    }
}

/// Compares what is recorded with what is there, and shows how they differ.
async fn compared(session: &Session, name: &Name, state: &State) -> Result<engine::Refresh, CliError> {
    let inventory = session.observe(&ValidStack::empty(name.clone()), state).await?;
    let refresh = engine::refresh(session.registry(), state, &inventory);
    session.output().refresh(&refresh);
    Ok(refresh)
}
