//! A stack in a simulated world, taken through the stages that the command line takes it through.

#![allow(unreachable_pub, dead_code, reason = "each test crate that includes this file uses a part of it")]
#![allow(clippy::result_large_err, reason = "tests look at errors whole")]

use octad::cli::CliError;
use octad::engine::{
    self, Checked, Context, Event, Events, Interrupt, Inventory, Options, Plan, Registry, State, Store,
};
use octad::host::FakeWorld;
use octad::output::StackStatus;
use octad::program::{Programs, StackFile};
use octad::stack::{Name, ValidStack};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A stack file, the state of its stack, and the world that it is deployed in.
pub struct Simulation {
    pub world: FakeWorld,
    pub registry: Registry,
    pub file: toml::Table,
    pub parallel: usize,
    pub gate_timeout: Duration,
    /// Has a watcher called at each step's begin and end.
    pub watcher: Option<Watcher>,
    site: PathBuf,
    _directory: Option<TempDir>,
    runtime: Runtime,
    events: Arc<Mutex<Vec<Event>>>,
}

/// What is called, as [`FakeWorld::watch`] does at each deed.
pub type Watcher = Arc<dyn Fn() + Send + Sync>;

/// A directory for the state, in memory where there is such a place: every step syncs its journal.
pub fn site() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
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
        // The clock stands still unless all wait, so that gates cost no time; only one that never opens does, since
        // its deadline is of real time.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        Self {
            registry: Registry::empty(Arc::new(world.clone())).standard_roles().backend(world.backend()),
            world,
            file: file.parse().unwrap(),
            parallel: 1,
            gate_timeout: Duration::from_millis(400),
            watcher: None,
            site: site.to_owned(),
            _directory: None,
            runtime,
            events: Arc::default(),
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
        Ok(file.declare(&Programs::standard(), &self.registry)?)
    }

    pub fn context(&self, stack: &ValidStack, state: &State) -> Arc<Context> {
        let (events, watcher) = (self.events.clone(), self.watcher.clone());
        let events = Events::new(move |event| {
            if let (Some(watcher), Event::StepStarted { .. } | Event::StepFinished { .. }) =
                (&watcher, &event)
            {
                watcher();
            }
            events.lock().unwrap().push(event);
        });
        Arc::new(Context::new(&self.site, self.registry.clone(), events, stack, state))
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

    pub fn plan_of(&self, stack: &ValidStack) -> Result<Plan<Checked>, CliError> {
        let state = self.state();
        let inventory = self.observe(stack, &state);
        let plan = engine::plan(&self.registry, stack, &state, &inventory);
        Ok(engine::check(plan, &self.registry, stack, &inventory)?)
    }

    pub fn preview(&self) -> Result<Plan<Checked>, CliError> {
        self.plan_of(&self.declare()?)
    }

    pub fn up(&self) -> Result<Ended, CliError> {
        self.change(&self.declare()?, |_| {})
    }

    pub fn destroy(&self) -> Result<Ended, CliError> {
        self.change(&ValidStack::empty(Self::name()), |_| {})
    }

    /// Brings the world to what `stack` declares; `show` sees the plan first.
    pub fn change(&self, stack: &ValidStack, show: impl FnOnce(&Plan<Checked>)) -> Result<Ended, CliError> {
        let plan = self.plan_of(stack)?;
        show(&plan);
        if !plan.refusals.is_empty() {
            return Err(CliError::Refused { refusals: plan.refusals });
        }
        if plan.steps.is_empty() {
            return Ok(Ended::Nothing);
        }
        let store = Store::open(&self.site, "sim")?;
        let context = self.context(stack, store.state());
        let options = Options {
            parallel: self.parallel,
            gate_timeout: self.gate_timeout,
            interrupt: Interrupt::never(),
        };
        self.wait(async {
            engine::prepare(&context, &plan).await.map_err(CliError::Prepare)?;
            tokio::select! {
                biased;
                () = self.world.killed() => Ok(Ended::Killed),
                result = engine::apply(&context, store, stack, plan, &options) => {
                    result.map(|()| Ended::Changed).map_err(CliError::Apply)
                }
            }
        })
    }

    pub fn stop(&self) -> Result<(), CliError> {
        let (stack, state) = (ValidStack::empty(Self::name()), self.state());
        let context = self.context(&stack, &state);
        self.wait(engine::halt(&context, &state, &Interrupt::never())).map_err(CliError::Halt)
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
