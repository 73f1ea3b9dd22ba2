//! Stopping everything and keeping it: what needs others goes before them. Needs only the state.

use super::{Context, Event, Interrupt, State, StepAction};
use crate::causes::with_causes;
use crate::model::Key;
use crate::resource::KindError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// A stop that takes longer tells that it is under way.
const QUICK: Duration = Duration::from_millis(500);

/// Why not everything was halted.
#[derive(Debug, thiserror::Error)]
pub enum HaltError {
    /// A resource could not be halted.
    #[error(transparent)]
    Act(#[from] KindError),
    /// Octad was asked to stop before.
    #[error("stopped at a safe point")]
    Interrupted,
}

/// Halts every recorded resource, those that nothing else needs first.
///
/// # Errors
/// The first that could not be halted, or that Octad was asked to stop; what was to be halted after that is left
/// running.
pub async fn halt(context: &Arc<Context>, state: &State, interrupt: &Interrupt) -> Result<(), HaltError> {
    let mut left: BTreeSet<&Key> = state.resources.keys().collect();
    let mut step = 0;
    while !left.is_empty() {
        if interrupt.asked() {
            return Err(HaltError::Interrupted);
        }
        let needed: BTreeSet<&Key> = left.iter().flat_map(|key| &state.resources[*key].needs).collect();
        let free: Vec<&Key> = left.iter().filter(|key| !needed.contains(*key)).copied().collect();
        // Recorded needs come from a declaration without circles; a state edited into one still ends.
        let turn: Vec<&Key> = if free.is_empty() { left.iter().copied().collect() } else { free };
        let halts = turn.iter().enumerate().map(|(place, key)| halt_one(context, state, key, step + place));
        for result in futures_util::future::join_all(halts).await {
            result?;
        }
        step += turn.len();
        for key in turn {
            left.remove(key);
        }
    }
    Ok(())
}

async fn halt_one(context: &Context, state: &State, key: &Key, step: usize) -> Result<(), KindError> {
    let Some(kind) = context.registry().kind(&key.kind) else { return Ok(()) };
    let begun = Instant::now();
    let act = kind.halt(context, key, &state.resources[key].inputs);
    tokio::pin!(act);
    // What has nothing to stop is quick and not worth a word.
    let result = match timeout(QUICK, &mut act).await {
        Ok(result) => result,
        Err(_) => {
            let (action, subject, reason) = (StepAction::Stop, key.to_string(), String::new());
            let message = format!("stopping {subject}");
            context.events().emit(Event::StepStarted { step, action, subject, reason });
            context.events().emit(Event::StepMessage { step, message });
            act.await
        }
    };
    if !matches!(result, Ok(false)) {
        let error = result.as_ref().err().map(|error| with_causes(error));
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let subject = key.to_string();
        context.events().emit(Event::StepFinished { step, action: StepAction::Stop, subject, millis, error });
    }
    result.map(|_| ())
}
