//! One unit: a task that owns its process and takes commands one after the other.
//!
//! The unit is in one [`Phase`]; a command, the end of the process or a deadline moves it to the next. A
//! command never waits for a process: who asked for a stop is answered when the end of the process arrives.

mod handle;

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use crate::clock::since_boot_ms;

use super::{
    archive::Dump,
    backoff::Backoff,
    exit::{Ending, Exit},
    journal::Journal,
    layout,
    name::UnitName,
    phase::{Down, Event, Live, Phase, Running, Stopping, Waiting, after},
    protocol::{Refusal, RefusalCode, UnitState, UnitStatus},
    run_state::{Desired, RunState},
    signal::Signal,
    spec::{RestartPolicy, UnitSpec},
    start::{NotStarted, Started, start},
};

pub(super) use handle::{Command, Reply, UnitHandle};
use handle::{Published, answer};

/// For output still in the pipe of an ended process. Longer only lasts a pipe that a stray process holds.
const OUTPUT_PATIENCE: Duration = Duration::from_millis(200);

/// What the units of a host share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) journal: Arc<Journal>,
    pub(super) run_state: Mutex<RunState>,
    /// Set when the supervisor begins to end: nothing is started any more, no desired state changes.
    pub(super) ending: AtomicBool,
}

impl Shared {
    /// What is wanted of `unit`.
    pub(super) fn desired(&self, unit: &UnitName) -> Desired {
        self.with_run_state(|state| state.desired(unit))
    }

    /// Looks at or changes the run state.
    pub(super) fn with_run_state<T>(&self, look: impl FnOnce(&mut RunState) -> T) -> T {
        // The state is only changed as a whole, so one left by a panic is right.
        look(&mut self.run_state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

struct Unit {
    name: UnitName,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<(Command, Reply)>,
    backoff: Backoff,
    restarts: u64,
    dump: Option<Dump>,
}

impl Unit {
    async fn run(mut self, mut phase: Phase, publisher: watch::Sender<Published>) {
        loop {
            publisher.send_replace(self.published(&phase));
            let next = match phase.event(&mut self.inbox).await {
                Event::Asked(command, reply) => self.asked(phase, command, reply).await,
                Event::Ended => Some(self.ended(phase).await),
                Event::Due => Some(self.due(phase)),
                Event::Closed => None,
            };
            match next {
                Some(next) => phase = next,
                None => break,
            }
        }
    }

    /// `None` when the unit is removed.
    async fn asked(&mut self, phase: Phase, command: Command, reply: Reply) -> Option<Phase> {
        match command {
            Command::Start => Some(self.asked_to_start(phase, reply)),
            Command::Stop { until: Some(until), .. }
                if matches!(phase, Phase::Running(_)) && until.has_passed() =>
            {
                answer(reply, Err(Refusal::new(RefusalCode::TooLate, "it came later than it may")));
                Some(phase)
            }
            Command::Stop { timeout, until: _ } => Some(self.stop(phase, timeout, true, reply).await),
            Command::Shutdown => Some(self.stop(phase, None, false, reply).await),
            Command::Kill { signal } => {
                answer(reply, self.kill(&phase, signal));
                Some(phase)
            }
            Command::Remove => match self.remove(&phase).await {
                Ok(status) => {
                    answer(reply, Ok(status));
                    None
                }
                Err(refusal) => {
                    answer(reply, Err(refusal));
                    Some(phase)
                }
            },
        }
    }

    fn asked_to_start(&mut self, phase: Phase, reply: Reply) -> Phase {
        if self.shared.is_ending() {
            answer(reply, Err(Refusal::new(RefusalCode::ShuttingDown, "the supervisor is about to end")));
            return phase;
        }
        if let Err(refusal) = self.record(Desired::Up) {
            answer(reply, Err(refusal));
            return phase;
        }
        let next = match phase {
            Phase::Stopping(mut stopping) => {
                stopping.starts.push(reply);
                return Phase::Stopping(stopping);
            }
            Phase::Running(running) => Phase::Running(running),
            Phase::Down(_) | Phase::Backoff(_) => {
                self.backoff.reset();
                self.begin()
            }
        };
        answer(reply, Ok(self.status(&next)));
        next
    }

    async fn stop(&mut self, phase: Phase, within: Option<Duration>, for_good: bool, reply: Reply) -> Phase {
        // The process first: whatever is written, a disk may take its time for it.
        if let Phase::Running(Running { live, .. }) = &phase {
            live.process.terminate();
        }
        let recorded = if for_good { self.record(Desired::Down) } else { Ok(()) };
        let next = match phase {
            Phase::Running(Running { live, archive_due: _ }) => {
                let within = within.unwrap_or_else(|| live.spec.stop_timeout());
                self.note(format_args!(
                    "stopping process {} within {} s",
                    live.process.pid(),
                    within.as_secs()
                ));
                Phase::Stopping(Stopping {
                    live,
                    since: SystemTime::now(),
                    kill_at: Some(after(within)),
                    stops: vec![(reply, recorded)],
                    starts: Vec::new(),
                })
            }
            Phase::Stopping(mut stopping) => {
                // A later stop may hurry an earlier one, never delay it.
                if let (Some(within), Some(kill_at)) = (within, &mut stopping.kill_at) {
                    *kill_at = after(within).min(*kill_at);
                }
                for start in stopping.starts.drain(..) {
                    answer(start, Err(Refusal::new(RefusalCode::Superseded, "a stop came after this start")));
                }
                stopping.stops.push((reply, recorded));
                Phase::Stopping(stopping)
            }
            Phase::Backoff(Waiting { last, until: _ }) => self.down(Some(last), recorded, reply).await,
            Phase::Down(Down { last, failed: _ }) => self.down(last, recorded, reply).await,
        };
        self.give_up_dump().await;
        next
    }

    async fn down(&mut self, last: Option<Ending>, recorded: Result<(), Refusal>, reply: Reply) -> Phase {
        self.give_up_dump().await;
        let next = Phase::Down(Down { last, failed: None });
        answer(reply, recorded.map(|()| self.status(&next)));
        next
    }

    fn kill(&self, phase: &Phase, signal: Signal) -> Result<UnitStatus, Refusal> {
        let Some(live) = phase.live() else {
            return Err(Refusal::new(RefusalCode::NotRunning, format_args!("{} has no process", self.name)));
        };
        self.note(format_args!("sending {signal:?} to process {}", live.process.pid()));
        match live.process.signal(signal.into()) {
            Ok(()) => Ok(self.status(phase)),
            Err(error) => Err(Refusal::new(RefusalCode::NotSignalled, error)),
        }
    }

    async fn remove(&mut self, phase: &Phase) -> Result<UnitStatus, Refusal> {
        if !matches!(phase, Phase::Down(_)) {
            let message = format!("{} is not stopped", self.name);
            return Err(Refusal { code: RefusalCode::NotStopped, message });
        }
        self.give_up_dump().await;
        // The specification last: a unit without one but wanted up would be a failed unit at the next start.
        let forgotten =
            self.shared.with_run_state(|state| state.forget(&self.name)).and_then(
                |()| match fs::remove_file(layout::unit(&self.shared.dir, &self.name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            );
        match forgotten {
            Ok(()) => Ok(self.status(phase)),
            Err(error) => Err(Refusal::new(RefusalCode::NotRecorded, error)),
        }
    }

    async fn ended(&mut self, phase: Phase) -> Phase {
        match phase {
            Phase::Running(Running { live, archive_due: _ }) => {
                let (spec, ran) = (live.spec.clone(), live.forked.elapsed());
                let last = self.reap(live).await;
                self.clean_up(&spec).await;
                // Nobody asked for this end here, so it is a failure whatever the exit code says: a SIGTERM may come
                // from a person, a script or a daemon short of memory, and servers exit with 0 after a failed disk.
                self.back_off(last, ran, &spec.restart)
            }
            Phase::Stopping(Stopping { live, stops, starts, since: _, kill_at: _ }) => {
                let spec = live.spec.clone();
                let last = self.reap(live).await;
                self.clean_up(&spec).await;
                let down = Phase::Down(Down { last: Some(last), failed: None });
                let stopped = self.status(&down);
                for (stop, recorded) in stops {
                    answer(stop, recorded.map(|()| stopped.clone()));
                }
                if starts.is_empty() {
                    return down;
                }
                self.backoff.reset();
                let next = self.begin();
                for start in starts {
                    answer(start, Ok(self.status(&next)));
                }
                next
            }
            phase @ (Phase::Down(_) | Phase::Backoff(_)) => phase,
        }
    }

    fn due(&mut self, phase: Phase) -> Phase {
        match phase {
            Phase::Running(running) => {
                self.dump_archive(&running.live.spec);
                Phase::Running(Running { archive_due: None, ..running })
            }
            Phase::Stopping(stopping) => {
                self.note(format_args!("killing process {}: it did not stop", stopping.live.process.pid()));
                stopping.live.process.kill();
                Phase::Stopping(Stopping { kill_at: None, ..stopping })
            }
            Phase::Backoff(_) => {
                self.restarts += 1;
                self.begin()
            }
            phase @ Phase::Down(_) => phase,
        }
    }

    /// One attempt to start.
    fn begin(&mut self) -> Phase {
        match start(&self.shared.dir, &self.name, &self.shared.journal) {
            Ok(Started { spec, process, capture }) => {
                self.note(format_args!("started as process {}", process.pid()));
                let missing = spec.archive.as_ref().filter(|archive| !archive.path.exists());
                let archive_due = missing.map(|archive| after(Duration::from_secs(archive.after_secs)));
                let live = Live {
                    process,
                    capture,
                    spec,
                    since: SystemTime::now(),
                    since_boot_ms: since_boot_ms(),
                    forked: Instant::now(),
                };
                Phase::Running(Running { live, archive_due })
            }
            Err(NotStarted::Final { reason }) => {
                self.note(format_args!("failed: {reason}"));
                Phase::Down(Down { last: None, failed: Some(reason) })
            }
            Err(NotStarted::Passing { reason, restart }) => {
                let last = Ending { exit: Exit::NotStarted { reason }, at: SystemTime::now() };
                self.back_off(last, Duration::ZERO, &restart)
            }
        }
    }

    fn back_off(&mut self, last: Ending, ran: Duration, policy: &RestartPolicy) -> Phase {
        let delay = self.backoff.after_failure(ran, policy);
        self.note(format_args!("starting again in {} ms after {}", delay.as_millis(), last.exit));
        Phase::Backoff(Waiting { until: after(delay), last })
    }

    /// Reaps the ended process and lets its last lines reach the log.
    async fn reap(&self, live: Live) -> Ending {
        let pid = live.process.pid();
        let exit = live.process.reap();
        let mut capture = live.capture;
        if timeout(OUTPUT_PATIENCE, &mut capture).await.is_err() {
            capture.abort();
        }
        self.note(format_args!("process {pid} ended with {exit}"));
        Ending { exit, at: SystemTime::now() }
    }

    /// Runs what is to be run behind a process. The process is reaped: it is certainly gone.
    async fn clean_up(&self, spec: &UnitSpec) {
        if let Some(after_end) = &spec.after_end {
            self.note(format_args!("cleaning up: {}", after_end.run(spec).await));
        }
    }

    fn dump_archive(&mut self, spec: &UnitSpec) {
        let under_way = self.dump.as_ref().is_some_and(|dump| !dump.is_over());
        if let Some(archive) = spec.archive.clone().filter(|_| !under_way) {
            let journal = self.shared.journal.clone();
            self.dump = Some(Dump::start(self.name.clone(), archive, spec, journal));
        }
    }

    async fn give_up_dump(&mut self) {
        if let Some(dump) = self.dump.take() {
            dump.cancel().await;
        }
    }

    fn record(&self, desired: Desired) -> Result<(), Refusal> {
        self.shared.with_run_state(|state| state.set(&self.name, desired)).map_err(|error| {
            let message = format!("cannot write down that {} is wanted {desired:?}: {error}", self.name);
            self.shared.journal.note(&message);
            Refusal { code: RefusalCode::NotRecorded, message }
        })
    }

    fn note(&self, text: std::fmt::Arguments<'_>) {
        self.shared.journal.note(format_args!("{}: {text}", self.name));
    }

    fn published(&self, phase: &Phase) -> Published {
        let next_start = match phase {
            Phase::Backoff(waiting) => Some(waiting.until),
            Phase::Down(_) | Phase::Running(_) | Phase::Stopping(_) => None,
        };
        let state = match phase {
            Phase::Down(Down { failed: Some(reason), .. }) => UnitState::Failed { reason: reason.clone() },
            Phase::Down(Down { failed: None, last }) => UnitState::Stopped { last: last.clone() },
            Phase::Running(Running { live, .. }) => UnitState::Running {
                pid: live.process.pid(),
                since: live.since,
                since_boot_ms: Some(live.since_boot_ms),
            },
            Phase::Stopping(Stopping { live, since, .. }) => {
                UnitState::Stopping { pid: live.process.pid(), since: *since }
            }
            Phase::Backoff(Waiting { last, .. }) => UnitState::Backoff {
                restarts: self.backoff.failures(),
                next_start_in_ms: 0,
                last: last.clone(),
            },
        };
        let status = UnitStatus {
            name: self.name.clone(),
            desired: self.shared.desired(&self.name),
            state,
            restarts: self.restarts,
            generation: phase.live().map(|live| live.spec.generation.clone()),
        };
        Published { status, next_start }
    }

    fn status(&self, phase: &Phase) -> UnitStatus {
        self.published(phase).now()
    }
}
