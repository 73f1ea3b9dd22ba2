//! `octad build`: the NixOS systems of the declared hosts.

use super::CliError;
use super::session::Session;
use crate::artifact::Store;
use crate::model::Deployment;
use crate::nix::{self, BuildOptions, Documents, Locked};
use crate::report::exit;
use crate::resource::NodeKind;
use crate::stack::Name;
use crate::tool::Environment;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Build the NixOS systems of the declared hosts by a flake, with what the stack file says now; reaches no host
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  octad --stack prod build
  octad --stack prod build broker-1 broker-2 --flake ./machines
  octad push --to broker-1 $(octad --stack prod build broker-1)")]
pub(super) struct Build {
    /// Only these hosts
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// The flake, as Nix takes it; its output `octad`, or the one after a `#`, makes systems of documents
    #[arg(long, default_value = ".", value_name = "FLAKE[#OUTPUT]")]
    flake: String,
    /// Have this machine build, over SSH as root, in place of this one
    #[arg(long, value_name = "HOST")]
    build_host: Option<String>,
    /// Where links keep what was built from this machine's garbage collector [default: one below
    /// systems/ in the cache directory that jars are kept in]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Build {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        tokio::select! {
            biased;
            () = session.interrupt().wait() => Err(CliError::BuildInterrupted),
            result = self.build(session) => result,
        }
    }

    async fn build(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        let mut hosts = Documents::new();
        for (key, declared) in stack.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME) {
            let deployment: Deployment =
                session.registry().deployment(key, &declared.inputs).map_err(CliError::Facts)?;
            let host = deployment.facts.host.name.clone();
            hosts.entry(host).or_default().insert(key.name.clone(), json!(deployment));
        }
        if let Some(unknown) = self.hosts.iter().find(|host| !hosts.contains_key(*host)) {
            let known: Vec<&str> = hosts.keys().map(String::as_str).collect();
            return Err(CliError::Usage {
                message: format!("the stack {} has no host `{unknown}`", stack.name()),
                hint: format!("it has: {}", known.join(", ")),
            });
        }
        if !self.hosts.is_empty() {
            hosts.retain(|host, _| self.hosts.contains(host));
        }
        let directory = self.out.clone().map_or_else(|| systems_of(session, stack.name()), Ok)?;
        let flake = Locked::of(&self.flake).await?;
        let options =
            BuildOptions { flake: &flake, directory: &directory, build_host: self.build_host.as_deref() };
        let events = session.events();
        let built = nix::build(&options, &hosts, &|message| events.notice(message)).await?;
        session.output().built(&built);
        Ok(exit::OK)
    }
}

/// Where the systems of a stack are kept, where nothing else is said: what is there may be deleted, and is made again.
fn systems_of(session: &Session, stack: &Name) -> Result<PathBuf, CliError> {
    let site = session.site(stack)?;
    let store = Store::locate(Environment::from_process()).map_err(|error| CliError::Usage {
        message: error.to_string(),
        hint: "say with `--out` where links to what is built are to be".into(),
    })?;
    Ok(store.systems(&site, stack.as_ref()))
}
