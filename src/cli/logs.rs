//! `octad logs`: what nodes say.

use super::CliError;
use super::session::Session;
use crate::host::LogQuery;
use crate::model::{Key, NodeFacts};
use crate::report::exit;
use crate::resource::{NodeKind, Surroundings as _};
use crate::stack::ValidStack;
use clap::Args;
use std::time::{Duration, SystemTime};

/// Show what nodes say
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad logs broker-1\n  octad logs -f --since 5m\n  octad logs zk-1 --tail 20"
)]
pub(super) struct Logs {
    /// The nodes; all where none is named
    nodes: Vec<String>,
    /// Go on with what they say from now on
    #[arg(long, short)]
    follow: bool,
    /// Only lines from this time on, such as 5m or 1h30m ago
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// At most this many lines of each node
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<usize>,
}

impl Logs {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let state = session.existing_state(&name)?;
        let known: Vec<&Key> = state.resources.keys().filter(|key| key.kind == NodeKind::NAME).collect();
        for wanted in &self.nodes {
            if !known.iter().any(|key| key.name == *wanted) {
                let names: Vec<_> = known.iter().map(|key| key.name.as_str()).collect();
                return Err(CliError::Usage {
                    message: format!("the stack {name} has no node `{wanted}`"),
                    hint: format!("it has: {}", names.join(", ")),
                });
            }
        }
        let chosen: Vec<&Key> =
            known.into_iter().filter(|key| self.nodes.is_empty() || self.nodes.contains(&key.name)).collect();
        let context = session.context(&ValidStack::empty(name), &state)?;
        let query = LogQuery {
            since: self.since.and_then(|ago| SystemTime::now().checked_sub(ago)),
            tail: self.tail,
            follow: self.follow,
        };
        let width = chosen.iter().map(|key| key.name.len()).max().unwrap_or(0);
        let (sender, mut lines) = tokio::sync::mpsc::channel(64);
        let several = chosen.len() > 1;
        for key in chosen {
            let Ok(facts) = NodeFacts::of(&state.resources[key].inputs) else {
                continue;
            };
            let host = context.host(&facts.host.key()).map_err(CliError::Prepare)?;
            let mut log = match host.logs(&key.name, query).await {
                Ok(log) => log,
                // The others may have what one looks for.
                Err(error) if several => {
                    let why = crate::causes::with_causes(&error);
                    session.events().notice(format!("nothing of {}: {why}", key.name));
                    continue;
                }
                Err(error) => return Err(CliError::Prepare(error.into())),
            };
            let (sender, node) = (sender.clone(), key.name.clone());
            tokio::spawn(async move {
                while let Some(line) = log.recv().await {
                    if sender.send((node.clone(), line)).await.is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        if self.follow {
            loop {
                tokio::select! {
                    line = lines.recv() => match line {
                        Some((node, line)) => session.output().log(&node, width, &line),
                        None => break,
                    },
                    () = session.interrupt().wait() => break,
                }
            }
        } else {
            let mut all = Vec::new();
            while let Some(line) = lines.recv().await {
                all.push(line);
            }
            all.sort_by_key(|(_, line)| line.at);
            for (node, line) in all {
                session.output().log(&node, width, &line);
            }
        }
        Ok(exit::OK)
    }
}
