//! What to do next about a failure, each command as one types it.

use crate::cli::CliError;
#[cfg(feature = "drill")]
use crate::drill::DrillError;
use crate::engine::{
    ApplyError, FactsError, GateError, HaltError, HolderError, LeaseError, LockError, NotSpared,
    SavedPlanError, StateError, StepError,
};
use crate::host::HostError;
use crate::program::StackFileError;
use crate::resource::{KindError, counted_on_hint};
use crate::role::NotSafe;
#[cfg(feature = "drill")]
use crate::stack::nearest;
use crate::tool::{self, Installer};

pub(super) fn hint(error: &CliError) -> Option<String> {
    match error {
        // Not as a whole command line: one without this stack's name would be meant for another.
        CliError::NoConsent { .. } => Some("add `--yes`, or run it on a terminal".into()),
        CliError::Usage { hint, .. } => Some(hint.clone()),
        CliError::Refusal(refusal) => Some(refusal.hint.clone()),
        CliError::Drifted { .. } => Some(
            "`octad preview` shows how `up` would mend it; `octad refresh` takes it into the state".into(),
        ),
        CliError::Unexpected { .. } => {
            Some("`octad preview` shows what differs from the stack file, `octad up` makes it so".into())
        }
        CliError::UnknownName(error) => Some(match &error.nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("it has: {}", error.known.join(", ")),
        }),
        CliError::SavedPlan(error) => saved_plan(error),
        CliError::StackFile(error) => stack_file(error),
        CliError::Declined | CliError::Cancelled | CliError::Unhealthy | CliError::Refused { .. } => None,
        CliError::Lock(LockError::Held { holder: Some(holder), .. }) if !holder.is_here() => Some(format!(
            "wait for it, with `--lock-timeout 10m`, or `octad cancel` on {}; where that machine is gone, \
             `octad unlock {}`",
            holder.host, holder.id
        )),
        CliError::Lock(LockError::Held { .. }) => {
            Some("wait for it, with `--lock-timeout 10m`, or `octad cancel` to have it stop".into())
        }
        CliError::Lease(error) => lease(error),
        CliError::Holder(error) => holder(error),
        CliError::Lock(LockError::File(error)) | CliError::State(error) => state(error),
        CliError::NoStack { .. } => {
            Some("`octad up` makes it; if it was made elsewhere, `octad refresh` takes over what machines run, or name that place with \
                  --state-dir".into())
        }
        CliError::Lacking { installed: true, .. } => Some(
            "`octad doctor` tells what it looks for; an OCTAD_JAVA, JAVA_HOME or PATH may lead elsewhere"
                .into(),
        ),
        CliError::Lacking { lacks, .. } => Some(match Installer::of_this_machine() {
            Some(installer) => {
                format!("add `--install` to have octad run `{}`", installer.command(lacks))
            }
            None => format!("{}, then the same command again", tool::how_to_get(lacks)),
        }),
        CliError::InstallCancelled => {
            Some("the stack was not changed; `apt-get -f install` finishes what was cut off".into())
        }
        CliError::Install(_) => {
            Some("it has said why above; the same command goes on from here once that is mended".into())
        }
        CliError::Check(_) => {
            Some("run it again; if it says the same, this is a defect of Octad: please report it".into())
        }
        CliError::Facts(KindError::NotYetKnown { .. }) => {
            Some("give the stack's hosts a `subnet` under [hosts]: then their addresses are known before they are there".into())
        }
        CliError::Prepare(error) | CliError::Facts(error) | CliError::Halt(HaltError::Act(error)) => kind(error),
        CliError::Phase { source, .. } => {
            hint(source).or_else(|| Some("the same command goes on from here".into()))
        }
        CliError::NotForeseen(_) => Some(
            "`octad preview` shows what is to be done now; `octad up` asks for consent to that and goes on from here"
                .into(),
        ),
        CliError::Local(error) => error.hint(),
        CliError::Build(error) => error.hint(),
        CliError::BuildInterrupted => Some("what was built stays in the store: the same command builds the rest".into()),
        CliError::Described(FactsError::NoCluster { .. }) => Some("`octad facts --dir DIR` writes them".into()),
        CliError::NotSpared(NotSpared::NotAsked { .. }) => Some(
            "ask from where every node of the stack can be reached, ZooKeeper's servers too, such as one of its machines"
                .into(),
        ),
        CliError::Command { .. } => Some("nothing was done; behind `--` the command's words stand apart, as in `-- ssh broker-2 reboot`".into()),
        CliError::NotPushed { .. } | CliError::NotSpared(_) | CliError::Described(FactsError::Read { .. }) => None,
        CliError::PushInterrupted => Some("the same command sends only what is missing".into()),
        CliError::Halt(HaltError::Interrupted) | CliError::Interrupted => {
            Some("the same command goes on from here".into())
        }
        CliError::Apply(ApplyError { error, .. }) => match error {
            StepError::Act { source, .. } => {
                kind(source).or_else(|| Some("the same command goes on from here once that is mended".into()))
            }
            StepError::Gate(GateError::Broken { member, .. }) => {
                Some(format!("`octad logs {member}` tells what it said; the same command goes on from here"))
            }
            StepError::Gate(GateError::LeftOut { members, .. }) => Some(format!(
                "bring {} back: `octad up` without what leaves it out tells what is in the way",
                members.join(", ")
            )),
            StepError::Gate(GateError::TimedOut { .. }) => {
                Some("`octad status` and `octad logs` tell more; the same command goes on from here".into())
            }
            StepError::PutBack { member, .. } => Some(format!(
                "`octad logs {member}` tells what it said; correct the stack file, then `octad up`"
            )),
            StepError::WentBack { .. } => Some(went_back()),
            StepError::NotSafe { reason: NotSafe::Unconfirmed { host, .. }, .. } => Some(format!(
                "the same command settles it first where {host} can be reached; `--exclude host/{host}` goes on without it"
            )),
            StepError::NotSafe { reason: NotSafe::NothingToSpare { topics }, .. } => {
                let flags: Vec<String> =
                    topics.iter().map(|one| format!("--interrupt {}", one.topic)).collect();
                Some(format!(
                    "the same command with `{}` consents to that and goes on from here",
                    flags.join(" ")
                ))
            }
            StepError::NotSafe { reason: NotSafe::Starting { member }, .. } => Some(format!(
                "`octad logs {member}` tells what it is at; where it hangs, end its process: a member without one is \
                 changed at once"
            )),
            StepError::NotSafe { reason: NotSafe::Untold, .. } => Some(
                "`octad preview` tells which topics are recorded and not there; `octad up --target topic/NAME` makes \
                 one anew, `octad state rm topic/NAME` forgets it"
                    .into(),
            ),
            StepError::NotSafe { .. } => Some(
                "`octad status` tells what is away; the same command goes on from here once it is back"
                    .into(),
            ),
            StepError::Stranger(refusal) => Some(refusal.hint.clone()),
            StepError::Interrupted | StepError::Gate(GateError::Interrupted { .. }) => {
                Some("the same command goes on from here".into())
            }
            StepError::Gate(GateError::UnknownRole { .. }) | StepError::UnknownKind(_) => {
                Some("use the program that made this stack".into())
            }
            StepError::State(error) => state(error),
        },
        #[cfg(feature = "drill")]
        CliError::Drill(error) => drill(error),
        CliError::Io { .. } => None,
    }
}

#[cfg(feature = "drill")]
fn drill(error: &DrillError) -> Option<String> {
    match error {
        DrillError::UnknownFault { name, known } => Some(match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`? `octad drill list` tells what there is"),
            None => "`octad drill list` tells what there is".into(),
        }),
        DrillError::Refused { fault: "roll", .. } => Some("`octad preview` shows what is in the way".into()),
        DrillError::Refused { .. } | DrillError::NoMember { .. } => {
            Some("`octad drill list` tells what can be drilled".into())
        }
        DrillError::Stranger(refusal) => Some(refusal.hint.clone()),
        DrillError::Unhealthy { .. } => Some("`octad up` mends it; drill it after that".into()),
        DrillError::NotRecovered { .. } | DrillError::NotFinished { .. } | DrillError::Roll(_) => {
            Some("`octad status` and `octad logs` tell more; `octad up` mends it".into())
        }
        DrillError::Host { source, .. } => kind(source),
        DrillError::LogUnread { .. } | DrillError::Kafka { .. } | DrillError::Client { .. } => {
            Some("`octad status` tells whether the cluster serves".into())
        }
        DrillError::NoJavaClients { .. } => Some("leave `--clients java` away, or mend what it says".into()),
        DrillError::Interrupted => Some("what was disturbed is put right; `octad status` tells".into()),
        DrillError::State(error) => state(error),
        DrillError::NoMark { .. } | DrillError::Check(_) | DrillError::Io { .. } => None,
    }
}

fn stack_file(error: &StackFileError) -> Option<String> {
    match error {
        StackFileError::NoFile { .. } | StackFileError::NotFound { .. } => Some(
            "`--stack FILE` takes the file of a stack of your own, `--stack ha` one that needs none".into(),
        ),
        StackFileError::Name(_) => Some("rename the file, to `my-cluster.toml` for instance".into()),
        // Each fault has its own.
        StackFileError::Read { .. } | StackFileError::Faults(_) => None,
    }
}

fn saved_plan(error: &SavedPlanError) -> Option<String> {
    match error {
        SavedPlanError::Read { .. } => None,
        SavedPlanError::Write { .. } => {
            Some("name a file in a directory that exists and can be written".into())
        }
        SavedPlanError::OtherFormat { .. } => Some(
            "use the Octad that wrote it, or `octad preview --save-plan FILE` for a plan of this one".into(),
        ),
        SavedPlanError::OtherStack { found, .. } => Some(format!("`octad up --stack {found}` takes it")),
        SavedPlanError::NotAPlan { path, .. }
        | SavedPlanError::Edited { path }
        | SavedPlanError::Stale { path, .. } => {
            let path = path.display();
            Some(format!("`octad preview --save-plan {path}` makes a new one (with --destroy for a destroy)"))
        }
    }
}

fn state(error: &StateError) -> Option<String> {
    match error {
        StateError::Io { .. } => Some("look at the disk's free space and the file's permissions".into()),
        StateError::Damaged { path, line: None, .. } => Some(format!(
            "nothing was lost yet: put a copy of {} aside before anything else, and restore it from a backup",
            path.display()
        )),
        StateError::Damaged { path, line: Some(line), .. } => Some(format!(
            "put a copy of it aside, then empty that line: `sed -i '{line}s/.*//' {}`; the next `octad preview` looks \
             at what is really there",
            path.display()
        )),
        StateError::Gap { path, .. } => Some(format!(
            "put the state.json back that belongs to it; {} may be it",
            path.with_file_name("state.copy.json").display()
        )),
        StateError::LockTaken { .. } => Some("see who works on the stack before you run it again".into()),
        StateError::FromTheFuture { .. } => Some("use the newer Octad that wrote it".into()),
        StateError::FromThePast { .. } => Some(
            "use the older Octad that wrote it; or have that one `destroy` the stack, and this one make it anew".into(),
        ),
        StateError::OtherStack { .. } => Some("use another --stack or --state-dir".into()),
    }
}

fn holder(error: &HolderError) -> Option<String> {
    match error {
        HolderError::Elsewhere { holder, .. } => Some(format!(
            "`octad cancel` on {}; where that machine is gone, `octad unlock {}`",
            holder.host, holder.id
        )),
        HolderError::NotSeen { holder: Some(holder), .. } => Some(format!(
            "it may run in a container: `octad cancel` there, or, where it is gone, `octad unlock {}`",
            holder.id
        )),
        HolderError::NotSeen { holder: None, .. } => {
            Some("`fuser` tells which processes have it open".into())
        }
        HolderError::NotAllowed { .. } => Some("`octad cancel` as that user, or as root".into()),
        HolderError::StillWorking { .. } => {
            Some("give it time, or `octad cancel --force`; the next `octad up` goes on from there".into())
        }
        HolderError::OtherLock { .. } => None,
        HolderError::Alive { holder } => Some(format!(
            "`octad cancel`, or `octad cancel --force`; where it hangs all the same, `kill -9 {}` frees the lock",
            holder.pid
        )),
        HolderError::File(error) => state(error),
    }
}

fn lease(error: &LeaseError) -> Option<String> {
    match error {
        LeaseError::Held { holder, left, .. } => {
            let id = holder.as_ref().map_or("LEASE", |holder| &holder.id);
            Some(format!(
                "wait for it, with `--lock-timeout 10m`; where it is gone, that takes {} s, or `octad unlock {id}`",
                left.as_secs() + 1
            ))
        }
        LeaseError::NoSuchLease { .. } => Some("`octad up` tells who holds them".into()),
        LeaseError::Busy { hosts } => Some(format!(
            "wait for it, with `--lock-timeout 10m`; where it hangs for good, reboot {}, or `--minority` changes the others",
            hosts.join(", ")
        )),
        LeaseError::Contended | LeaseError::Lost => Some("run it again, which goes on with what it finds".into()),
        LeaseError::NotAll { .. } => Some(
            "what was asked of the others may still be on its way: wait for a minute, or bring them up".into(),
        ),
        LeaseError::NoMajority { .. } => Some(
            "bring more of them up; where they are gone for good and no other octad can reach them either, `--minority`              changes those that are left"
                .into(),
        ),
        LeaseError::Kind(error) => kind(error),
    }
}

fn went_back() -> String {
    "a host does that where it boots, and where nobody reaches it; the same command tries it once more".into()
}

fn kind(error: &KindError) -> Option<String> {
    match error {
        KindError::Host(error) => host(error),
        KindError::CameBack { .. } => Some("`octad up` again: it takes the node into a roll".into()),
        KindError::WentBack { .. } => Some(went_back()),
        KindError::NotRefilled { .. } => Some(
            "bring the others back first, or restore its data; the same command goes on from here".into(),
        ),
        KindError::Another { key, .. } => Some(format!(
            "`octad import {key}` takes that one over; `octad state rm {key}` has this stack forget it"
        )),
        KindError::MadeMeanwhile { key } => Some(format!("`octad import {key}` takes it over as it is")),
        KindError::WouldLose { key, .. } => {
            Some(format!("`--allow-loss {key}` consents to it; the same command goes on from here"))
        }
        KindError::WouldShut { .. } => {
            Some("bring the brokers back that it has replicas on; the same command goes on from here".into())
        }
        KindError::NotBegun { key, .. } => Some(format!(
            "`octad up --exclude {}` brings the others up; then {}",
            key.name,
            counted_on_hint(&key.name)
        )),
        KindError::NotNoted { .. } => Some("look at the disk's free space; the same command goes on from here".into()),
        KindError::HoldsNodes { .. } => Some("`octad up` or `octad destroy` again tells what to do".into()),
        KindError::NotRemoved { .. } => Some(
            "put the old number of brokers back, or move what it holds away with Kafka's own tools; then `octad up`"
                .into(),
        ),
        KindError::UnknownRole { .. } => Some("use the program that has this role".into()),
        KindError::UnknownBackend { .. } => Some("correct `backend` under [hosts] in the stack file".into()),
        KindError::Kafka(_) | KindError::Inputs { .. } | KindError::NotYetKnown { .. } => None,
    }
}

fn host(error: &HostError) -> Option<String> {
    match error {
        HostError::TooLate { .. } => {
            Some("see what slows this machine down; the same command goes on from here".into())
        }
        HostError::NameTaken { name, .. } => {
            Some(format!("give it another name than {name}, or rename that one first"))
        }
        HostError::ForeignData { directory, .. } => Some(format!("look into {directory} and move it away")),
        HostError::WentBack { hint, .. } => Some(hint.clone()),
        HostError::NotStarted { node, .. } => Some(format!("`octad logs {node}` tells what it said")),
        HostError::Backend(error) => error.hint(),
        HostError::NoSuchNode { .. }
        | HostError::Down { .. }
        | HostError::Unable { .. }
        | HostError::Incomplete { .. }
        | HostError::Io { .. } => None,
    }
}
