//! What verbs share that change the state and nothing else: the lock, consent, the history and the journal.

use super::session::Session;
use super::{CliError, change};
use crate::engine::{History, Lock, Record, State, Store};
use crate::stack::Name;
use clap::Args;
use std::time::Duration;

/// What a verb that only changes the state takes.
#[derive(Debug, Args)]
pub(super) struct Editing {
    /// Consent without being asked
    #[arg(long, short)]
    yes: bool,
    /// How long to wait for another octad that works on the stack
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) lock_timeout: Duration,
}

/// The state of a stack that exists, held until it is written or dropped.
pub(super) struct Edit<'a> {
    session: &'a Session,
    verb: &'static str,
    editing: &'a Editing,
    stack: &'a Name,
    store: Store,
    _lock: Lock,
}

impl<'a> Edit<'a> {
    pub(super) async fn open(
        session: &'a Session,
        verb: &'static str,
        editing: &'a Editing,
        stack: &'a Name,
    ) -> Result<Self, CliError> {
        // A stack that doesn't exist is not to be made by its lock.
        session.existing_state(stack)?;
        let lock = session.lock(stack, verb, editing.lock_timeout).await?;
        let store = session.store(stack)?;
        Ok(Self { session, verb, editing, stack, store, _lock: lock })
    }

    pub(super) fn state(&self) -> &State {
        self.store.state()
    }

    /// Asks, then writes. `changes` tell the history what the records do.
    pub(super) async fn write(
        mut self,
        question: &str,
        changes: Vec<String>,
        records: Vec<Record>,
    ) -> Result<(), CliError> {
        self.session.consent(self.verb, self.editing.yes, question).await?;
        let history = History::begin(&self.session.site(self.stack)?, self.verb, changes)?;
        let written = records.into_iter().try_for_each(|record| self.store.append(record));
        let result = written.and_then(|()| self.store.fold()).map_err(CliError::State);
        change::note_end(self.session, history, &result);
        result
    }
}
