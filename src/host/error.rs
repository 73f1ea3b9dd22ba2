//! Why a host did not do as asked. What only one backend knows is in its own errors.

/// Why a host did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A node was to be stopped by what was known of its group, and that is too old by now.
    #[error("{node} was not stopped: what that was decided from is too old by now")]
    TooLate {
        /// The node.
        node: String,
    },
    /// The data directory holds something that isn't this node's.
    #[error("the data directory {directory} of {node} holds files but no marker of this node")]
    ForeignData {
        /// The node.
        node: String,
        /// The directory.
        directory: String,
    },
    /// A node can't have a name that another one has.
    #[error("{node} can't be called {name}: {host} has a node of that name")]
    NameTaken {
        /// The host.
        host: String,
        /// The node.
        node: String,
        /// The name that it was to have.
        name: String,
    },
    /// The host has no such node.
    #[error("{host} has no node {node}")]
    NoSuchNode {
        /// The host.
        host: String,
        /// The node.
        node: String,
    },
    /// The backend has no way to do what a drill asks for.
    #[error("its backend can't {what}: {subject}")]
    Unable {
        /// The node or host.
        subject: String,
        /// What was asked for.
        what: &'static str,
    },
    /// The host was changed, and has gone back to what it ran before.
    #[error("{host} was changed and went back to what it ran before: {said}")]
    WentBack {
        /// The host.
        host: String,
        /// Why, as it says.
        said: String,
        /// What tells more.
        hint: String,
    },
    /// The host is down.
    #[error("{host} is down")]
    Down {
        /// The host.
        host: String,
    },
    /// A node's process could not be started.
    #[error("{node} did not start: {reason}")]
    NotStarted {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// Something is missing in what the host was given.
    #[error("{subject} is not complete: {missing}")]
    Incomplete {
        /// What was given.
        subject: String,
        /// What it lacks.
        missing: String,
    },
    /// Reading or writing failed.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something went wrong that only its backend knows.
    #[error(transparent)]
    Backend(BackendError),
}

/// An error of one backend.
#[derive(Debug)]
pub struct BackendError(Box<dyn Hinted>);

/// An error that knows what helps.
pub trait Hinted: std::error::Error + Send + Sync + 'static {
    /// What to do next, for people; `None` where that isn't known.
    fn hint(&self) -> Option<String>;
}

impl BackendError {
    /// What to do next, for people; `None` where that isn't known.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

impl<Error: Hinted> From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self::Backend(BackendError(Box::new(error)))
    }
}

impl std::fmt::Display for BackendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
