//! A stack in a simulated world, taken through the stages that the command line takes it through.

#![allow(unreachable_pub, dead_code, reason = "each test crate that includes this file uses a part of it")]
#![allow(clippy::result_large_err, reason = "tests look at errors whole")]

#[path = "named.rs"]
mod named;
#[path = "shared.rs"]
mod shared;

use octad::cli::CliError;
use octad::engine::{
    self, Checked, Context, Ending, Event, Events, FileChanges, History, Intent, Interrupt, Inventory,
    Options, Plan, Record, SavedPlan, Selection, State, Stopped, Store, Systems, Update,
};
use octad::host::{FakeWorld, SystemChange};
use octad::model::{Key, Refusal};
use octad::output::StackStatus;
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::stack::{Name, Stack, ValidStack};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How many cases a property is tried with: `few` for each change, PROPTEST_CASES where somebody has more time.
pub(crate) fn cases(few: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// The program `none`, which declares nothing.
fn none(_: &mut Stack, _: std::collections::BTreeMap<String, serde_json::Value>) {}

/// Three ZooKeeper servers and three brokers with one topic: small enough to read.
pub const THREE_AND_THREE: &str = r#"
program = "ha"
hosts.backend = "fake"
kafka.brokers = 3
topics.activity.partitions = 3
"#;

/// The same on three hosts, each with a broker and a server, that are changed as a whole.
pub const SHARED: &str = r#"
program = "shared"
hosts.backend = "fake"
hosts.options.whole = true
kafka.brokers = 3
topics.activity.partitions = 3
"#;

/// A stack file, the state of its stack, and the world that it is deployed in.
pub struct Simulation {
    pub world: FakeWorld,
    pub registry: Registry,
    pub programs: Programs,
    pub file: toml::Table,
    pub parallel: usize,
    pub gate_timeout: Duration,
    /// Has a watcher called at each step's begin and end, and whenever a step has something to say.
    pub watcher: Option<Watcher>,
    /// What happens before each phase but the first, which is told its number.
    pub between_phases: Option<Box<dyn Fn(usize)>>,
    site: PathBuf,
    _directory: Option<TempDir>,
    runtime: Runtime,
    events: Arc<Mutex<Vec<Event>>>,
    /// How systems of hosts were found to differ last.
    systems: Mutex<BTreeMap<Key, SystemChange>>,
}

/// What is called, as [`FakeWorld::watch`] does at each deed.
pub type Watcher = Arc<dyn Fn() + Send + Sync>;

/// A directory for the state, in memory where there is such a place: every step syncs its journal.
pub fn site() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

/// What is said behind the verb on the command line.
#[derive(Debug, Default)]
pub struct Terms {
    pub target: Vec<String>,
    pub exclude: Vec<String>,
    pub plan: Option<PathBuf>,
    pub refill: Vec<String>,
    /// What is to be restarted; all nodes where none is named.
    pub restart: Option<Vec<String>>,
    pub interrupt: Vec<String>,
    pub allow_loss: Vec<String>,
    pub allow_lockout: Vec<String>,
    pub reboot: bool,
    pub expect_no_changes: bool,
}

impl Terms {
    /// The terms of a roll of these nodes: `broker-1`, or `@broker`.
    pub fn roll(nodes: &[String]) -> Self {
        Self { restart: Some(nodes.to_vec()), ..Self::default() }
    }
}

/// How an `up` ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing was to be done.
    Nothing,
    /// The plan was carried out.
    Changed,
    /// Octad's process ended in the middle.
    Killed,
}

/// Why a phase was not carried out to its end.
enum Early {
    /// Octad's process ended.
    Killed,
    /// It says why.
    Error(Box<CliError>),
}

impl<E: Into<CliError>> From<E> for Early {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error.into()))
    }
}

fn refuse(plan: &Plan<Checked>, later: &[Plan]) -> Result<(), CliError> {
    let refusals: Vec<Refusal> = engine::refusals(plan, later).cloned().collect();
    if refusals.is_empty() { Ok(()) } else { Err(CliError::Refused { refusals }) }
}

impl Simulation {
    /// A simulation of the stack that this stack file describes.
    pub fn of(file: &str) -> Self {
        let directory = site();
        let simulation = Self::at(directory.path(), file, FakeWorld::new());
        Self { _directory: Some(directory), ..simulation }
    }

    /// A simulation of the stack that this stack file describes, whose state is kept in `site` and outlives it, as
    /// `world` may.
    pub fn at(site: &Path, file: &str, world: FakeWorld) -> Self {
        // The clock stands still unless all wait, so that gates cost no time, and end on no machine sooner than on
        // another.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        Self {
            registry: Registry::empty(Arc::new(world.clone())).standard_roles().backend(world.backend()),
            world,
            programs: Programs::standard()
                .program("named", named::named)
                .program("shared", shared::shared)
                .program("none", none),
            file: file.parse().unwrap(),
            parallel: 1,
            gate_timeout: Duration::from_secs(30),
            watcher: None,
            between_phases: None,
            site: site.to_owned(),
            _directory: None,
            runtime,
            events: Arc::default(),
            systems: Mutex::default(),
        }
    }

    fn name() -> Name {
        "sim".parse().unwrap()
    }

    pub fn state(&self) -> State {
        Store::read(&self.site, "sim").unwrap()
    }

    /// Sets or removes a value of the stack file. The names of settings hold dots.
    pub fn set(&mut self, path: &str, value: Option<toml::Value>) {
        let mut parts: Vec<&str> = path.split('.').collect();
        let keep = match parts.iter().position(|part| matches!(*part, "settings" | "configs")) {
            Some(place) => place + 1,
            None => parts.len() - 1,
        };
        let key = parts.split_off(keep).join(".");
        let table = parts.into_iter().fold(&mut self.file, |table, part| {
            let inner = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            inner.as_table_mut().unwrap()
        });
        match value {
            Some(value) => drop(table.insert(key, value)),
            None => drop(table.remove(&key)),
        }
    }

    pub fn declare(&self) -> Result<ValidStack, CliError> {
        let file = StackFile::of_text(Self::name(), &self.file.to_string());
        Ok(file.declare(&self.programs, &self.registry)?)
    }

    pub fn context(&self, stack: &ValidStack, state: &State) -> Arc<Context> {
        self.context_for(stack, &Intent::default(), state)
    }

    pub fn context_for(&self, stack: &ValidStack, intent: &Intent, state: &State) -> Arc<Context> {
        let (events, watcher) = (self.events.clone(), self.watcher.clone());
        let events = Events::new(move |event| {
            if let (
                Some(watcher),
                Event::StepStarted { .. } | Event::StepMessage { .. } | Event::StepFinished { .. },
            ) = (&watcher, &event)
            {
                watcher();
            }
            events.lock().unwrap().push(event);
        });
        let context = Context::new(&self.site, self.registry.clone(), events, stack, state);
        Arc::new(context.allowing(intent))
    }

    /// What happened since it was last asked.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn observe(&self, stack: &ValidStack, state: &State) -> Inventory {
        let context = self.context(stack, state);
        self.wait(engine::observe(&context, stack, state))
    }

    pub fn site(&self) -> &Path {
        &self.site
    }

    /// What is wanted on these terms.
    pub fn intent(&self, stack: &ValidStack, terms: &Terms) -> Result<Intent, CliError> {
        let state = self.state();
        let selection = match terms.exclude.as_slice() {
            [] => Selection::only(&terms.target, stack, &state)?,
            names => Selection::without(names, stack, &state)?,
        };
        let restart = match &terms.restart {
            Some(names) => {
                let selected = Selection::only(names, stack, &state)?;
                stack.resources.keys().filter(|key| selected.names(key)).cloned().collect()
            }
            None => BTreeSet::new(),
        };
        Ok(Intent {
            selection,
            restart,
            refill: terms.refill.iter().map(|node| Key::new("node", node)).collect(),
            interrupts: terms.interrupt.iter().cloned().collect(),
            losses: terms.allow_loss.iter().map(|key| key.parse().unwrap()).collect(),
            lockouts: terms.allow_lockout.iter().map(|host| Key::new("host", host)).collect(),
            reboot: terms.reboot,
            systems: match &terms.restart {
                Some(_) => Systems::AsTheyRun(BTreeMap::new()),
                None => Systems::Made,
            },
            ..Intent::default()
        })
    }

    pub fn file_changes(&self, stack: &ValidStack, plan: &Plan<Checked>) -> Vec<FileChanges> {
        self.wait(engine::file_changes(&self.context(stack, &self.state()), plan))
    }

    pub fn plan_of(&self, stack: &ValidStack) -> Result<Plan<Checked>, CliError> {
        self.plan_for(stack, &Intent::default())
    }

    pub fn plan_for(&self, stack: &ValidStack, intent: &Intent) -> Result<Plan<Checked>, CliError> {
        Ok(self.phases_for(stack, intent)?.0)
    }

    /// The plan of the next phase, and those that are foreseen to follow it.
    pub fn phases_for(
        &self,
        stack: &ValidStack,
        intent: &Intent,
    ) -> Result<(Plan<Checked>, Vec<Plan>), CliError> {
        self.wait(self.phases_within(stack, intent))
    }

    async fn phases_within(
        &self,
        stack: &ValidStack,
        intent: &Intent,
    ) -> Result<(Plan<Checked>, Vec<Plan>), CliError> {
        let state = self.state();
        let context = self.context(stack, &state);
        let mut inventory = engine::observe(&context, stack, &state).await;
        engine::compare(&context, stack, intent, &state, &mut inventory).await.map_err(CliError::Prepare)?;
        self.systems.lock().unwrap().clone_from(&inventory.systems);
        engine::consent(&self.registry, stack, intent, &state, &inventory)?;
        let plan = engine::plan(&self.registry, stack, intent, &state, &inventory);
        let plan = engine::check(plan, &self.registry, stack, intent, &inventory)?;
        let later = engine::later(&self.registry, stack, intent, &state, &inventory, &plan);
        Ok((plan, later))
    }

    pub fn preview(&self) -> Result<Plan<Checked>, CliError> {
        self.plan_of(&self.declare()?)
    }

    pub fn up(&self) -> Result<Ended, CliError> {
        self.change(&self.declare()?, |_| {})
    }

    /// Appends records that change the state alone.
    pub fn edit(&self, verb: &str, change: String, records: Vec<Record>) {
        let history = History::begin(&self.site, verb, vec![change]).unwrap();
        let mut store = Store::open(&self.site, "sim").unwrap();
        records.into_iter().for_each(|record| store.append(record).unwrap());
        store.fold().unwrap();
        history.end(Ending::Ok).unwrap();
    }

    /// Takes over a declared resource as it is found.
    pub fn import(&self, key: &str) -> Result<(), Refusal> {
        let (stack, state) = (self.declare().expect("what is imported is declared"), self.state());
        let inventory = self.observe(&stack, &state);
        let records = engine::import(&self.registry, &stack, &state, &inventory, &key.parse().unwrap())?;
        self.edit("import", format!("import {key}"), records);
        Ok(())
    }

    /// Takes a resource out of the state.
    pub fn forget(&self, key: &str, force: bool) -> Result<(), Refusal> {
        let record = engine::forget(&self.registry, &self.state(), &key.parse().unwrap(), force)?;
        self.edit("state rm", format!("state rm {key}"), vec![record]);
        Ok(())
    }

    /// Consents to the removal of a resource with what it holds.
    pub fn unprotect(&self, key: &str) {
        let record = Record::Protect { key: key.parse().unwrap(), protected: false };
        self.edit("state unprotect", format!("unprotect {key}"), vec![record]);
    }

    pub fn history(&self) -> Vec<Update> {
        History::read(&self.site).unwrap()
    }

    pub fn destroy(&self) -> Result<Ended, CliError> {
        self.change(&ValidStack::empty(Self::name()), |_| {})
    }

    /// Brings the world to what `stack` declares; `show` sees the plan first.
    pub fn change(&self, stack: &ValidStack, show: impl FnOnce(&Plan<Checked>)) -> Result<Ended, CliError> {
        self.change_on(stack, &Terms::default(), |plan, _| show(plan))
    }

    /// Brings the world to what `stack` declares, on these terms, phase by phase; `show` sees what is foreseen first.
    pub fn change_on(
        &self,
        stack: &ValidStack,
        terms: &Terms,
        show: impl FnOnce(&Plan<Checked>, &[Plan]),
    ) -> Result<Ended, CliError> {
        let saved = terms.plan.as_ref().map(|path| SavedPlan::read(path, "sim")).transpose()?;
        let intent = self.intent(stack, terms)?;
        let intent = saved.iter().fold(intent, |intent, saved| intent.as_saved(saved));
        let (plan, later) = self.phases_for(stack, &intent)?;
        show(&plan, &later);
        refuse(&plan, &later)?;
        if let Some(saved) = saved {
            saved.agrees_with(&plan, &later)?;
        }
        if terms.expect_no_changes && plan.change_count() > 0 {
            return Err(CliError::Unexpected { count: plan.change_count(), stack: plan.stack });
        }
        if plan.steps.is_empty() {
            return Ok(Ended::Nothing);
        }
        let store = Store::open(&self.site, "sim")?;
        let changes = plan.changes().into_iter().chain(later.iter().flat_map(Plan::changes)).collect();
        let history = History::begin(&self.site, self.verb(stack), changes)?;
        let result = self.carry_out(stack, &intent, store, plan, &later);
        match &result {
            Ok(Ended::Killed) => {}
            Ok(_) => history.end(Ending::Ok)?,
            Err(error) => history.end(error.ending())?,
        }
        result
    }

    fn carry_out(
        &self,
        stack: &ValidStack,
        intent: &Intent,
        store: Store,
        plan: Plan<Checked>,
        later: &[Plan],
    ) -> Result<Ended, CliError> {
        let phases = later.len() + 1;
        let ready = (stack.clone(), intent.clone(), store);
        let looks = Cell::new(1);
        let look = async |intent: &Intent| {
            looks.set(looks.get() + 1);
            let phase = looks.get();
            self.between_phases.iter().for_each(|between| between(phase));
            let stack = self.state().again(stack);
            let (plan, later) = self.phases_within(&stack, intent).await?;
            refuse(&plan, &later)?;
            Ok(((stack, intent.clone(), Store::open(&self.site, "sim").map_err(CliError::from)?), plan))
        };
        let carry_out =
            async |(stack, intent, store), plan, _| self.phase(&stack, &intent, store, plan).await;
        match self.wait(engine::in_turn((ready, plan), later, intent, look, carry_out)) {
            Ok(()) => Ok(Ended::Changed),
            Err(Stopped { source: Early::Killed, .. }) => Ok(Ended::Killed),
            Err(Stopped { source: Early::Error(error), begun: true, .. }) => Err(*error),
            Err(Stopped { source: Early::Error(error), phase, .. }) => {
                Err(CliError::Phase { phase, phases, source: error })
            }
        }
    }

    async fn phase(
        &self,
        stack: &ValidStack,
        intent: &Intent,
        mut store: Store,
        plan: Plan<Checked>,
    ) -> Result<(), Early> {
        let context = self.context_for(stack, intent, store.state());
        context.compared(&self.systems.lock().unwrap());
        let options = Options {
            parallel: self.parallel,
            gate_timeout: self.gate_timeout,
            put_back: true,
            interrupt: Interrupt::never(),
        };
        engine::stage(&context, &mut store, &plan).await.map_err(CliError::from)?;
        tokio::select! {
            biased;
            () = self.world.killed() => Err(Early::Killed),
            result = engine::apply(&context, store, stack, plan, &options) => {
                result.map_err(CliError::Apply).map_err(Early::from)
            }
        }
    }

    fn verb(&self, stack: &ValidStack) -> &'static str {
        if stack.is_removal() { "destroy" } else { "up" }
    }

    /// The stack as it is recorded.
    pub fn recorded(&self) -> ValidStack {
        self.state().as_stack(Self::name())
    }

    pub fn stop(&self) -> Result<(), CliError> {
        let (stack, state) = (ValidStack::empty(Self::name()), self.state());
        let context = self.context(&stack, &state);
        let history = History::begin(&self.site, "stop", vec!["stop all nodes".into()])?;
        let result = self.wait(engine::halt(&context, &state, &Interrupt::never())).map_err(CliError::Halt);
        history.end(result.as_ref().err().map_or(Ending::Ok, CliError::ending))?;
        result
    }

    /// Whether a node's process runs now.
    pub fn is_running(&self, node: &str) -> bool {
        self.status().nodes.iter().any(|one| one.node == node && one.process == "running")
    }

    /// The status, without what differs from run to run.
    pub fn status(&self) -> StackStatus {
        let (stack, state) = (ValidStack::empty(Self::name()), self.state());
        let inventory = self.observe(&stack, &state);
        let mut status = StackStatus::of(&self.registry, &state, &inventory);
        status.nodes.iter_mut().for_each(|node| node.up_seconds = None);
        status
    }
}
