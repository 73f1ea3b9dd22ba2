//! What `up` and `destroy` share: from a declaration to an applied plan, each stage once, in order.

use super::session::Session;
use super::{Changing, CliError};
use crate::causes::with_causes;
use crate::engine::{self, Checked, Ending, Event, History, Options, Plan, State, Store};
use crate::report::ending;
use crate::stack::ValidStack;
use std::time::Instant;

/// Observes, plans and checks.
pub(super) async fn planned(
    session: &Session,
    stack: &ValidStack,
    state: &State,
) -> Result<Plan<Checked>, CliError> {
    let context = session.context(stack, state)?;
    let inventory = engine::observe(&context, stack, state).await;
    let plan = engine::plan(session.registry(), stack, state, &inventory);
    Ok(engine::check(plan, session.registry(), stack, &inventory)?)
}

/// Brings the world to what `stack` declares. Returns whether anything was to be changed.
pub(super) async fn change(
    session: &Session,
    verb: &'static str,
    stack: &ValidStack,
    arguments: &Changing,
    question: impl FnOnce(&Plan<Checked>) -> String,
) -> Result<bool, CliError> {
    let site = session.site(stack.name())?;
    // Nothing is left behind on a disk where nothing was made.
    let fresh = !site.exists();
    let _lock = session.lock(stack.name(), verb, arguments.lock_timeout)?;
    let result = locked_change(session, verb, stack, arguments, question).await;
    let nothing_made = Store::read(&site, stack.name().as_ref()).is_ok_and(|state| state.is_empty());
    if nothing_made && (fresh || result.is_ok()) {
        let _ = std::fs::remove_dir_all(&site);
        if let Some(parent) = site.parent() {
            // Other stacks may live there; then it isn't empty and stays.
            let _ = std::fs::remove_dir(parent);
        }
    }
    result
}

async fn locked_change(
    session: &Session,
    verb: &'static str,
    stack: &ValidStack,
    arguments: &Changing,
    question: impl FnOnce(&Plan<Checked>) -> String,
) -> Result<bool, CliError> {
    let begun = Instant::now();
    let store = Store::open(&session.site(stack.name())?, stack.name().as_ref())?;
    let plan = planned(session, stack, store.state()).await?;
    if !plan.is_empty() {
        session.output().preview(&plan);
    }
    if !plan.refusals.is_empty() {
        return Err(CliError::Refused { refusals: plan.refusals });
    }
    if plan.steps.is_empty() {
        return Ok(false);
    }
    let changes = !plan.only_waits();
    if changes {
        session.consent(verb, arguments.yes, &question(&plan)).await?;
    }
    let history = History::begin(&session.site(stack.name())?, verb, plan.changes())?;
    let context = session.context(stack, store.state())?;
    let options = Options {
        parallel: usize::from(arguments.parallel),
        gate_timeout: arguments.gate_timeout,
        interrupt: session.interrupt().clone(),
    };
    let events = session.events();
    events.emit(Event::Started {
        verb: verb.into(),
        stack: stack.name().to_string(),
        steps: plan.steps.len(),
    });
    let prepared = tokio::select! {
        prepared = engine::prepare(&context, &plan) => prepared.map_err(CliError::Prepare),
        () = session.interrupt().wait() => Err(CliError::Interrupted),
    };
    let result = match prepared {
        Ok(()) => engine::apply(&context, store, stack, plan, &options).await.map_err(CliError::Apply),
        Err(error) => Err(error),
    };
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    events.emit(Event::Finished { millis, ok: result.is_ok() });
    note_end(session, history, &result);
    result.map(|()| changes)
}

/// Notes the end of an update. What was done is done: that it can't be noted as well is told and changes nothing.
pub(super) fn note_end(session: &Session, history: History, result: &Result<(), CliError>) {
    if let Err(error) = history.end(result.as_ref().err().map_or(Ending::Ok, ending)) {
        session.events().notice(format!("the history lacks how this ended: {}", with_causes(&error)));
    }
}
