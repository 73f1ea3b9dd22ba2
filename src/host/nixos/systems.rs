//! The systems of machines: built of the documents of their nodes by the user's flake, and brought to them.

use super::error::NixosError;
use super::options::NixosOptions;
use crate::artifact::Store;
use crate::host::Progress;
use crate::nix::{self, BuildOptions, Closure, Documents, StorePath, Target};
use crate::tool::Environment;
use std::collections::BTreeMap;
use std::path::Path;

/// Under which name machines keep what `up` brings them from their garbage collectors, until they run it.
const KEEP_AS: &str = "up";

/// Where systems come from, and how they are brought.
pub(super) struct Source<'a> {
    pub(super) options: &'a NixosOptions,
    /// The stack's own directory, which tells its systems from those of another of that name.
    pub(super) site: &'a Path,
    pub(super) stack: &'a str,
    /// The addresses of hosts, by their names.
    pub(super) addresses: BTreeMap<String, String>,
}

impl Source<'_> {
    /// Builds the systems of these hosts, and brings each to its host. What is there is neither built nor brought again.
    pub(super) async fn bring(
        self,
        hosts: &Documents,
        progress: &Progress,
    ) -> Result<BTreeMap<String, StorePath>, NixosError> {
        let store = Store::locate(Environment::from_process())
            .map_err(|error| NixosError::NoPlace { said: error.to_string() })?;
        let build = BuildOptions {
            flake: self.options.flake(),
            directory: &store.systems(self.site, self.stack),
            build_host: self.options.build_host.as_deref(),
        };
        let built = nix::build(&build, hosts, &|message| progress(&message, 0, 0)).await?;
        let systems: BTreeMap<String, StorePath> =
            built.into_iter().map(|(host, built)| (host, built.system)).collect();
        let roots: Vec<StorePath> = systems.values().cloned().collect();
        let target = |(host, system): (&String, &StorePath)| Target {
            host: host.clone(),
            roots: vec![system.clone()],
        };
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
            None => Ok(systems),
            Some((host, source)) => {
                let others = failed.map(|(host, _)| host).collect();
                Err(NixosError::NotPushed { host, others, source })
            }
        }
    }
}
