//! The systems of machines: built of the documents of their nodes by the user's flake, and brought to them.

use super::error::NixosError;
use super::options::NixosOptions;
use crate::artifact::Store;
use crate::host::Progress;
use crate::nix::{self, BuildError, BuildOptions, Closure, Documents, Evaluated, Locked, StorePath, Target};
use crate::tool::Environment;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Under which name machines keep what `up` brings them from their garbage collectors, until they run it.
const KEEP_AS: &str = "up";

/// The documents of all nodes of a machine, by node.
pub(super) type Together = BTreeMap<String, Value>;

/// A system that a machine has.
#[derive(Debug, Clone)]
pub(super) struct Brought {
    /// Of what it was made.
    pub(super) documents: Together,
    pub(super) system: StorePath,
    /// The sources that it was made of besides, where that is known.
    pub(super) sources: Option<String>,
}

/// Flakes as they were when they were first asked for: whatever becomes of their files, this process makes one thing of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Flakes(Arc<Mutex<BTreeMap<String, Arc<Locked>>>>);

impl Flakes {
    async fn locked(&self, named: &str) -> Result<Arc<Locked>, BuildError> {
        let mut known = self.0.lock().await;
        if let Some(locked) = known.get(named) {
            return Ok(locked.clone());
        }
        let locked = Arc::new(Locked::of(named).await?);
        known.insert(named.to_owned(), locked.clone());
        Ok(locked)
    }
}

/// Where systems come from, and how they are brought.
pub(super) struct Source<'a> {
    pub(super) options: &'a NixosOptions,
    pub(super) flakes: &'a Flakes,
    /// The stack's own directory, which tells its systems from those of another of that name.
    pub(super) site: &'a Path,
    pub(super) stack: &'a str,
    /// The addresses of hosts, by their names.
    pub(super) addresses: BTreeMap<String, String>,
}

impl Source<'_> {
    async fn locked(&self) -> Result<Arc<Locked>, BuildError> {
        self.flakes.locked(self.options.flake()).await
    }

    /// What tells what systems are made of beside documents from all else.
    pub(super) async fn sources(&self) -> Result<String, NixosError> {
        Ok(self.locked().await?.sources())
    }

    fn directory(&self) -> Result<PathBuf, NixosError> {
        let store = Store::locate(Environment::from_process())
            .map_err(|error| NixosError::NoPlace { said: error.to_string() })?;
        Ok(store.systems(self.site, self.stack))
    }

    /// What the systems of these hosts will be; nothing is built.
    pub(super) async fn foresee(
        &self,
        hosts: &Documents,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Evaluated>, NixosError> {
        let (flake, directory) = (self.locked().await?, self.directory()?);
        let build = BuildOptions { flake: &flake, directory: &directory, build_host: None };
        Ok(nix::evaluate(&build, hosts, &|message| progress(&message, 0, 0)).await?)
    }

    /// Builds the systems of these hosts; each is in this machine's store then.
    pub(super) async fn make(
        &self,
        hosts: &Documents,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Brought>, NixosError> {
        let (flake, directory) = (self.locked().await?, self.directory()?);
        let build_host = self.options.build_host.as_deref();
        let build = BuildOptions { flake: &flake, directory: &directory, build_host };
        let built = nix::build(&build, hosts, &|message| progress(&message, 0, 0)).await?;
        let made = built.into_iter().map(|(host, built)| {
            let documents = hosts.get(&host).cloned().unwrap_or_default();
            (host, Brought { documents, system: built.system, sources: Some(flake.sources()) })
        });
        Ok(made.collect())
    }

    /// Brings each of these systems to its host. What is there isn't brought again.
    pub(super) async fn bring(
        self,
        systems: &BTreeMap<String, Brought>,
        progress: &Progress,
    ) -> Result<(), NixosError> {
        let roots: Vec<StorePath> = systems.values().map(|one| one.system.clone()).collect();
        let target =
            |(host, one): (&String, &Brought)| Target { host: host.clone(), roots: vec![one.system.clone()] };
        let targets: Vec<Target> = systems.iter().map(target).collect();
        let closure = async {
            if let Some(key) = &self.options.sign_key {
                nix::sign(&roots, key).await?;
            }
            Closure::of(roots.clone()).await
        };
        let push = nix::Options {
            ssh: self.options.ssh(self.addresses),
            substitute: self.options.substitute,
            keep_as: KEEP_AS.to_owned(),
        };
        let tell = |host: &str, sent: nix::Sent| {
            if sent.of_bytes > 0 {
                progress(&format!("pushing the system of {host}"), sent.bytes, sent.of_bytes);
            }
        };
        let (_closure, pushed) = nix::push(&push, closure, &targets, &tell).await?;
        let mut failed = pushed.into_iter().filter_map(|one| Some((one.host, one.failure?)));
        match failed.next() {
            None => Ok(()),
            Some((host, source)) => {
                let others = failed.map(|(host, _)| host).collect();
                Err(NixosError::NotPushed { host, others, source })
            }
        }
    }
}
