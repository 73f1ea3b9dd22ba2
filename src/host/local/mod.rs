//! Local hosts: processes on this machine. Each host is a directory with a supervisor of its own, and an address at
//! which its nodes listen on their standard ports: within 127.0.0.0/8, or private in a network namespace of its own.

mod disk;
mod generation;
mod layout;
mod machine;
mod network;
mod options;
mod ports;
mod program;

use super::{Backend, Host, HostError, Identity, Progress};
use crate::artifact::{ArtifactSet, ClassPath, Java, Store, archive_path};
use crate::model::{Deployment, HostInputs, Options};
use crate::tool::{self, Environment, Lack, Tool};
use async_trait::async_trait;
use machine::Machine;
pub use options::{Isolation, LocalOptions};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::UNIX_EPOCH;
use tokio::sync::{Mutex, OnceCell};

/// Local hosts.
#[derive(Debug, Clone, Default)]
pub struct LocalBackend {
    software: Arc<SoftwareOnHand>,
}

/// What this machine has to run nodes with. Looked up once per run.
#[derive(Debug, Default)]
struct SoftwareOnHand {
    /// The program that `supervise` is run with; this one where `None`.
    program: Option<PathBuf>,
    /// Held while a host takes a program over: two of its nodes may want it.
    keeping: std::sync::Mutex<()>,
    java: OnceCell<Java>,
    class_paths: Mutex<BTreeMap<(String, String), ClassPath>>,
}

impl LocalBackend {
    /// The backend's name.
    pub const NAME: &'static str = "local";

    /// Local hosts whose supervisors run `program supervise`, for programs that can't do so themselves, such as tests.
    pub fn supervised_by(program: &Path) -> Self {
        Self {
            software: Arc::new(SoftwareOnHand { program: Some(program.to_owned()), ..Default::default() }),
        }
    }
}

impl SoftwareOnHand {
    fn program(&self) -> std::io::Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?,
        };
        // Rebuilt while it runs, the file at its path is another or none; the kernel still has the one that runs.
        Ok(if program.exists() { program } else { PathBuf::from("/proc/self/exe") })
    }

    /// The same program as the host at `directory` keeps it, for what runs beside its nodes: where Octad is built anew,
    /// moved or removed, the host goes on with the one that set it up. A link where one file system has both, else a copy.
    fn keep(&self, directory: &Path) -> std::io::Result<PathBuf> {
        let own = PathBuf::from("/proc/self/exe");
        let source = self.program.as_ref().unwrap_or(&own);
        let found = fs::metadata(source)?;
        let written = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let kept = layout::kept(directory, &format!("{:x}-{:x}", found.len(), written.as_nanos()));
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.exists() {
            return Ok(kept);
        }
        let fresh = kept.with_extension("new");
        let _ = fs::remove_file(&fresh);
        // Where it was built anew while it runs, another lies at its path.
        let path = fs::canonicalize(source).unwrap_or_default();
        let lies_there =
            fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (found.dev(), found.ino()));
        if !(lies_there && fs::hard_link(&path, &fresh).is_ok()) {
            fs::copy(source, &fresh)?;
            // What is kept stays for good, and half a program after a loss of power would too.
            fs::File::open(&fresh)?.sync_all()?;
        }
        fs::rename(&fresh, &kept)?;
        Ok(kept)
    }

    fn store(&self) -> Result<Store, HostError> {
        Ok(Store::locate(Environment::from_process())?)
    }

    async fn java(&self) -> Result<&Java, HostError> {
        Ok(self.java.get_or_try_init(|| async { Java::find(&Environment::from_process()).await }).await?)
    }

    async fn class_path(
        &self,
        name: &str,
        version: &str,
        progress: &Progress,
    ) -> Result<ClassPath, HostError> {
        let key = (name.to_owned(), version.to_owned());
        let mut found = self.class_paths.lock().await;
        if let Some(class_path) = found.get(&key) {
            return Ok(class_path.clone());
        }
        let set = ArtifactSet::find(name, version)?;
        let store = self.store()?;
        let what = format!("fetching {set}");
        // Jars that are all in place are told of nowhere.
        let tell = |step: crate::artifact::Progress| progress(&what, step.done as u64, step.total as u64);
        let class_path = store.resolve(set, &tell).await?;
        found.insert(key, class_path.clone());
        Ok(class_path)
    }

    /// Where the class-data archive of a role with these options is or will be; `None` for software of which no list of
    /// classes is known.
    async fn archive(
        &self,
        deployment: &Deployment,
        options: &[String],
    ) -> Result<Option<PathBuf>, HostError> {
        let software = &deployment.facts.software;
        let set = ArtifactSet::find(&software.name, &software.version)?;
        if set.classes().is_empty() {
            return Ok(None);
        }
        let store = self.store()?;
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Ok(Some(archive_path(&store, self.java().await?, set, &deployment.facts.role, &options)))
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
        let mut lacking = Vec::new();
        if all.iter().any(|deployment| deployment.facts.jvm.is_some())
            && let Err(HostError::Java(error)) = self.software.java().await
        {
            lacking.extend(error.lack(&Environment::from_process()));
        }
        let Ok(store) = self.software.store() else { return lacking };
        let software = all.iter().map(|deployment| &deployment.facts.software);
        let mut sets = software.filter_map(|one| ArtifactSet::find(&one.name, &one.version).ok());
        if let Some(why) = sets.find_map(|set| store.lacks_maven(set)) {
            lacking.push(Lack { tool: Tool::named(tool::MAVEN), why: why.to_string() });
        }
        lacking
    }

    async fn stage(
        &self,
        starting: &[(Arc<dyn Host>, Deployment)],
        all: &[Deployment],
        progress: &Progress,
    ) -> Result<(), HostError> {
        for (_, deployment) in starting.iter().filter(|(host, _)| host.shares_address()) {
            ports::check_free(&deployment.facts)?;
        }
        if all.iter().any(|deployment| deployment.facts.jvm.is_some()) {
            self.software.java().await?;
        }
        for deployment in all {
            let software = &deployment.facts.software;
            self.software.class_path(&software.name, &software.version, progress).await?;
        }
        Ok(())
    }
}
