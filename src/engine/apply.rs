//! Carries a checked plan out: steps side by side as far as their order allows, each journalled before and after.
//! Decides nothing.

mod deeds;
mod error;
mod gates;
mod rolling;
mod spares;
mod stage;

pub use error::{ApplyError, StepError};
pub use spares::{NotSpared, Spared, spares};
pub use stage::{StageError, lacking, stage};

use super::order::Order;
use super::plan::{Action, Checked, Plan};
use super::state::StateError;
use super::store::Store;
use super::{Context, Event, Interrupt, Record, moves};
use crate::causes::with_causes;
use crate::clock::GATE_TIMEOUT;
use crate::model::Key;
use crate::stack::ValidStack;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How a plan is to be carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many steps may be under way at once.
    pub parallel: usize,
    /// How long a group may take to be healthy.
    pub gate_timeout: Duration,
    /// Whether a node that doesn't come back from its change is put back to what it was.
    pub put_back: bool,
    /// Asks to stop.
    pub interrupt: Interrupt,
}

impl Default for Options {
    fn default() -> Self {
        Self { parallel: 16, gate_timeout: GATE_TIMEOUT, put_back: true, interrupt: Interrupt::never() }
    }
}

/// Carries a plan out.
///
/// # Errors
/// Where a step failed or Octad was asked to stop. Steps under way are finished first, none begins any more.
pub async fn apply(
    context: &Arc<Context>,
    store: Store,
    stack: &ValidStack,
    plan: Plan<Checked>,
    options: &Options,
) -> Result<(), ApplyError> {
    let work = Arc::new(Worker {
        context: context.clone(),
        store: Mutex::new(store),
        stack: stack.clone(),
        moves: plan.moves.clone(),
        left_out: plan.out(),
        options: options.clone(),
    });
    let nothing = |error: StateError| ApplyError { error: error.into(), done: vec![], not_done: vec![] };
    work.append(Record::Stack { groups: merged_groups(stack, &work), outputs: stack.outputs.clone() })
        .map_err(nothing)?;
    let to_be_healthy: Vec<String> = stack
        .groups
        .iter()
        .filter(|(name, group)| plan.is_to_leave_healthy(name, group))
        .map(|(name, _)| name.clone())
        .collect();
    let steps = Arc::new(plan.steps);
    let mut order = Order::of(&steps);
    let mut open: BTreeSet<usize> = (0..steps.len()).collect();
    let mut done: Vec<usize> = Vec::new();
    let mut running: JoinSet<(usize, Result<(), StepError>)> = JoinSet::new();
    let mut failure: Option<StepError> = None;
    loop {
        if options.interrupt.asked() && !open.is_empty() {
            failure.get_or_insert(StepError::Interrupted);
        }
        while failure.is_none() && running.len() < options.parallel {
            let Some(number) = order.begin() else { break };
            let (work, steps) = (work.clone(), steps.clone());
            running.spawn(async move { (number, work.step(number, &steps[number]).await) });
        }
        match running.join_next().await {
            None => break,
            Some(Ok((number, Ok(())))) => {
                open.remove(&number);
                done.push(number);
                order.done(number);
            }
            Some(Ok((_, Err(error)))) => {
                failure.get_or_insert(error);
            }
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    if failure.is_none() {
        failure = work.all_healthy(&to_be_healthy).await.err();
    }
    let name =
        |number: &usize| format!("{} {}", steps[*number].action.verb(), steps[*number].action.subject());
    let folded = work.store.lock().expect("no holder of the store panics").fold();
    match failure.or(folded.err().map(StepError::State)) {
        None => Ok(()),
        Some(error) => Err(ApplyError {
            error,
            done: done.iter().map(name).collect(),
            not_done: open.iter().map(name).collect(),
        }),
    }
}

/// Groups as declared, by the names that the state has, and those of which members are still to be removed.
fn merged_groups(stack: &ValidStack, work: &Worker) -> BTreeMap<String, crate::role::Group> {
    let store = work.store.lock().expect("no holder of the store panics");
    let state = store.state();
    let mut groups = stack.groups.clone();
    for (to, from) in moves::pending(stack, state) {
        for group in groups.values_mut().filter(|group| group.members.contains(&to)) {
            group.members.remove(&to);
            group.members.insert(from.clone());
        }
    }
    for (name, group) in &state.groups {
        let left = group.members.iter().filter(|member| state.resources.contains_key(*member)).cloned();
        let left: BTreeSet<Key> = left.collect();
        if !left.is_empty() {
            groups
                .entry(name.clone())
                .or_insert_with(|| crate::role::Group { role: group.role.clone(), members: BTreeSet::new() })
                .members
                .extend(left);
        }
    }
    groups
}

struct Worker {
    context: Arc<Context>,
    store: Mutex<Store>,
    stack: ValidStack,
    moves: BTreeMap<Key, Key>,
    /// What nothing is done with, by somebody's word.
    left_out: BTreeSet<Key>,
    options: Options,
}

/// What is looked at and gone by before anything is done.
#[derive(Clone, Copy)]
struct Ground<'a> {
    context: &'a Context,
    stack: &'a ValidStack,
    left_out: &'a BTreeSet<Key>,
    options: &'a Options,
}

impl<'a> Ground<'a> {
    fn kind(self, key: &Key) -> Result<&'a Arc<dyn crate::resource::Kind>, StepError> {
        self.context.registry().kind(&key.kind).ok_or_else(|| StepError::UnknownKind(key.clone()))
    }
}

impl Worker {
    async fn step(&self, number: usize, step: &super::plan::Step) -> Result<(), StepError> {
        let (action, subject) = (step.action.does(), step.action.subject());
        self.context.events().emit(Event::StepStarted {
            step: number,
            action,
            subject: subject.clone(),
            reason: step.reason.clone(),
        });
        let begun = Instant::now();
        let result = match &step.action {
            Action::Create { key, inputs, detail, what: _ } => self.create(key, inputs, detail).await,
            Action::Renew(change) => self.renew(change).await,
            Action::Discard { key, outgoing } => self.discard(key, *outgoing).await,
            Action::Update(change) if change.changes.is_empty() => self.start(change).await,
            Action::Update(change) => self.update_beside(number, change).await,
            Action::Delete { key, before, .. } => self.delete(key, before).await,
            Action::Forget { key, .. } => self.forget(key),
            Action::Roll { .. } | Action::RollHosts { .. } => rolling::roll(self, number, &step.action).await,
            Action::Confirm { key, members, interrupts } => {
                rolling::confirm(self, number, key, members, interrupts).await
            }
            Action::Gate { group } => self.gate(number, group).await,
        };
        self.context.events().emit(Event::StepFinished {
            step: number,
            action,
            subject,
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: result.as_ref().err().map(|error| with_causes(error)),
        });
        result
    }

    fn tell(&self, step: usize, message: String) {
        self.context.events().emit(Event::StepMessage { step, message });
    }

    /// Inputs to be, with all filled in that is known by now.
    fn inputs(&self, key: &Key, planned: &Value) -> Result<Value, StepError> {
        Ok(self.kind(key)?.rendered(self.context.resolve(planned)))
    }

    fn kind(&self, key: &Key) -> Result<&Arc<dyn crate::resource::Kind>, StepError> {
        self.ground().kind(key)
    }

    fn ground(&self) -> Ground<'_> {
        let Self { context, stack, left_out, options, store: _, moves: _ } = self;
        Ground { context, stack, left_out, options }
    }

    fn is_unprotected(&self, key: &Key) -> bool {
        let store = self.store.lock().expect("no holder of the store panics");
        store.state().resources.get(key).is_some_and(|recorded| recorded.unprotected)
    }

    fn append(&self, record: Record) -> Result<(), StateError> {
        self.store.lock().expect("no holder of the store panics").append(record)
    }
}
