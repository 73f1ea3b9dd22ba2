//! What nodes on this machine are run with: Octad itself, Java, jars, archives, and programs of the machine.

use crate::artifact::{
    ArtifactError, ArtifactSet, ClassPath, Installed, Java, JavaError, Store, archive_path,
};
use crate::host::{HostError, Progress};
use crate::model::{Deployment, Process, Software, Source};
use crate::tool::{self, Environment, Lack, Tool, is_executable};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;
use tokio::sync::{Mutex, OnceCell};

use super::layout;

/// What this machine has to run nodes with. Looked up once per run.
#[derive(Debug, Default)]
pub(super) struct SoftwareOnHand {
    /// The program that `supervise` is run with; this one where `None`.
    program: Option<PathBuf>,
    /// Where programs and the store are looked for; this process' own where `None`.
    environment: Option<Environment>,
    /// Held while a host takes a program over: two of its nodes may want it.
    keeping: std::sync::Mutex<()>,
    java: OnceCell<Java>,
    class_paths: Mutex<BTreeMap<Software, ClassPath>>,
    /// By software and name.
    executables: Mutex<BTreeMap<(Software, String), PathBuf>>,
}

impl SoftwareOnHand {
    /// What hosts have whose supervisors run `program supervise`.
    pub(super) fn supervised_by(program: &Path) -> Self {
        Self { program: Some(program.to_owned()), ..Self::default() }
    }

    /// The same, with these variables in place of this process' own.
    pub(super) fn in_environment(self, environment: Environment) -> Self {
        Self { environment: Some(environment), ..self }
    }

    fn environment(&self) -> Environment {
        self.environment.clone().unwrap_or_else(Environment::from_process)
    }

    /// The program that `supervise` is run with.
    pub(super) fn program(&self) -> std::io::Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?,
        };
        // Rebuilt while it runs, the file at its path is another or none; the kernel still has the one that runs.
        Ok(if program.exists() { program } else { PathBuf::from("/proc/self/exe") })
    }

    /// The same program as the host at `directory` keeps it, for what runs beside its nodes: where Octad is built anew,
    /// moved or removed, the host goes on with the one that set it up. A link where one file system has both, else a copy.
    pub(super) fn keep(&self, directory: &Path) -> std::io::Result<PathBuf> {
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
        Ok(Store::locate(self.environment())?)
    }

    pub(super) async fn java(&self) -> Result<&Java, JavaError> {
        self.java.get_or_try_init(|| async { Java::find(&self.environment()).await }).await
    }

    /// The class path of a set of jars, each of them checked once per run.
    pub(super) async fn class_path(
        &self,
        software: &Software,
        progress: &Progress,
    ) -> Result<ClassPath, HostError> {
        let mut found = self.class_paths.lock().await;
        if let Some(class_path) = found.get(software) {
            return Ok(class_path.clone());
        }
        let set = ArtifactSet::find(&software.name, &software.version)?;
        let store = self.store()?;
        let what = format!("fetching {set}");
        // Jars that are all in place are told of nowhere.
        let tell = |step: crate::artifact::Progress| progress(&what, step.done as u64, step.total as u64);
        let class_path = store.resolve(set, &tell).await?;
        found.insert(software.clone(), class_path.clone());
        Ok(class_path)
    }

    /// Where the class-data archive of a role with these options is or will be; `None` for software of which no list of
    /// classes is known.
    pub(super) async fn archive(
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

    /// Where a node's software lies, where it is an archive; nowhere else it lies in one place.
    pub(super) fn directory(&self, software: &Software) -> Result<PathBuf, HostError> {
        match &software.source {
            Source::Archive { url, sha256, strip } => Ok(self.store()?.software(url, sha256, *strip)?),
            Source::Jars { .. } | Source::Installed { .. } => Ok(PathBuf::new()),
        }
    }

    /// The file that a node's program is, its software checked once per run.
    pub(super) async fn executable(
        &self,
        software: &Software,
        executable: &str,
        progress: &Progress,
    ) -> Result<PathBuf, HostError> {
        let key = (software.clone(), executable.to_owned());
        let mut found = self.executables.lock().await;
        if let Some(path) = found.get(&key) {
            return Ok(path.clone());
        }
        let path = match &software.source {
            Source::Archive { url, sha256, strip } => {
                let what = format!("fetching {}", software.wanted());
                let tell = |come, length: Option<u64>| progress(&what, come, length.unwrap_or(come));
                let directory = self.store()?.unpack(url, sha256, *strip, &tell).await?;
                let path = directory.join(executable);
                if !is_executable(&path) {
                    let (url, executable) = (url.clone(), executable.to_owned());
                    return Err(ArtifactError::NotWithin { url, executable }.into());
                }
                path
            }
            Source::Installed { .. } => {
                Installed::find(&self.environment(), executable, software).await?.path
            }
            Source::Jars { .. } => {
                return Err(HostError::Incomplete {
                    subject: software.wanted(),
                    missing: format!("jars hold no program {executable}"),
                });
            }
        };
        found.insert(key, path.clone());
        Ok(path)
    }

    /// Has all there that a node is run with; each is fetched or found, and checked, once per run.
    pub(super) async fn ready(&self, deployment: &Deployment, progress: &Progress) -> Result<(), HostError> {
        let software = &deployment.facts.software;
        match &deployment.process {
            Process::Java { .. } => {
                self.java().await?;
                self.class_path(software, progress).await.map(drop)
            }
            Process::Program { executable, .. } => {
                self.executable(software, executable, progress).await.map(drop)
            }
        }
    }

    /// What this machine lacks to run these nodes with.
    pub(super) async fn lacking(&self, all: &[Deployment]) -> Vec<Lack> {
        let mut lacking = Vec::new();
        let environment = self.environment();
        let is_java = |deployment: &&Deployment| matches!(deployment.process, Process::Java { .. });
        if all.iter().any(|deployment| is_java(&deployment))
            && let Err(error) = self.java().await
        {
            lacking.extend(error.lack(&environment));
        }
        for deployment in all {
            if let Process::Program { executable, .. } = &deployment.process
                && let software @ Software { source: Source::Installed { .. }, .. } =
                    &deployment.facts.software
                && let Err(error) = Installed::find(&environment, executable, software).await
            {
                let lack = error.lack().filter(|lack| !lacking.contains(lack));
                lacking.extend(lack);
            }
        }
        let Ok(store) = self.store() else { return lacking };
        let software = all.iter().filter(is_java).map(|deployment| &deployment.facts.software);
        let mut sets = software.filter_map(|one| ArtifactSet::find(&one.name, &one.version).ok());
        if let Some(why) = sets.find_map(|set| store.lacks_maven(set)) {
            lacking.push(Lack { tool: Tool::named(tool::MAVEN), why: why.to_string() });
        }
        lacking
    }
}
