//! `octad rollback`: has machines run what they ran before.

use super::change::{self, Terms};
use super::session::Session;
use super::{Changing, CliError, Consent};
use crate::engine::{Intent, State, Systems};
use crate::host::{Generation, Past};
use crate::model::{Deployment, HostInputs, Key, NodeFacts};
use crate::report::exit;
use crate::resource::{KindError, NodeKind, Surroundings as _};
use crate::stack::ValidStack;
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Have machines run what they ran before, one at a time where a server begins anew with that
#[derive(Debug, Args)]
#[command(
    after_help = "The stack file and the flake stay as they are: the next `octad up` brings what they say again.\n\n\
                  Examples:\n  octad rollback broker-1\n  octad rollback broker-1 12\n  octad rollback --wave --yes"
)]
pub(super) struct Rollback {
    /// The machine
    #[arg(value_name = "HOST", required_unless_present = "wave")]
    host: Option<String>,
    /// The number of its generation, as `nixos-rebuild list-generations` on it has them [default: what it ran before]
    #[arg(value_name = "GENERATION")]
    generation: Option<u64>,
    /// All machines that the last run changed, each to what it ran before
    #[arg(long, conflicts_with_all = ["host", "generation"])]
    wave: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    changing: Changing,
}

impl Rollback {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let state = session.existing_state(&name)?;
        let stack = state.as_stack(name);
        let back = self.chosen(session, &stack, &state).await?;
        let told: Vec<String> = back.iter().map(|(host, to)| told(host, to)).collect();
        session.events().notice(format!("back to {}", told.join("; ")));
        let instead = documents(&stack, &back)?;
        let stack = stack.with_instead(&instead);
        let systems = back.into_iter().map(|(host, to)| (host, to.system)).collect();
        let intent = Intent { systems: Systems::AsTheyRun(systems), ..self.consent.intent() };
        let terms = Terms { intent, ..Terms::default() };
        let question = |_: &_| format!("Take these machines of the stack {} back?", stack.name());
        let done = change::change(session, "rollback", &stack, &self.changing, &terms, question).await?;
        let state = session.existing_state(stack.name())?;
        session.output().ready(&state, done.changed, done.left_out, &session.invocation());
        Ok(exit::OK)
    }

    /// The hosts that go back, and to what.
    async fn chosen(
        &self,
        session: &Session,
        stack: &ValidStack,
        state: &State,
    ) -> Result<BTreeMap<Key, Generation>, CliError> {
        let context = session.context(stack, state)?;
        let all = stack.resources.keys().filter(|key| key.kind == HostInputs::KIND);
        let hosts: Vec<&Key> =
            all.clone().filter(|key| self.host.as_ref().is_none_or(|host| key.name == *host)).collect();
        if hosts.is_empty() {
            let known: Vec<&str> = all.map(|key| key.name.as_str()).collect();
            return Err(CliError::Usage {
                message: format!(
                    "the stack {} has no host `{}`",
                    stack.name(),
                    self.host.as_deref().unwrap_or_default()
                ),
                hint: format!("it has: {}", known.join(", ")),
            });
        }
        let looks = hosts.into_iter().map(async |key| {
            let past = context.host(key)?.past().await?;
            Ok::<_, KindError>((key.clone(), past))
        });
        let pasts: BTreeMap<Key, Past> =
            try_join_all(looks).await.map_err(CliError::Prepare)?.into_iter().collect();
        let last = pasts.values().filter_map(|past| past.wave).max();
        let concerned =
            pasts.into_iter().filter(|(_, past)| !self.wave || (last.is_some() && past.wave == last));
        let back: BTreeMap<Key, Generation> = concerned
            .map(|(key, past)| Ok((key.clone(), self.to(&key, &past)?)))
            .collect::<Result<_, CliError>>()?;
        if back.is_empty() {
            return Err(CliError::Usage {
                message: "no machine tells that a run of octad changed it to what it runs".into(),
                hint: "name the machine: `octad rollback HOST`".into(),
            });
        }
        Ok(back)
    }

    /// To what a host goes back.
    fn to(&self, key: &Key, past: &Past) -> Result<Generation, CliError> {
        let found = match self.generation {
            Some(number) => past.all.iter().find(|one| one.number == number),
            None => past.before(),
        };
        found.cloned().ok_or_else(|| CliError::Usage {
            message: match self.generation {
                Some(number) => format!("{} has no generation {number}", key.name),
                None => format!("{} has nothing that it ran before", key.name),
            },
            hint: match past.all.as_slice() {
                [] => "only machines that NixOS runs can go back to what they ran before".into(),
                all => format!(
                    "it has: {}",
                    all.iter().map(|one| one.number.to_string()).collect::<Vec<_>>().join(", ")
                ),
            },
        })
    }
}

/// For people.
fn told(host: &Key, to: &Generation) -> String {
    let since = humantime::format_rfc3339_seconds(to.since);
    let age = SystemTime::now().duration_since(to.since).unwrap_or_default().as_secs();
    let age = humantime::format_duration(std::time::Duration::from_secs(age - age % 60));
    format!("generation {} of {}, of {since} ({age} ago)", to.number, host.name)
}

/// What the nodes on these hosts are by what they go back to.
fn documents(stack: &ValidStack, back: &BTreeMap<Key, Generation>) -> Result<BTreeMap<Key, Value>, CliError> {
    let mut documents = BTreeMap::new();
    for (host, to) in back {
        let on_it = |inputs: &Value| NodeFacts::of(inputs).is_ok_and(|facts| facts.host.key() == *host);
        let known =
            stack.resources.iter().filter(|(key, one)| key.kind == NodeKind::NAME && on_it(&one.inputs));
        let known: Vec<&Key> = known.map(|(key, _)| key).collect();
        let strange = to.documents.keys().find(|node| !known.iter().any(|key| key.name == **node));
        let lacks = known.iter().map(|key| &key.name).find(|name| !to.documents.contains_key(*name));
        let refused = |how: String| CliError::Usage {
            message: format!("generation {} of {} {how}", to.number, host.name),
            hint: "a server is made or removed by the stack file and `octad up`".into(),
        };
        if let Some(node) = strange {
            return Err(refused(format!("runs {node}, which the stack has no longer")));
        }
        if let Some(node) = lacks {
            return Err(refused(format!("doesn't run {node}, which is there by now")));
        }
        for key in known {
            let document = Deployment::of(&to.documents[&key.name]).ok().flatten();
            let document = document
                .ok_or_else(|| refused(format!("tells of {} in a form that is not known", key.name)))?;
            documents.insert(key.clone(), json!(document));
        }
    }
    Ok(documents)
}
