//! `octad gate`: whether a node may be taken away now, for those who change hosts by other means.

use super::CliError;
use super::named::named;
use super::session::Session;
use crate::engine::{self, Context, NotSpared, Options, Spared, State};
use crate::output::Gate as Answer;
use crate::report::exit;
use crate::stack::{TopicName, ValidStack};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often a command that runs by leave of a gate is held against that leave.
const LOOK: Duration = Duration::from_secs(1);

/// Say whether a node may be taken away now, as `roll` would before it restarts it; exits with 10 where it may not, with 1
/// where that could not be asked
#[derive(Debug, Args)]
#[command(
    after_help = "It changes nothing, and what it says holds for the moment: the others of the node's group serve and can do \
                  without it, and nothing lacks a replica. A COMMAND is run where the node may be taken away, and its exit \
                  code is then the gate's; as long as it runs for a broker, no roll and no other gate gets leave to take one away.\n\n\
                  Examples:\n  octad gate broker-2\n  octad gate broker-2 --facts DIR --wait 5m -- colmena apply --on broker-2"
)]
pub(super) struct Gate {
    /// Which node
    node: String,
    /// Instead of a stack that is recorded here, the cluster that `octad facts --dir DIR` has written of, whoever made it
    #[arg(long, value_name = "DIR")]
    facts: Option<PathBuf>,
    /// Wait for so long until it may
    #[arg(long, default_value = "0s", hide_default_value = true, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Consent to interrupting this topic, which has no replica to spare, while a broker that holds it is away; may be
    /// repeated
    #[arg(long, value_name = "TOPIC")]
    interrupt: Vec<TopicName>,
    /// What takes it away
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Gate {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let (stack, state) = self.cluster(session)?;
        let members =
            || stack.groups.iter().flat_map(|(name, group)| group.members.iter().map(move |key| (name, key)));
        let node = named(&self.node, members().map(|(_, key)| key))?;
        let group = members().find(|(_, key)| **key == node).map_or("", |(group, _)| group);
        let context = session.context(&stack, &state)?;
        let options =
            Options { gate_timeout: self.wait, interrupt: session.interrupt().clone(), ..Options::default() };
        let interrupts = self.interrupt.iter().map(ToString::to_string).collect();
        let tell = |message| session.events().notice(message);
        loop {
            let spared = engine::spares(&context, &stack, group, &node, &interrupts, &options, &tell).await;
            let (refusal, code) = match spared {
                Ok(spared) if self.command.is_empty() => {
                    spared.release().await;
                    (None, exit::OK)
                }
                // It stood still after it had asked.
                Ok(spared) if spared.until.has_passed() => {
                    spared.release().await;
                    continue;
                }
                Ok(spared) => return self.run_by(spared, &context, session).await,
                Err(refusal @ (NotSpared::NotSafe(_) | NotSpared::Broken(_))) => {
                    (Some(refusal), exit::REFUSED)
                }
                Err(unknown) => return Err(unknown.into()),
            };
            session.output().gate(&Answer { node: &node.name, group, refusal });
            return Ok(code);
        }
    }

    /// Whether it is to run a command, which it doesn't leave before that has ended.
    pub(super) fn runs_a_command(&self) -> bool {
        !self.command.is_empty()
    }

    /// Runs the command with this leave, which is given back when it has ended. A ^C is for the command, which a terminal tells
    /// of it by itself; other requests to end are handed on.
    async fn run_by(&self, mut spared: Spared, context: &Context, session: &Session) -> Result<u8, CliError> {
        let (program, arguments) = self.command.split_first().expect("there is a command");
        let listen = |kind| {
            signal(kind).map_err(|source| CliError::Io { action: "listen for signals".into(), source })
        };
        let (mut term, mut hangup) = (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
        let mut child = match tokio::process::Command::new(program).args(arguments).spawn() {
            Ok(child) => child,
            Err(source) => {
                spared.release().await;
                return Err(CliError::Command { program: program.clone(), source });
            }
        };
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let hand_on = |signal| pid.map_or(Ok(()), |pid| kill_process(pid, signal));
        let mut lost = false;
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                Some(()) = term.recv() => drop(hand_on(Signal::TERM)),
                Some(()) = hangup.recv() => drop(hand_on(Signal::HUP)),
                () = tokio::time::sleep(LOOK) => {}
            }
            let held = spared.is_held();
            if !held && !lost {
                session.events().notice(format!(
                    "{}: others may get leave as well, until it is claimed again",
                    self.node
                ));
            }
            lost = !held && spared.hold(context).await.is_err();
            if !held && !lost {
                session.events().notice(format!("{} is claimed again", self.node));
            }
        };
        spared.release().await;
        let ended = ended.map_err(|source| CliError::Command { program: program.clone(), source })?;
        Ok(exit_code(ended))
    }

    /// The cluster that the node is of.
    fn cluster(&self, session: &Session) -> Result<(ValidStack, State), CliError> {
        let (name, state) = match &self.facts {
            None => {
                let name = session.stack_name()?;
                let state = session.existing_state(&name)?;
                (name, state)
            }
            Some(directory) => session.described(directory)?,
        };
        Ok((state.as_stack(name), state))
    }
}

/// As a shell has it.
fn exit_code(ended: ExitStatus) -> u8 {
    let code = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(exit::FAILED)
}
