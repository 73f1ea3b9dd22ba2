//! Everything that can end a verb. What it tells people is decided in `report`.

#[cfg(feature = "drill")]
use crate::drill::DrillError;
use crate::engine::{
    ApplyError, Differences, FactsError, HaltError, HolderError, LeaseError, LockError, NotSpared,
    SavedPlanError, StageError, StateError, UnknownName, Violation,
};
use crate::model::Refusal;
use crate::nix::{BuildError, LocalError};
use crate::program::StackFileError;
use crate::resource::KindError;
use crate::tool::{self, InstallError, Lack};
use std::io;
use std::path::PathBuf;

/// Why a verb did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The stack file can't be used.
    #[error(transparent)]
    StackFile(#[from] StackFileError),
    /// The stack's lock can't be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The stack's hosts can't be had.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The state can't be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The plan has refusals.
    #[error("{}", refused(.refusals.len()))]
    Refused {
        /// Which.
        refusals: Vec<Refusal>,
    },
    /// A change of the state alone is not made.
    #[error("{}: {}", .0.key, .0.reason)]
    Refusal(Refusal),
    /// The stack differs from its state, which was to be taken as a failure.
    #[error("{}", drifted(*.count))]
    Drifted {
        /// How many resources differ.
        count: usize,
    },
    /// The plan did not pass its check.
    #[error("the plan is not safe and is not applied")]
    Check(#[from] Violation),
    /// A saved plan can't be used, or a plan can't be saved.
    #[error(transparent)]
    SavedPlan(#[from] SavedPlanError),
    /// There is something to change, and nothing was expected.
    #[error("{}", unexpected(*.count, stack))]
    Unexpected {
        /// How many changes.
        count: usize,
        /// Of which stack.
        stack: String,
    },
    /// `--target`, `--exclude`, `--interrupt` or `--allow-loss` names something that isn't there.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// Something that the plan needs is missing.
    #[error("could not prepare for the change")]
    Prepare(#[source] KindError),
    /// It can't be told how a node is run.
    #[error("could not say how a node is run")]
    Facts(#[source] KindError),
    /// This machine doesn't have what that takes.
    #[error("this machine {} {}", if *.installed { "still lacks" } else { "lacks" }, tool::names(lacks))]
    Lacking {
        /// What is missing.
        lacks: Vec<Lack>,
        /// It is missing although what should have it was installed just now.
        installed: bool,
    },
    /// ^C while something was installed.
    #[error("stopped, as you asked, while something was installed")]
    InstallCancelled,
    /// What this machine lacks could not be installed.
    #[error("could not install what this machine lacks")]
    Install(#[from] InstallError),
    /// The phases before this one are done, and it isn't begun.
    #[error("phase {phase} of {phases} was not begun")]
    Phase {
        /// Which phase.
        phase: usize,
        /// Of how many.
        phases: usize,
        /// Why not.
        source: Box<Self>,
    },
    /// What is to be done next is something else than was foreseen and consented to.
    #[error("what is to be done now is not what was foreseen, and was consented to")]
    NotForeseen(#[from] Differences),
    /// The plan was carried out in part only.
    #[error("the stack is not as declared yet")]
    Apply(#[from] ApplyError),
    /// What should tell of a cluster doesn't.
    #[error(transparent)]
    Described(#[from] FactsError),
    /// Whether a node may be taken away isn't known.
    #[error(transparent)]
    NotSpared(#[from] NotSpared),
    /// What is to be run by leave of a gate can't be.
    #[error("could not run `{program}`")]
    Command {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A drill has no result.
    #[cfg(feature = "drill")]
    #[error(transparent)]
    Drill(#[from] DrillError),
    /// A stop did not succeed.
    #[error("not everything is stopped")]
    Halt(#[source] HaltError),
    /// The octad at work could not be stopped, or its lock not be taken away.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// A change needs consent, and nobody can be asked.
    #[error("`{verb}` changes things and needs your consent")]
    NoConsent {
        /// The verb.
        verb: &'static str,
    },
    /// Asked for consent, the answer was no.
    #[error("not done, as you said")]
    Declined,
    /// ^C before anything was begun.
    #[error("stopped, as you asked")]
    Cancelled,
    /// ^C, twice.
    #[error("stopped at once; operations under way were left as they are")]
    Interrupted,
    /// There is no such stack.
    #[error("there is no stack {stack} in {}", state_dir.display())]
    NoStack {
        /// Its name.
        stack: String,
        /// Where stacks were looked for.
        state_dir: PathBuf,
    },
    /// There is nothing to push, or it can't be read.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// A system could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// ^C during a build.
    #[error("stopped, as you asked")]
    BuildInterrupted,
    /// Some hosts did not get what was pushed; why was shown already.
    #[error("{}", not_pushed(*.failed, *.hosts))]
    NotPushed {
        /// How many.
        failed: usize,
        /// Of how many.
        hosts: usize,
    },
    /// ^C during a push.
    #[error("stopped, as you asked")]
    PushInterrupted,
    /// An argument doesn't fit.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to say instead.
        hint: String,
    },
    /// The stack isn't healthy; what is wrong was shown already.
    #[error("the stack is not healthy")]
    Unhealthy,
    /// Reading or writing failed.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

impl From<StageError> for CliError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Kind(error) => Self::Prepare(error),
            StageError::State(error) => Self::State(error),
        }
    }
}

fn drifted(count: usize) -> String {
    match count {
        1 => "one resource differs from the state".into(),
        n => format!("{n} resources differ from the state"),
    }
}

fn unexpected(count: usize, stack: &str) -> String {
    match count {
        1 => format!("1 change of the stack {stack} is to be made, and none was expected"),
        n => format!("{n} changes of the stack {stack} are to be made, and none was expected"),
    }
}

fn not_pushed(failed: usize, hosts: usize) -> String {
    match (failed, hosts) {
        (1, 1) => "the host does not have all of it".into(),
        (failed, hosts) => format!("{failed} of {hosts} hosts do not have all of it"),
    }
}

fn refused(count: usize) -> String {
    match count {
        1 => "one change can't be made safely, so none is made".into(),
        n => format!("{n} changes can't be made safely, so none is made"),
    }
}
