//! The units of a host and what can be asked of them; no sockets here.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, task::JoinSet};

use crate::clock::Until;

use super::{
    error::SupervisorError,
    journal::Journal,
    layout,
    name::UnitName,
    protocol::{AllUnits, Hello, Nothing, PROTOCOL_VERSION, Refusal, RefusalCode, Request, encode_answer},
    run_state::{Desired, RunState},
    unit::{Command, Shared, UnitHandle},
};

/// The supervisor without its socket.
#[derive(Debug)]
pub(super) struct Host {
    shared: Arc<Shared>,
    units: Mutex<BTreeMap<UnitName, UnitHandle>>,
    started: SystemTime,
    over: Notify,
}

impl Host {
    /// Reads the run state of the host at `dir`; starts nothing yet.
    pub(super) fn open(dir: PathBuf, journal: Arc<Journal>) -> Result<Self, SupervisorError> {
        for path in [layout::units(&dir), layout::logs(&dir)] {
            fs::create_dir_all(&path).map_err(|source| SupervisorError::File {
                action: "create",
                path,
                source,
            })?;
        }
        let run_state = Mutex::new(RunState::load(&dir)?);
        let shared = Arc::new(Shared { dir, journal, run_state, ending: AtomicBool::new(false) });
        Ok(Self { shared, units: Mutex::default(), started: SystemTime::now(), over: Notify::new() })
    }

    /// Starts the units that are wanted up, as a machine does at boot.
    pub(super) fn boot(&self) {
        let wanted: Vec<_> = self.shared.with_run_state(|state| {
            state
                .units()
                .filter(|(_, desired)| *desired == Desired::Up)
                .map(|(name, _)| name.clone())
                .collect()
        });
        for name in &wanted {
            self.unit(name);
        }
    }

    /// Does what is asked and gives the line for the answer.
    pub(super) async fn answer(&self, request: Request) -> Vec<u8> {
        match request {
            Request::Hello => encode_answer(Ok(self.hello())),
            Request::Status => encode_answer(Ok(self.status())),
            Request::Start { unit } => self.ask(&unit, Command::Start).await,
            Request::Stop { unit, timeout_ms, until_ms } => {
                let (timeout, until) =
                    (timeout_ms.map(Duration::from_millis), until_ms.map(Until::from_millis));
                self.ask(&unit, Command::Stop { timeout, until }).await
            }
            Request::Kill { unit, signal } => self.ask(&unit, Command::Kill { signal }).await,
            Request::Remove { unit } => encode_answer(self.remove(&unit).await),
            Request::Shutdown => {
                self.shut_down().await;
                encode_answer(Ok(Nothing {}))
            }
        }
    }

    /// Stops all units at once and returns when all are gone. What is wanted of them is kept.
    pub(super) async fn shut_down(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        let units: Vec<_> = self.lock_units().values().cloned().collect();
        let mut stops = JoinSet::new();
        for handle in units {
            stops.spawn(async move { handle.ask(Command::Shutdown).await });
        }
        stops.join_all().await;
    }

    /// Lets [`over`](Self::over) return.
    pub(super) fn end(&self) {
        self.over.notify_one();
    }

    /// Waits for [`end`](Self::end).
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            octad: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
        }
    }

    fn status(&self) -> AllUnits {
        let on_record: Vec<_> =
            self.shared.with_run_state(|state| state.units().map(|(name, _)| name.clone()).collect());
        for name in on_record.into_iter().chain(specified(&self.shared.dir)) {
            self.unit(&name);
        }
        AllUnits {
            units: self
                .lock_units()
                .values()
                .filter(|unit| !unit.is_gone())
                .map(UnitHandle::status)
                .collect(),
        }
    }

    async fn ask(&self, unit: &UnitName, command: Command) -> Vec<u8> {
        match self.known(unit) {
            Ok(handle) => encode_answer(handle.ask(command).await),
            Err(refusal) => refused(refusal),
        }
    }

    /// A unit that is gone already was removed: a repeated removal succeeds.
    async fn remove(&self, unit: &UnitName) -> Result<Nothing, Refusal> {
        let Some(handle) = self.unit(unit) else { return Ok(Nothing {}) };
        handle.ask(Command::Remove).await.map(|_| Nothing {})
    }

    fn known(&self, unit: &UnitName) -> Result<UnitHandle, Refusal> {
        self.unit(unit).ok_or_else(|| {
            Refusal::new(RefusalCode::UnknownUnit, format_args!("this host has no unit {unit}"))
        })
    }

    /// The unit of that name. One that is new on disk gets its task here.
    fn unit(&self, name: &UnitName) -> Option<UnitHandle> {
        let mut units = self.lock_units();
        if let Some(handle) = units.get(name).filter(|handle| !handle.is_gone()) {
            return Some(handle.clone());
        }
        units.remove(name);
        let on_record = || self.shared.with_run_state(|state| state.units().any(|(unit, _)| unit == name));
        if !layout::unit(&self.shared.dir, name).exists() && !on_record() {
            return None;
        }
        let handle = UnitHandle::launch(name.clone(), self.shared.clone());
        units.insert(name.clone(), handle.clone());
        Some(handle)
    }

    fn lock_units(&self) -> std::sync::MutexGuard<'_, BTreeMap<UnitName, UnitHandle>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The units that have a specification. A directory that can't be read has none: status answers all the same.
fn specified(dir: &Path) -> Vec<UnitName> {
    let entries = fs::read_dir(layout::units(dir)).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| {
        let file = entry.file_name();
        UnitName::new(file.to_str()?.strip_suffix(".json")?).ok()
    };
    entries.filter_map(name).collect()
}

/// The line for a refusal, of whatever was asked.
pub(super) fn refused(refusal: Refusal) -> Vec<u8> {
    encode_answer(Err::<Nothing, _>(refusal))
}
