//! What `up` and `destroy` share: from a declaration to an applied plan, each stage once, in order.

use super::hosts::Hosts;
use super::rehearse;
use super::session::{Look, Session};
use super::{Changing, CliError, Scope};
use crate::causes::with_causes;
use crate::engine::{
    self, Checked, Context, Ending, Event, FileChanges, History, Intent, Inventory, Plan, Record, SavedPlan,
    State, Stopped, Store,
};
use crate::stack::ValidStack;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// On which terms a change is made.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// What is wanted beside what is declared; the part of the stack is `scope`'s.
    pub(super) intent: Intent,
    /// Only this part of the stack.
    pub(super) scope: Scope,
    /// Only what this saved plan does.
    pub(super) plan: Option<PathBuf>,
    /// Show what files change.
    pub(super) diff: bool,
    /// Install what this machine lacks for it.
    pub(super) install: bool,
    /// Only where there is nothing to change.
    pub(super) expect_no_changes: bool,
    /// How machines come to their new systems.
    pub(super) activation: Activation,
}

/// How machines that are changed as a whole come to their new systems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Activation {
    /// They run them.
    #[default]
    Switch,
    /// They tell what they would do, and nothing else is done.
    Dry,
    /// They boot them from now on, and nothing else is done.
    Boot,
}

/// What a change came to.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Something was changed.
    pub(super) changed: bool,
    /// How many changes were left out, since they are outside the target.
    pub(super) left_out: usize,
    /// No change was made: machines were told of it only.
    pub(super) only_rehearsed: bool,
}

impl Done {
    fn rehearsed() -> Self {
        Self { only_rehearsed: true, ..Self::default() }
    }
}

/// A checked plan, and what was seen while it was made.
pub(super) struct Planned {
    pub(super) plan: Plan<Checked>,
    /// The plans that are to follow it, as far as foreseen.
    pub(super) later: Vec<Plan>,
    /// What the state is to know of groups that were seen for the first time.
    first_seen: Vec<Record>,
}

/// Plans over what was found, and checks. Refusals tell commands as this process was called.
pub(super) fn planned(
    session: &Session,
    stack: &ValidStack,
    intent: &Intent,
    state: &State,
    inventory: &Inventory,
) -> Result<Planned, CliError> {
    let registry = session.registry();
    for name in engine::consent(registry, stack, intent, state, inventory)? {
        session.events().notice(format!(
            "whether there is anything named `{name}` to interrupt could not be asked; the consent to it stands"
        ));
    }
    let plan = engine::plan(registry, stack, intent, state, inventory);
    let mut plan = engine::check(plan, registry, stack, intent, inventory)?;
    let mut later = engine::later(registry, stack, intent, state, inventory, &plan);
    let refusals = later.iter_mut().flat_map(|plan| &mut plan.refusals).chain(&mut plan.refusals);
    for refusal in refusals {
        refusal.hint = session.invocation().in_text(&refusal.hint);
    }
    Ok(Planned { plan, later, first_seen: engine::first_seen(registry, state, inventory) })
}

/// Compares what hosts run with what they are to run.
pub(super) async fn compare(
    session: &Session,
    context: &Context,
    stack: &ValidStack,
    intent: &Intent,
    state: &State,
    inventory: &mut Inventory,
) -> Result<(), CliError> {
    tokio::select! {
        biased;
        () = session.interrupt().wait() => Err(CliError::Cancelled),
        compared = engine::compare(context, stack, intent, state, inventory) => compared.map_err(CliError::Prepare),
    }
}

/// Fails where any phase is refused.
pub(super) fn refuse(plan: &Plan<Checked>, later: &[Plan]) -> Result<(), CliError> {
    let refusals: Vec<_> = engine::refusals(plan, later).cloned().collect();
    if refusals.is_empty() { Ok(()) } else { Err(CliError::Refused { refusals }) }
}

/// The files that a plan changes, where they are `wanted`.
pub(super) async fn files(context: &Context, plan: &Plan<Checked>, wanted: bool) -> Option<Vec<FileChanges>> {
    if wanted { Some(engine::file_changes(context, plan).await) } else { None }
}

/// Fails where there is anything to change.
pub(super) fn expect_none(plan: &Plan<Checked>) -> Result<(), CliError> {
    match plan.change_count() {
        0 => Ok(()),
        count => Err(CliError::Unexpected { count, stack: plan.stack.clone() }),
    }
}

/// Brings the world to what `stack` declares.
pub(super) async fn change(
    session: &Session,
    verb: &'static str,
    stack: &ValidStack,
    arguments: &Changing,
    terms: &Terms,
    question: impl FnOnce(&Plan<Checked>) -> String,
) -> Result<Done, CliError> {
    let site = session.site(stack.name())?;
    // Nothing is left behind on a disk where nothing was made.
    let fresh = !site.exists();
    let lock = session.lock(stack.name(), verb, arguments.lock_timeout).await?;
    let result = async {
        let mut hosts = session.hold(stack, &lock, arguments).await?;
        let result = locked_change(session, verb, stack, arguments, terms, &mut hosts, question).await;
        hosts.give_back().await;
        result
    };
    let result = result.await;
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
    terms: &Terms,
    hosts: &mut Hosts,
    question: impl FnOnce(&Plan<Checked>) -> String,
) -> Result<Done, CliError> {
    let begun = Instant::now();
    let mut store = session.store(stack.name())?;
    let look = session.look_for(stack, store.state()).await?;
    session.tell(&look);
    let Look { state, adopted, mut inventory } = look;
    let saved = match &terms.plan {
        Some(path) => Some(SavedPlan::read(path, stack.name().as_ref())?),
        None => None,
    };
    let intent = match &saved {
        Some(saved) => terms.intent.clone().as_saved(saved),
        None => {
            let selection = terms.scope.selection(stack, &state)?;
            Intent { selection, ..terms.intent.clone() }
        }
    };
    let context = session.context_for(stack, &intent, &state)?;
    compare(session, &context, stack, &intent, &state, &mut inventory).await?;
    let planned = planned(session, stack, &intent, &state, &inventory)?;
    let Planned { plan, later, first_seen } = planned;
    let files = files(&context, &plan, terms.diff).await;
    if !plan.is_empty() || !plan.left_alone.is_empty() {
        session.output().preview(&plan, &later, files.as_deref());
    }
    refuse(&plan, &later)?;
    if let Some(saved) = &saved {
        saved.agrees_with(&plan, &later)?;
    }
    adopted.into_iter().chain(first_seen).try_for_each(|record| store.append(record))?;
    if terms.expect_no_changes {
        expect_none(&plan)?;
    }
    let mut done = Done { left_out: plan.left_out.len(), ..Done::default() };
    if plan.steps.is_empty() {
        return Ok(done);
    }
    hosts.are_held()?;
    provide(session, &context, &plan, terms.install).await?;
    done.changed = !plan.only_waits();
    if done.changed && terms.activation == Activation::Dry {
        return rehearse::dry(session, &context, &mut store, &plan).await.map(|()| Done::rehearsed());
    }
    if done.changed {
        // Whoever hands over a saved plan has consented to what it does.
        session.consent(verb, arguments.yes || saved.is_some(), &question(&plan)).await?;
        hosts.are_held()?;
    }
    if done.changed && terms.activation == Activation::Boot {
        return rehearse::boot(session, &context, &mut store, &plan).await.map(|()| Done::rehearsed());
    }
    let changes = plan.changes().into_iter().chain(later.iter().flat_map(Plan::changes)).collect();
    let history = History::begin(&session.site(stack.name())?, verb, changes)?;
    let options = arguments.options(session);
    let phases = Phases { session, verb, stack, options: &options, count: later.len() + 1 };
    let first = Ready { context, store, stack: stack.clone(), first_seen: Vec::new() };
    let look = async |intent: &Intent| phases.look(intent).await;
    let carry_out = async |ready, plan, phase| phases.carry_out(ready, plan, phase).await;
    let result = engine::in_turn((first, plan), &later, &intent, look, carry_out).await;
    let result = result.map_err(|stopped| phases.ended(stopped));
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    session.events().emit(Event::Finished { millis, ok: result.is_ok() });
    note_end(session, history, &result);
    result.map(|()| done)
}

/// All that a phase takes beside its plan.
struct Ready {
    context: Arc<Context>,
    store: Store,
    stack: ValidStack,
    /// What the state is to know before anything is done.
    first_seen: Vec<Record>,
}

/// How the phases of a change are carried out.
struct Phases<'a> {
    session: &'a Session,
    verb: &'static str,
    stack: &'a ValidStack,
    options: &'a engine::Options,
    count: usize,
}

impl Phases<'_> {
    /// What is to be done next, over what is there by now.
    async fn look(&self, intent: &Intent) -> Result<(Ready, Plan<Checked>), CliError> {
        let session = self.session;
        let store = session.store(self.stack.name())?;
        let stack = store.state().again(self.stack);
        let context = session.context_for(&stack, intent, store.state())?;
        let mut inventory = engine::observe(&context, &stack, store.state()).await;
        compare(session, &context, &stack, intent, store.state(), &mut inventory).await?;
        let Planned { plan, later, first_seen } =
            planned(session, &stack, intent, store.state(), &inventory)?;
        if let Err(refused) = refuse(&plan, &later) {
            session.output().preview(&plan, &later, None);
            return Err(refused);
        }
        Ok((Ready { context, store, stack, first_seen }, plan))
    }

    async fn carry_out(&self, ready: Ready, plan: Plan<Checked>, phase: usize) -> Result<(), CliError> {
        let Ready { context, mut store, stack, first_seen } = ready;
        let (verb, name, steps) = (self.verb.into(), self.stack.name().to_string(), plan.steps.len());
        self.session.events().emit(Event::Started { verb, stack: name, steps, phase, phases: self.count });
        let prepare = async {
            first_seen.into_iter().try_for_each(|record| store.append(record))?;
            engine::stage(&context, &mut store, &plan).await.map_err(CliError::from)
        };
        let prepared = tokio::select! {
            prepared = prepare => prepared,
            () = self.session.interrupt().wait() => Err(CliError::Cancelled),
        };
        match prepared {
            Ok(()) => {}
            Err(error) if phase == 1 => return Err(error),
            Err(error) => return Err(self.not_begun(phase, error)),
        }
        engine::apply(&context, store, &stack, plan, self.options).await.map_err(CliError::Apply)
    }

    fn not_begun(&self, phase: usize, source: CliError) -> CliError {
        CliError::Phase { phase, phases: self.count, source: Box::new(source) }
    }

    /// What a change that ended early came to as a whole.
    fn ended(&self, stopped: Stopped<CliError>) -> CliError {
        let Stopped { phase, begun, mut before, behind, source } = stopped;
        match source {
            source if !begun => self.not_begun(phase, source),
            CliError::Apply(mut error) => {
                before.append(&mut error.done);
                error.done = before;
                error.not_done.extend(behind);
                CliError::Apply(error)
            }
            source => source,
        }
    }
}

/// Has what this machine lacks for a plan installed, where the user wants that.
async fn provide(
    session: &Session,
    context: &Context,
    plan: &Plan<Checked>,
    install: bool,
) -> Result<(), CliError> {
    let lacking = async || engine::lacking(context, plan).await.map_err(CliError::Prepare);
    let lacks = lacking().await?;
    if lacks.is_empty() {
        return Ok(());
    }
    session.install(lacks, install).await?;
    match lacking().await? {
        left if left.is_empty() => Ok(()),
        lacks => Err(CliError::Lacking { lacks, installed: true }),
    }
}

/// Notes the end of an update. What was done is done: that it can't be noted as well is told and changes nothing.
pub(super) fn note_end<T>(session: &Session, history: History, result: &Result<T, CliError>) {
    if let Err(error) = history.end(result.as_ref().err().map_or(Ending::Ok, CliError::ending)) {
        session.events().notice(format!("the history lacks how this ended: {}", with_causes(&error)));
    }
}
