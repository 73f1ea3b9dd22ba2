//! One attempt to start a unit: from its specification to a process whose output is captured.

use std::{fmt::Write, io, path::Path, sync::Arc};

use tokio::{net::TcpSocket, task::JoinHandle};

use super::{
    begin::Begun,
    capture::{FILE_LIMIT, capture},
    error::SupervisorError,
    journal::{Chain, Journal},
    layout,
    name::UnitName,
    process::{Priority, Process},
    rotate::RotatingFile,
    spec::{RestartPolicy, UnitSpec},
};

/// Milliseconds after which an address is looked at again that another process has; they double. A gate looks once a
/// second, and takes what can't be started for broken.
const LOOK_AGAIN_MS: u64 = 50;

/// What a start gives.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) spec: UnitSpec,
    pub(super) process: Process,
    /// Ends when the output has ended.
    pub(super) capture: JoinHandle<()>,
}

/// Why there is no process.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// The specification makes no sense: that doesn't mend itself.
    Final {
        /// For people.
        reason: String,
    },
    /// Something that may come back is missing: a file, a disk, memory.
    Passing {
        /// For people.
        reason: String,
        /// When to try again.
        restart: RestartPolicy,
    },
}

/// Starts `unit` of the host at `dir` from the specification that is on disk now.
pub(super) fn start(dir: &Path, unit: &UnitName, journal: &Arc<Journal>) -> Result<Started, NotStarted> {
    let spec = UnitSpec::load(dir, unit).map_err(|error| {
        let reason = Chain(&error).to_string();
        match error {
            SupervisorError::Malformed { .. } => NotStarted::Final { reason },
            _ => NotStarted::Passing { reason, restart: RestartPolicy::default() },
        }
    })?;
    let passing = |reason| NotStarted::Passing { reason, restart: spec.restart.clone() };
    check_required(&spec).map_err(passing)?;
    check_free(&spec)
        .map_err(|reason| NotStarted::Passing { reason, restart: while_taken(&spec.restart) })?;
    check_begun(&spec)?;
    match fork(dir, unit, &spec, journal) {
        Ok((process, capture)) => Ok(Started { spec, process, capture }),
        Err((what, error)) => Err(passing(format!("{what}: {error}"))),
    }
}

/// Every required file is there, and everything that isn't is named.
fn check_required(spec: &UnitSpec) -> Result<(), String> {
    let mut reason = String::new();
    for path in &spec.requires {
        let problem = match path.try_exists() {
            Ok(true) => continue,
            Ok(false) => "required and missing".to_owned(),
            Err(error) => format!("required and cannot be checked ({error})"),
        };
        let separator = if reason.is_empty() { "" } else { "; " };
        let _ = write!(reason, "{separator}{} is {problem}", path.display());
    }
    if reason.is_empty() { Ok(()) } else { Err(reason) }
}

/// Nobody else listens where the unit will. What else is wrong with an address, its process tells.
fn check_free(spec: &UnitSpec) -> Result<(), String> {
    for address in &spec.listens {
        // Bound and not listened at, so that nobody is ever answered by it.
        let bind = || -> io::Result<()> {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(*address)
        };
        if bind().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            let port = address.port();
            return Err(format!("another process has {address} (`ss -tanp 'sport = :{port}'` tells which)"));
        }
    }
    Ok(())
}

/// How a unit is tried again of which another process has an address. As a rule that is its own process of before, still
/// ending since its supervisor was killed, which takes as long as there is memory to free. A look costs nothing.
fn while_taken(restart: &RestartPolicy) -> RestartPolicy {
    RestartPolicy { min_backoff_ms: restart.min_backoff_ms.min(LOOK_AGAIN_MS), ..restart.clone() }
}

/// A disk that is empty may be so.
fn check_begun(spec: &UnitSpec) -> Result<(), NotStarted> {
    let Some(begins) = &spec.begins else { return Ok(()) };
    let reason = match begins.take() {
        Ok(Begun::Written | Begun::Fresh) => return Ok(()),
        Ok(Begun::Lost) => "is missing, and nobody gave leave to begin with an empty disk".to_owned(),
        Err(error) => format!("cannot be checked ({error})"),
    };
    Err(NotStarted::Final { reason: format!("{} {reason}", begins.written.display()) })
}

fn fork(
    dir: &Path,
    unit: &UnitName,
    spec: &UnitSpec,
    journal: &Arc<Journal>,
) -> Result<(Process, JoinHandle<()>), (String, io::Error)> {
    let log_path = layout::unit_log(dir, unit);
    let log = RotatingFile::open(&log_path, FILE_LIMIT, layout::LOG_FILES)
        .map_err(|error| (format!("cannot open the log {}", log_path.display()), error))?;
    let mut command = spec.command();
    if let Some(working_dir) = &spec.working_dir {
        // A failing exec says "not found" of the directory and of the program alike.
        std::fs::read_dir(working_dir).map_err(|error| {
            (format!("cannot enter the working directory {}", working_dir.display()), error)
        })?;
        command.current_dir(working_dir);
    }
    let (process, output) = Process::spawn(command, Priority::Inherited)
        .map_err(|error| (format!("cannot start {}", spec.executable().display()), error))?;
    let capture = tokio::spawn(capture(output, log, unit.clone(), journal.clone()));
    Ok((process, capture))
}
