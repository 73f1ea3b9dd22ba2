//! Carries a checked plan out: steps side by side as far as their order allows, each journalled before and after.
//! Decides nothing.

mod rolling;

use super::gate::{self, Members};
use super::order::Order;
use super::plan::{Action, Change, Checked, Plan};
use super::state::StateError;
use super::store::Store;
use super::{Context, Event, GateError, Interrupt, Outcome, Record, identity, moves};
use crate::causes::with_causes;
use crate::clock::{GATE_TIMEOUT, Until};
use crate::model::{Key, Refusal};
use crate::resource::{Deed, Drift, Instance, Kind, KindError, Part, Surroundings as _, Work};
use crate::role::{GroupView, NotSafe, Standing};
use crate::stack::{ValidStack, direct_needs};
use crate::tool::Lack;
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

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The resource's kind could not act.
    #[error("could not {verb} {key}")]
    Act {
        /// What was tried.
        verb: &'static str,
        /// On which resource.
        key: Key,
        /// What went wrong.
        source: KindError,
    },
    /// This program lacks the kind.
    #[error("{0} is of a kind that this program does not know")]
    UnknownKind(Key),
    /// A gate did not open.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A member of a roll can't be spared.
    #[error("the roll of {group} stopped after {done} of {of} members: {reason}")]
    NotSafe {
        /// The group.
        group: String,
        /// Members changed.
        done: usize,
        /// Members in all.
        of: usize,
        /// Why.
        reason: NotSafe,
    },
    /// A member did not come back from its change, and was put back to what it was.
    #[error("{member} did not become healthy with its change and was put back to what it was")]
    PutBack {
        /// The member.
        member: String,
        /// What was wrong with it.
        #[source]
        reason: GateError,
    },
    /// A host took its change back by itself before that was confirmed.
    #[error(
        "{host} has gone back to what it ran before by itself: its change was neither confirmed nor refused in time"
    )]
    WentBack {
        /// The host.
        host: Key,
    },
    /// Another group answers at the addresses of the stack's own.
    #[error("{}: {}", .0.key, .0.reason)]
    Stranger(Refusal),
    /// Octad was asked to stop.
    #[error("stopped at a safe point")]
    Interrupted,
    /// The journal can't be written; nothing is done that can't be recorded.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A plan that was carried out in part only.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ApplyError {
    /// The first thing that went wrong.
    #[source]
    pub error: StepError,
    /// What was changed before.
    pub done: Vec<String>,
    /// What was to be changed and wasn't.
    pub not_done: Vec<String>,
}

/// Makes ready beside what runs all that can be, for every step before the first one begins, and notes that.
///
/// # Errors
/// The first thing that is missing.
pub async fn stage(context: &Context, store: &mut Store, plan: &Plan<Checked>) -> Result<(), StageError> {
    let all = work_by_kind(context, plan);
    if all.is_empty() {
        return Ok(());
    }
    for (kind, work) in &all {
        kind.stage(context, work).await?;
    }
    let keys = all.into_iter().flat_map(|(_, work)| work).map(|work| work.key).collect();
    Ok(store.append(Record::Staged { keys })?)
}

/// Why not everything could be made ready.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something is missing.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// The journal can't be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What this machine lacks for a plan, without repetition; changes nothing.
///
/// # Errors
/// Where that can't be told.
pub async fn lacking(context: &Context, plan: &Plan<Checked>) -> Result<Vec<Lack>, KindError> {
    let mut lacking = BTreeSet::new();
    for (kind, work) in work_by_kind(context, plan) {
        lacking.extend(kind.lacking(context, &work).await?);
    }
    Ok(lacking.into_iter().collect())
}

/// What a plan makes, kind by kind.
fn work_by_kind(context: &Context, plan: &Plan<Checked>) -> Vec<(Arc<dyn Kind>, Vec<Work>)> {
    let mut by_kind: BTreeMap<&str, Vec<Work>> = BTreeMap::new();
    for (key, inputs) in plan.steps.iter().flat_map(|step| step.action.makes()) {
        let work = Work { key: key.clone(), inputs: inputs.clone() };
        by_kind.entry(&key.kind).or_default().push(work);
    }
    let known = |(kind, work)| Some((context.registry().kind(kind)?.clone(), work));
    by_kind.into_iter().filter_map(known).collect()
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
            Action::Update(change) => self.update_at_rest(change).await,
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

    async fn create(&self, key: &Key, inputs: &Value, detail: &Value) -> Result<(), StepError> {
        let inputs = self.inputs(key, inputs)?;
        let kind = self.kind(key)?;
        // What somebody consented to was the removal of the one before.
        if self.is_unprotected(key) {
            self.append(Record::Protect { key: key.clone(), protected: true })?;
        }
        self.begin(key, &inputs, false)?;
        self.made(key, &inputs, detail, kind.as_ref()).await
    }

    /// Makes another instance beside the one that there is.
    async fn renew(&self, change: &Change) -> Result<(), StepError> {
        let (key, after) = (&change.key, self.inputs(&change.key, &change.after)?);
        let kind = self.kind(key)?;
        self.begin(key, &after, true)?;
        self.context.renewed(key, &after);
        self.made(key, &after, &Value::Null, kind.as_ref()).await
    }

    /// Has a kind make what was begun.
    async fn made(
        &self,
        key: &Key,
        inputs: &Value,
        detail: &Value,
        kind: &dyn Kind,
    ) -> Result<(), StepError> {
        let note = |outputs: &Value| {
            let record = Record::Noted { key: key.clone(), outputs: outputs.clone() };
            self.append(record)
                .map_err(|source| KindError::NotNoted { key: key.clone(), source: source.into() })?;
            self.context.noted(key, outputs);
            Ok(())
        };
        let token = self.store.lock().expect("no holder of the store panics").state().token(key);
        let deed = Deed { key, token: token.unwrap_or_default(), note: &note };
        let act = kind.create(self.context.as_ref(), &deed, inputs, detail);
        self.ended("create", key, inputs, act.await)
    }

    /// Removes those that a resource took the place of.
    async fn discard(&self, key: &Key, outgoing: usize) -> Result<(), StepError> {
        let kind = self.kind(key)?;
        let all = self.context.outgoing(key);
        for instance in all.iter().take(outgoing) {
            kind.discard(self.context.as_ref(), key, instance).await.map_err(|source| StepError::Act {
                verb: "discard what was before",
                key: key.clone(),
                source,
            })?;
            self.append(Record::End { key: key.clone(), outcome: Outcome::Discarded })?;
            self.context.discarded(key);
        }
        Ok(())
    }

    async fn start(&self, change: &Change) -> Result<(), StepError> {
        let inputs = self.inputs(&change.key, &change.after)?;
        let act = self.kind(&change.key)?.start(self.context.as_ref(), &change.key, &inputs);
        self.journalled("start", &change.key, &inputs, act).await
    }

    async fn update_at_rest(&self, change: &Change) -> Result<(), StepError> {
        let after = self.inputs(&change.key, &change.after)?;
        let kind = self.kind(&change.key)?;
        let act = kind.update_at_rest(self.context.as_ref(), &change.key, &change.before, &after);
        self.journalled("update", &change.key, &after, act).await
    }

    async fn update(&self, change: &Change, until: Option<Until>) -> Result<(), StepError> {
        let after = self.inputs(&change.key, &change.after)?;
        let kind = self.kind(&change.key)?;
        let act = kind.update(self.context.as_ref(), &change.key, &change.before, &after, until);
        self.journalled("update", &change.key, &after, act).await
    }

    /// Changes what stands on one host in one act. It is on trial then.
    async fn update_together(&self, changes: &[(&Change, Until)]) -> Result<(), StepError> {
        let Some((first, _)) = changes.first() else { return Ok(()) };
        let after = changes.iter().map(|(change, _)| self.inputs(&change.key, &change.after));
        let after = after.collect::<Result<Vec<Value>, StepError>>()?;
        let parts: Vec<Part<'_>> = changes
            .iter()
            .zip(&after)
            .map(|((Change { key, before, .. }, until), after)| Part {
                key,
                before,
                after,
                until: Some(*until),
            })
            .collect();
        for part in &parts {
            self.begin(part.key, part.after, false)?;
        }
        match self.kind(&first.key)?.update_together(self.context.as_ref(), &parts).await {
            Ok(outputs) => parts
                .iter()
                .zip(outputs)
                .try_for_each(|(part, outputs)| self.ended("update", part.key, part.after, Ok(outputs))),
            Err(source) => {
                for part in &parts[1..] {
                    let outcome = Outcome::Failed { reason: with_causes(&source) };
                    let _ = self.append(Record::End { key: part.key.clone(), outcome });
                }
                Err(self.failed("update", &first.key, source))
            }
        }
    }

    /// Keeps what is on trial on a host with these on it. Where it has gone back by itself, note is taken of that.
    async fn confirm(&self, host: &Key, standing: impl Iterator<Item = &Key>) -> Result<(), StepError> {
        let confirmed = self.kind(host)?.confirm(self.context.as_ref(), host).await;
        let act = |source| StepError::Act { verb: "confirm the change of", key: host.clone(), source };
        if confirmed.map_err(act)? {
            return Ok(());
        }
        self.note_what_runs(standing).await?;
        Err(StepError::WentBack { host: host.clone() })
    }

    /// Takes back what is on trial on a host with these on it.
    async fn revert(
        &self,
        host: &Key,
        standing: impl Iterator<Item = &Key>,
        until: Until,
    ) -> Result<(), StepError> {
        let reverted = self.kind(host)?.revert(self.context.as_ref(), host, until).await;
        reverted.map_err(|source| StepError::Act {
            verb: "take back the change of",
            key: host.clone(),
            source,
        })?;
        self.note_what_runs(standing).await
    }

    /// Takes note of what these are by now, since their host has gone back to what it ran before.
    async fn note_what_runs(&self, standing: impl Iterator<Item = &Key>) -> Result<(), StepError> {
        for key in standing {
            let (kind, subject) =
                (self.kind(key)?, BTreeMap::from([(key.clone(), self.context.instance(key))]));
            let found = kind.observe(self.context.as_ref(), &subject).await.remove(key);
            let recorded =
                self.store.lock().expect("no holder of the store panics").state().resources.get(key).cloned();
            let drift =
                recorded.zip(found).map(|(recorded, found)| (kind.drift(&recorded, &found), recorded.needs));
            if let Some((Drift::Changed { inputs, outputs, .. }, needs)) = drift {
                self.context.made(key, &inputs, &outputs);
                self.append(Record::End {
                    key: key.clone(),
                    outcome: Outcome::Applied { inputs, outputs, needs },
                })?;
            }
        }
        Ok(())
    }

    async fn journalled(
        &self,
        verb: &'static str,
        key: &Key,
        inputs: &Value,
        act: impl Future<Output = Result<Value, KindError>>,
    ) -> Result<(), StepError> {
        self.begin(key, inputs, false)?;
        self.ended(verb, key, inputs, act.await)
    }

    fn begin(&self, key: &Key, inputs: &Value, renews: bool) -> Result<(), StateError> {
        self.append(Record::Begin {
            key: key.clone(),
            moved_from: self.moves.get(key).cloned(),
            inputs: inputs.clone(),
            needs: direct_needs(&self.stack, key),
            renews,
        })
    }

    fn ended(
        &self,
        verb: &'static str,
        key: &Key,
        inputs: &Value,
        result: Result<Value, KindError>,
    ) -> Result<(), StepError> {
        match result {
            Ok(outputs) => {
                self.context.made(key, inputs, &outputs);
                let needs = direct_needs(&self.stack, key);
                let outcome = Outcome::Applied { inputs: inputs.clone(), outputs, needs };
                Ok(self.append(Record::End { key: key.clone(), outcome })?)
            }
            Err(source) => Err(self.failed(verb, key, source)),
        }
    }

    async fn delete(&self, key: &Key, before: &Value) -> Result<(), StepError> {
        self.append(Record::Begin {
            key: key.clone(),
            moved_from: None,
            inputs: before.clone(),
            needs: BTreeSet::new(),
            renews: false,
        })?;
        let kind = self.kind(key)?;
        let recorded = self.store.lock().expect("no holder of the store panics").state().instance(key);
        let recorded = recorded.unwrap_or_else(|| Instance { inputs: before.clone(), ..Instance::default() });
        for instance in self.context.outgoing(key).into_iter().chain([recorded]) {
            if let Err(source) = kind.delete(self.context.as_ref(), key, &instance).await {
                return Err(self.failed("delete", key, source));
            }
        }
        self.forget(key)
    }

    fn forget(&self, key: &Key) -> Result<(), StepError> {
        self.context.removed(key);
        Ok(self.append(Record::End { key: key.clone(), outcome: Outcome::Removed })?)
    }

    fn failed(&self, verb: &'static str, key: &Key, source: KindError) -> StepError {
        let outcome = Outcome::Failed { reason: with_causes(&source) };
        // The failure itself is what must be told; that it could not be noted down as well changes nothing, since an
        // operation without an end is taken for unknown anyhow.
        let _ = self.append(Record::End { key: key.clone(), outcome });
        StepError::Act { verb, key: key.clone(), source }
    }

    /// Waits until the group is healthy and in its preferred order.
    async fn gate(&self, number: usize, group: &str) -> Result<(), StepError> {
        let view = self.healthy(number, group, &Members::default()).await?;
        self.identify(group, &view)?;
        if self.settle(number, group, &view).await {
            // Leaders that move are news that every member must hear before the group counts as well again.
            self.healthy(number, group, &view.members).await?;
        }
        match view.away().join(", ") {
            away if away.is_empty() => {}
            away => self.tell(number, format!("{group} is healthy but for {away}, left out")),
        }
        Ok(())
    }

    /// Notes the id of a group that is seen for the first time: its members have just been made. One that is known by
    /// another must not be changed.
    fn identify(&self, group: &str, view: &GroupView) -> Result<(), StepError> {
        let mut store = self.store.lock().expect("no holder of the store panics");
        if let Some(stranger) = identity::stranger(self.context.registry(), store.state(), group, view) {
            return Err(StepError::Stranger(stranger));
        }
        let id = self.context.role_of(group).and_then(|role| role.identity(view));
        match id.filter(|_| !store.state().identities.contains_key(group)) {
            Some(id) => Ok(store.append(Record::Identity { group: group.to_owned(), id })?),
            None => Ok(()),
        }
    }

    /// Waits until the group is healthy, and returns how it was seen last.
    async fn healthy(&self, number: usize, group: &str, known: &Members) -> Result<GroupView, StepError> {
        self.healthy_but_for(number, group, known, &self.left_out).await
    }

    /// The same, with these not waited for that are away at first, where the group does without them.
    async fn healthy_but_for(
        &self,
        number: usize,
        group: &str,
        known: &Members,
        but_for: &BTreeSet<Key>,
    ) -> Result<GroupView, StepError> {
        let tell = |told: gate::Told<'_>| match told {
            gate::Told::Reason(reason) => self.tell(number, reason),
            gate::Told::Member { name, seen, after } => self.context.events().emit(Event::StepMember {
                step: number,
                member: name.to_owned(),
                up: seen.standing == Standing::Up,
                note: seen.note.clone(),
                millis: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            }),
        };
        let (timeout, interrupt) = (self.options.gate_timeout, &self.options.interrupt);
        Ok(gate::wait_healthy(&self.context, group, known, but_for, timeout, interrupt, &tell).await?)
    }

    /// The last steps may have changed what a group holds (a topic is news to every broker), and nobody is to find it
    /// unsettled once this is over.
    async fn all_healthy(&self, groups: &[String]) -> Result<(), StepError> {
        for group in groups {
            let (timeout, interrupt) = (self.options.gate_timeout, &self.options.interrupt);
            let known = Members::default();
            gate::wait_healthy(&self.context, group, &known, &self.left_out, timeout, interrupt, &|_| {})
                .await?;
        }
        Ok(())
    }

    /// Preferred order is a comfort, not a condition: that it isn't had is told and stops nothing.
    async fn settle(&self, number: usize, group: &str, view: &GroupView) -> bool {
        let Some(role) = self.context.role_of(group) else { return false };
        match role.settle(self.context.wire(), view).await {
            Ok(moved) => moved,
            Err(error) => {
                self.tell(number, format!("{group} is healthy, not in its preferred order: {error}"));
                false
            }
        }
    }

    fn tell(&self, step: usize, message: String) {
        self.context.events().emit(Event::StepMessage { step, message });
    }

    /// Inputs to be, with all filled in that is known by now.
    fn inputs(&self, key: &Key, planned: &Value) -> Result<Value, StepError> {
        Ok(self.kind(key)?.rendered(self.context.resolve(planned)))
    }

    fn kind(&self, key: &Key) -> Result<&Arc<dyn crate::resource::Kind>, StepError> {
        self.context.registry().kind(&key.kind).ok_or_else(|| StepError::UnknownKind(key.clone()))
    }

    fn is_unprotected(&self, key: &Key) -> bool {
        let store = self.store.lock().expect("no holder of the store panics");
        store.state().resources.get(key).is_some_and(|recorded| recorded.unprotected)
    }

    fn append(&self, record: Record) -> Result<(), StateError> {
        self.store.lock().expect("no holder of the store panics").append(record)
    }
}
