//! What `up` and `destroy` share: from a declaration to an applied plan, each stage once, in order.

use super::session::Session;
use super::{Changing, CliError};
use crate::causes::with_causes;
use crate::engine::{self, Checked, Event, Options, Plan, State, Store};
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
    let lock = session.lock(stack.name(), verb, arguments.lock_timeout).await?;
    let result = locked_change(session, verb, stack, arguments, question).await;
    let nothing_made = Store::read(&site, stack.name().as_ref()).is_ok_and(|state| state.is_empty());
    if nothing_made && (fresh || result.is_ok()) && lock.holds() {
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
    if let Some(damage) = &store.damage {
        session.events().notice(format!(
            "nothing was lost, since there was a copy: {}; the damaged file is kept beside it",
            with_causes(damage)
        ));
    }
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
        () = session.interrupt().wait() => Err(CliError::Cancelled),
    };
    let result = match prepared {
        Ok(()) => engine::apply(&context, store, stack, plan, &options).await.map_err(CliError::Apply),
        Err(error) => Err(error),
    };
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    events.emit(Event::Finished { millis, ok: result.is_ok() });
    result.map(|()| changes)
}
