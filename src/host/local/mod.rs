//! Local hosts: processes on this machine. Each host is a directory with a supervisor of its own, and an address at
//! which its nodes listen on their standard ports: within 127.0.0.0/8, or private in a network namespace of its own.

mod disk;
mod error;
mod generation;
mod layout;
mod machine;
mod network;
mod options;
mod ports;
mod program;
mod software;

use super::{Backend, Host, HostError, Identity, Progress, Staging};
use crate::model::{Deployment, HostInputs, Options};
use crate::tool::{Environment, Lack};
use async_trait::async_trait;
use machine::Machine;
pub use options::{Isolation, LocalOptions};
use software::SoftwareOnHand;
use std::path::Path;
use std::sync::Arc;

/// Local hosts.
#[derive(Debug, Clone, Default)]
pub struct LocalBackend {
    software: Arc<SoftwareOnHand>,
}

impl LocalBackend {
    /// The backend's name.
    pub const NAME: &'static str = "local";

    /// Local hosts whose supervisors run `program supervise`, for programs that can't do so themselves, such as tests.
    pub fn supervised_by(program: &Path) -> Self {
        Self::supervised_in(program, Environment::from_process())
    }

    /// The same, which looks for software as these variables have it.
    pub fn supervised_in(program: &Path, environment: Environment) -> Self {
        let software = SoftwareOnHand::supervised_by(program).in_environment(environment);
        Self { software: Arc::new(software) }
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn host(
        &self,
        site: &Path,
        name: &str,
        inputs: &HostInputs,
        _identity: Identity<'_>,
    ) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(Machine::new(site, name, inputs, self.software.clone())?))
    }

    fn check_options(&self, options: &Options) -> Result<(), (String, String)> {
        let known = "local hosts have `isolation` and `disk-mib`";
        LocalOptions::read(options).map(drop).map_err(|error| (error.to_string(), known.into()))
    }

    fn shared_disk(&self, site: &Path) -> Option<u64> {
        // Before the first `up` it isn't there.
        let there = site.ancestors().find(|path| path.exists())?;
        let found = rustix::fs::statvfs(there).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    async fn lacking(&self, all: &[Deployment]) -> Vec<Lack> {
        self.software.lacking(all).await
    }

    async fn stage(&self, hosts: &[Staging], progress: &Progress) -> Result<(), HostError> {
        for Staging { host, nodes, others: _, starting, may_format: _, may_lock_out: _ } in hosts {
            for Deployment { facts, .. } in nodes.iter().filter(|_| host.shares_address()) {
                if starting.contains(&facts.node) {
                    ports::check_free(facts)?;
                }
            }
        }
        for deployment in hosts.iter().flat_map(|staging| &staging.nodes) {
            self.software.ready(deployment, progress).await?;
        }
        Ok(())
    }
}
