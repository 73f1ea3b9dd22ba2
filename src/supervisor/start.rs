//! One attempt to start a unit: from its specification to a process whose output is captured.

use std::{fmt::Write, io, path::Path, sync::Arc};

use tokio::task::JoinHandle;

use super::{
    begin::Begun,
    capture::{FILE_LIMIT, capture},
    journal::{Chain, Journal},
    layout,
    name::UnitName,
    process::{Priority, Process},
    rotate::RotatingFile,
    spec::UnitSpec,
};

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
    /// Trying again without a change by somebody would give the same, or do harm.
    Final {
        /// For people.
        reason: String,
    },
    /// The machine was short of something that may come back.
    Passing {
        /// For people.
        reason: String,
        /// The unit that was tried.
        spec: Box<UnitSpec>,
    },
}

/// Starts `unit` of the host at `dir` from the specification that is on disk now.
pub(super) fn start(dir: &Path, unit: &UnitName, journal: &Arc<Journal>) -> Result<Started, NotStarted> {
    let spec =
        UnitSpec::load(dir, unit).map_err(|error| NotStarted::Final { reason: Chain(&error).to_string() })?;
    check_required(&spec)?;
    check_begun(&spec)?;
    match fork(dir, unit, &spec, journal) {
        Ok((process, capture)) => Ok(Started { spec, process, capture }),
        Err((what, error)) => {
            let reason = format!("{what}: {error}");
            Err(match error.kind() {
                // The file isn't there or isn't a program: waiting doesn't mend that.
                io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput => NotStarted::Final { reason },
                _ => NotStarted::Passing { reason, spec: Box::new(spec) },
            })
        }
    }
}

/// Every required file is there, and everything that isn't is named.
fn check_required(spec: &UnitSpec) -> Result<(), NotStarted> {
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
    if reason.is_empty() { Ok(()) } else { Err(NotStarted::Final { reason }) }
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
        .map_err(|error| (format!("cannot start {}", spec.program.display()), error))?;
    let capture = tokio::spawn(capture(output, log, unit.clone(), journal.clone()));
    Ok((process, capture))
}
