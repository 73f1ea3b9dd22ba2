//! Where the files of a host are. Pure.

use std::path::{Path, PathBuf};

use super::name::UnitName;

/// The socket's file name. Relative on purpose: see [`super::server`].
pub(super) const SOCKET: &str = "supervisor.sock";

/// How many files hold one unit's log, the current one included: with 10 MiB each, 50 MiB per unit.
pub(super) const LOG_FILES: usize = 5;

/// The file that the running supervisor holds a lock on.
pub(super) fn lock(host: &Path) -> PathBuf {
    host.join("lock")
}

/// What the supervisor itself has to say.
pub(super) fn supervisor_log(host: &Path) -> PathBuf {
    host.join("supervisor.log")
}

/// The desired run state of each unit.
pub(super) fn run_state(host: &Path) -> PathBuf {
    host.join("run.json")
}

/// The directory of the unit specifications.
pub(super) fn units(host: &Path) -> PathBuf {
    host.join("units")
}

/// One unit's specification.
pub(super) fn unit(host: &Path, name: &UnitName) -> PathBuf {
    units(host).join(format!("{name}.json"))
}

/// The directory of the units' logs.
pub(super) fn logs(host: &Path) -> PathBuf {
    host.join("log")
}

/// One unit's current log.
pub(super) fn unit_log(host: &Path, name: &UnitName) -> PathBuf {
    logs(host).join(format!("{name}.log"))
}

/// The `index`th file of a rotated log: 0 is the current one, higher is older.
pub(super) fn rotated(log: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return log.to_owned();
    }
    let mut path = log.as_os_str().to_owned();
    path.push(format!(".{index}"));
    path.into()
}
