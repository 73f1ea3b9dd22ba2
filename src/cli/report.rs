//! What a failure tells people and scripts: causes, effect, hint and exit code are decided here and nowhere else.

mod hint;

use super::CliError;
use crate::causes::{causes, with_causes};
#[cfg(feature = "drill")]
use crate::drill::DrillError;
use crate::engine::{
    ApplyError, Ending, FactsError, GateError, HaltError, LeaseError, LockError, NotSpared, SavedPlanError,
    StateError, StepError,
};
use crate::host::HostError;
use crate::program::StackFileError;
use crate::report::{Invocation, Report, exit};
use crate::resource::KindError;
use hint::hint;

impl CliError {
    /// What it tells. Each command of the hint is told as `invocation` has it.
    pub fn report(&self, invocation: &Invocation) -> Report {
        let mut causes = causes(self);
        let message = causes.remove(0);
        if let Self::Lacking { lacks, .. } = self {
            causes.extend(lacks.iter().map(|lack| lack.why.clone()));
        }
        let hint = hint(self).map(|hint| invocation.in_text(&hint));
        let faults = match self {
            Self::StackFile(StackFileError::Faults(faults)) => Some(faults.clone()),
            _ => None,
        };
        Report { message, causes, faults, effect: effect(self), hint, code: code(self) }
    }

    /// What it is in the stack's history, as the failure of a verb.
    pub fn ending(&self) -> Ending {
        let (why, done) = match self {
            Self::Apply(ApplyError { error, done, .. }) => (with_causes(error), done.clone()),
            _ => (with_causes(self), Vec::new()),
        };
        match code(self) {
            exit::CANCELLED => Ending::Interrupted { done },
            _ => Ending::Failed { why, done },
        }
    }
}

fn effect(error: &CliError) -> Vec<String> {
    let nothing = || vec!["nothing was changed".to_owned()];
    match error {
        CliError::Apply(ApplyError { done, not_done, error: _ }) => {
            let listed = |what: &[String]| match what.len() {
                0 => "nothing".to_owned(),
                1..=8 => what.join(", "),
                n => format!("{} and {} more", what[..8].join(", "), n - 8),
            };
            vec![format!("done: {}", listed(done)), format!("not done: {}", listed(not_done))]
        }
        CliError::Phase { phase: 2, .. } => vec!["the phase before it is done".into()],
        CliError::Phase { .. } => vec!["the phases before it are done".into()],
        CliError::Refused { .. }
        | CliError::Refusal(_)
        | CliError::SavedPlan(_)
        | CliError::Unexpected { .. }
        | CliError::UnknownName(_)
        | CliError::Prepare(_)
        | CliError::Facts(_)
        | CliError::Lacking { installed: false, .. }
        | CliError::Check(_)
        | CliError::NoConsent { .. }
        | CliError::Cancelled
        | CliError::Local(_)
        | CliError::Build(_)
        | CliError::BuildInterrupted
        | CliError::Lease(_)
        | CliError::Lock(_) => nothing(),
        CliError::NotPushed { .. } | CliError::PushInterrupted => vec![
            "no host runs anything else than before; what arrived stays in its store until the next garbage collection"
                .into(),
        ],
        _ => Vec::new(),
    }
}

fn code(error: &CliError) -> u8 {
    match error {
        CliError::StackFile(_)
        | CliError::NoConsent { .. }
        | CliError::Usage { .. }
        | CliError::Described(FactsError::NoCluster { .. })
        | CliError::UnknownName(_) => exit::USAGE,
        CliError::SavedPlan(error) => match error {
            SavedPlanError::Read { .. } | SavedPlanError::Write { .. } => exit::FAILED,
            SavedPlanError::Stale { .. } => exit::REFUSED,
            SavedPlanError::NotAPlan { .. }
            | SavedPlanError::OtherFormat { .. }
            | SavedPlanError::Edited { .. }
            | SavedPlanError::OtherStack { .. } => exit::USAGE,
        },
        CliError::Declined
        | CliError::Cancelled
        | CliError::PushInterrupted
        | CliError::BuildInterrupted
        | CliError::InstallCancelled
        | CliError::NotSpared(NotSpared::Interrupted)
        | CliError::Halt(HaltError::Interrupted) => exit::CANCELLED,
        CliError::Lock(LockError::Held { .. })
        | CliError::Lease(
            LeaseError::Held { .. } | LeaseError::Busy { .. } | LeaseError::Contended | LeaseError::Lost,
        )
        | CliError::State(StateError::LockTaken { .. }) => exit::LOCKED,
        CliError::Refused { .. }
        | CliError::Refusal(_)
        | CliError::NotForeseen(_)
        | CliError::NotSpared(NotSpared::NotSafe(_) | NotSpared::Broken(_)) => exit::REFUSED,
        CliError::Phase { source, .. } => code(source),
        CliError::Check(_) => exit::DEFECT,
        #[cfg(feature = "drill")]
        CliError::Drill(error) => match error {
            DrillError::UnknownFault { .. } => exit::USAGE,
            DrillError::Refused { .. } | DrillError::Stranger(_) | DrillError::Unhealthy { .. } => {
                exit::REFUSED
            }
            DrillError::Check(_) => exit::DEFECT,
            DrillError::Interrupted => exit::CANCELLED,
            _ => exit::FAILED,
        },
        CliError::Interrupted => exit::CANCELLED,
        CliError::Apply(ApplyError { error, .. }) => match error {
            StepError::Interrupted | StepError::Gate(GateError::Interrupted { .. }) => exit::CANCELLED,
            StepError::PutBack { .. }
            | StepError::WentBack { .. }
            | StepError::Act { source: KindError::Host(HostError::WentBack { .. }), .. } => exit::PUT_BACK,
            StepError::Gate(_)
            | StepError::NotSafe { .. }
            | StepError::Stranger(_)
            | StepError::Act {
                source:
                    KindError::CameBack { .. }
                    | KindError::WentBack { .. }
                    | KindError::Host(HostError::TooLate { .. })
                    | KindError::NotRefilled { .. }
                    | KindError::Another { .. }
                    | KindError::MadeMeanwhile { .. }
                    | KindError::WouldLose { .. }
                    | KindError::WouldShut { .. }
                    | KindError::NotRemoved { .. }
                    | KindError::NotBegun { .. }
                    | KindError::HoldsNodes { .. },
                ..
            } => exit::REFUSED,
            StepError::State(StateError::LockTaken { .. }) => exit::LOCKED,
            StepError::Act { .. } | StepError::UnknownKind(_) | StepError::State(_) => exit::FAILED,
        },
        CliError::Lock(LockError::File(_))
        | CliError::Lease(_)
        | CliError::State(_)
        | CliError::Unexpected { .. }
        | CliError::Prepare(_)
        | CliError::Facts(_)
        | CliError::Lacking { .. }
        | CliError::Install(_)
        | CliError::NoStack { .. }
        | CliError::Unhealthy
        | CliError::Halt(HaltError::Act(_))
        | CliError::Holder(_)
        | CliError::Local(_)
        | CliError::Build(_)
        | CliError::NotPushed { .. }
        | CliError::NotSpared(NotSpared::NotAsked { .. })
        | CliError::Described(FactsError::Read { .. })
        | CliError::Drifted { .. }
        | CliError::Command { .. }
        | CliError::Io { .. } => exit::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_a_hint_name_the_stack_that_was_asked_for() {
        let invocation = Invocation { program: "./octad".into(), flags: " --stack s".into() };
        let hint =
            invocation.in_text("`octad status` tells more; `ss -ltn` too; `octad up --stack x` makes it");
        assert_eq!(
            hint,
            "`./octad status --stack s` tells more; `ss -ltn` too; `./octad up --stack x` makes it"
        );
    }
}
