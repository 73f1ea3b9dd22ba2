//! `octad gate`: whether a node may be taken away now, for those who change hosts by other means.

use super::CliError;
use super::named::named;
use super::session::Session;
use crate::engine::{self, NotSpared, Options, State};
use crate::output::Gate as Answer;
use crate::report::exit;
use crate::stack::{TopicName, ValidStack};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Say whether a node may be taken away now, as `roll` would before it restarts it; exits with 10 where it may not, with 1
/// where that could not be asked
#[derive(Debug, Args)]
#[command(
    after_help = "It changes nothing, and what it says holds for the moment: the others of the node's group serve and can do \
                  without it, and nothing lacks a replica.\n\n\
                  Examples:\n  octad gate broker-2\n  octad gate broker-2 --facts DIR --wait 5m && colmena apply --on broker-2"
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
        let spared = engine::spares(&context, &stack, group, &node, &interrupts, &options, &tell).await;
        let refusal = match spared {
            Ok(()) => None,
            Err(refusal @ (NotSpared::NotSafe(_) | NotSpared::Broken(_))) => Some(refusal),
            Err(unknown) => return Err(unknown.into()),
        };
        let may = refusal.is_none();
        session.output().gate(&Answer { node: &node.name, group, refusal });
        Ok(if may { exit::OK } else { exit::REFUSED })
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
