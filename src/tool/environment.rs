//! The environment variables that Octad reads and hands to its children. Reads the process' own only in
//! [`Environment::from_process`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// A set of environment variables. Children see exactly these.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// This process' environment, as it is now.
    pub fn from_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// The same with `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The same with `name` unset.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(OsStr::new(name));
        self
    }

    /// Value of `name`; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Value of `name` as a path; an empty one counts as unset.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// The program that a shell would run for `name`: the first executable file on `PATH`.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.get("PATH")?)
            .map(|folder| folder.join(name))
            .find(|file| is_executable(file))
    }

    /// A command that sees this environment and nothing else.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Whether the path leads to a file that someone may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variable_counts_as_unset() {
        let environment = Environment::default().with("A", "x").with("B", "");
        assert_eq!(environment.get("A"), Some(OsStr::new("x")));
        assert_eq!(environment.get("B"), None);
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", Environment::default().with("TOKEN", "secret"));
        assert!(shown.contains("TOKEN") && !shown.contains("secret"), "{shown}");
    }
}
