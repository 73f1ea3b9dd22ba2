//! One local host.

mod data;
mod drill;
mod unit;

use super::disk::Disk;
use super::error::LocalError;
use super::network::{self, Network};
use super::program::may_administer;
use super::software::SoftwareOnHand;
use super::{Isolation, LocalOptions, generation, layout};
use crate::artifact::ArtifactSet;
use crate::clock::Until;
use crate::host::{Drillable, Host, HostError, LogLine, LogQuery, NodeObservation, RunState};
use crate::model::{Deployment, HostInputs};
use crate::supervisor::{
    Ending, Exit, LogFollower, RefusalCode, Supervisor, SupervisorError, UnitName, UnitState, rename_logs,
    unit_logs,
};
use crate::tool::{self, Lack};
use async_trait::async_trait;
use data::rename_marker;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use unit::{CLASSES, prepare_archive, run_state};

pub(super) struct Machine {
    name: String,
    directory: PathBuf,
    address: Ipv4Addr,
    /// The network of its own, where it is kept apart.
    network: Option<Network>,
    /// The size of each node's disk, where it has one of its own.
    disk_mib: Option<u32>,
    software: Arc<SoftwareOnHand>,
}

impl Machine {
    pub(super) fn new(
        site: &Path,
        name: &str,
        inputs: &HostInputs,
        software: Arc<SoftwareOnHand>,
    ) -> Result<Self, HostError> {
        let address = inputs.address.ok_or_else(|| HostError::Incomplete {
            subject: format!("the local host {name}"),
            missing: "an address".into(),
        })?;
        let directory = layout::host(site, name);
        let options = LocalOptions::read(&inputs.options).map_err(|error| HostError::Incomplete {
            subject: format!("the local host {name}"),
            missing: format!("options that can be read ({error})"),
        })?;
        let network = match options.isolation {
            Isolation::None => None,
            Isolation::Netns => Some(Network::of(&directory, name, address)),
        };
        Ok(Self { name: name.to_owned(), directory, address, network, disk_mib: options.disk_mib, software })
    }

    fn disk(&self, node: &str) -> Disk {
        Disk::of(&layout::node(&self.directory, node), layout::data(&self.directory, node))
    }

    /// The disks of all nodes that have one.
    fn disks(&self) -> Vec<Disk> {
        let nodes = fs::read_dir(layout::nodes(&self.directory)).into_iter().flatten().flatten();
        let disks = nodes.map(|node| self.disk(&node.file_name().to_string_lossy()));
        disks.filter(Disk::exists).collect()
    }

    /// The tools of this machine that it takes and that aren't there.
    fn lacks_tools(&self) -> Vec<Lack> {
        // Who has not the right to use them is not helped by having them.
        if !may_administer() {
            return Vec::new();
        }
        let wanted = |wanted, tools: &[&'static str]| if wanted { tools.to_vec() } else { Vec::new() };
        let network = wanted(self.network.is_some(), &[tool::IP, tool::NFT]);
        let disk = wanted(self.disk_mib.is_some(), &[tool::MKFS, tool::MOUNT]);
        tool::lacking(&[network, disk].concat())
    }

    fn failed(&self) -> impl Fn(SupervisorError) -> HostError + '_ {
        |source| LocalError::Supervisor { host: self.name.clone(), source }.into()
    }

    async fn connected(&self) -> Result<Option<Supervisor>, HostError> {
        if !self.directory.exists() {
            return Ok(None);
        }
        Supervisor::connect(&self.directory).await.map_err(self.failed())
    }

    async fn supervisor(&self) -> Result<Supervisor, HostError> {
        self.connected().await?.ok_or_else(|| HostError::Down { host: self.name.clone() })
    }

    /// The unit that runs a node of this name: the node's own name.
    fn unit(&self, node: &str) -> Result<UnitName, HostError> {
        UnitName::new(node)
            .map_err(|_| HostError::NoSuchNode { host: self.name.clone(), node: node.to_owned() })
    }

    /// The program that supervises, which has the verbs that run beside a node too.
    fn program(&self) -> Result<PathBuf, HostError> {
        let io = |source| HostError::Io { action: "find", path: "/proc/self/exe".into(), source };
        self.software.program().map_err(io)
    }
}

#[async_trait]
impl Host for Machine {
    async fn power(&self) -> Result<Option<bool>, HostError> {
        if !self.directory.exists() {
            return Ok(None);
        }
        Ok(Some(self.connected().await?.is_some()))
    }

    async fn check(&self) -> Result<(), HostError> {
        let wanted =
            [("isolation = \"netns\"", self.network.is_some()), ("disk-mib", self.disk_mib.is_some())];
        let Some((needs, _)) = wanted.into_iter().find(|(_, wanted)| *wanted) else { return Ok(()) };
        let (missing, hint) = match self.lacks_tools().as_slice() {
            _ if !may_administer() => (
                "the right to administer networks and mounts".to_owned(),
                "run it as root, or leave that away under [hosts]".to_owned(),
            ),
            [] => return Ok(()),
            lacks => (tool::names(lacks), tool::how_to_get(lacks)),
        };
        Err(LocalError::Lacking { host: self.name.clone(), needs, missing, hint }.into())
    }

    async fn lacking(&self) -> Result<Vec<Lack>, HostError> {
        Ok(self.lacks_tools())
    }

    fn shares_address(&self) -> bool {
        self.network.is_none()
    }

    async fn boot(&self) -> Result<String, HostError> {
        let io = |action| {
            let path = self.directory.display().to_string();
            move |source| HostError::Io { action, path, source }
        };
        fs::create_dir_all(&self.directory).map_err(io("create"))?;
        let program = self.program()?;
        // A machine's restart takes namespaces and mounts away.
        if let Some(network) = &self.network {
            network.attach().await?;
        }
        let mut mounted = false;
        for disk in self.disks() {
            mounted |= disk.mount().await?;
        }
        self.mend().await?;
        let namespace = self.network.as_ref().map(Network::namespace);
        let supervisor = Supervisor::ensure(&self.directory, &program, namespace.as_deref());
        let supervisor = supervisor.await.map_err(self.failed())?;
        if mounted {
            // What kept failing for want of its disk has it now, and begins anew.
            for unit in supervisor.status().await.map_err(self.failed())? {
                if matches!(unit.state, UnitState::Backoff { .. }) {
                    supervisor.start(&unit.name).await.map_err(self.failed())?;
                }
            }
        }
        Ok(self.address.to_string())
    }

    async fn node(&self, node: &str) -> Result<Option<NodeObservation>, HostError> {
        if !layout::node(&self.directory, node).exists() {
            return Ok(None);
        }
        let current = generation::current(&self.directory, node)?;
        let unit = self.unit(node)?;
        let status = match self.connected().await? {
            None => None,
            Some(supervisor) => {
                supervisor.status().await.map_err(self.failed())?.into_iter().find(|s| s.name == unit)
            }
        };
        let id = current.as_ref().map(|current| &current.id);
        let run = status.map_or(RunState::Stopped, |status| {
            run_state(&status.state, status.restarts, status.generation.as_ref() == id)
        });
        let (deployment, mut altered) =
            current.map_or((None, Vec::new()), |current| (Some(current.deployment), current.altered));
        if deployment.is_some() && self.is_moved(node, &unit) {
            altered.push("the directory".into());
        }
        let disk = self.disk(node);
        // What is on a disk that isn't mounted, or was shut down, is not lost: the next start mounts it.
        let away = || disk.exists() && (!disk.is_mounted() || disk.is_shut_down());
        let there = || layout::marker(&self.directory, node).exists() && !self.is_emptied(&unit);
        let data = away() || there() || self.is_stateless(&unit);
        Ok(Some(NodeObservation { deployment, altered, data, run }))
    }

    async fn nodes(&self) -> Result<BTreeSet<String>, HostError> {
        let directory = layout::nodes(&self.directory);
        let read = || -> io::Result<BTreeSet<String>> {
            let names =
                fs::read_dir(&directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            names.collect()
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            read => read.map_err(|source| HostError::Io {
                action: "read",
                path: directory.display().to_string(),
                source,
            }),
        }
    }

    async fn format(&self, deployment: &Deployment) -> Result<(), HostError> {
        self.format_data(deployment).await
    }

    async fn install(&self, deployment: &Deployment) -> Result<String, HostError> {
        let software = self.software.directory(&deployment.facts.software)?;
        let (id, place) = generation::install(&self.directory, deployment, &software)?;
        let spec = self.unit_spec(deployment, id.clone(), &place).await?;
        if let Some(archive) = &spec.archive {
            let software = &deployment.facts.software;
            let classes = ArtifactSet::find(&software.name, &software.version)?.classes();
            // Without it the node runs as well, only starts slower.
            let _ = prepare_archive(archive, &place.runtime.join(CLASSES), classes);
        }
        // What runs until its next start may be of the specification that goes now.
        let mut named = self.named_programs();
        spec.store(&self.directory, &self.unit(&deployment.facts.node)?).map_err(self.failed())?;
        named.append(&mut self.named_programs());
        self.forget_programs(&named);
        Ok(id)
    }

    async fn files(&self, node: &str) -> Result<BTreeMap<String, String>, HostError> {
        generation::files(&self.directory, node)
    }

    fn render(&self, deployment: &Deployment) -> BTreeMap<String, String> {
        // Where it isn't known where software lies, nothing can be installed either.
        let software = self.software.directory(&deployment.facts.software).unwrap_or_default();
        generation::render(&self.directory, deployment, &software)
    }

    async fn start(&self, node: &str) -> Result<(), HostError> {
        self.disk(node).mount().await?;
        let status = self.supervisor().await?.start(&self.unit(node)?).await.map_err(self.failed())?;
        match status.state {
            UnitState::Failed { reason }
            | UnitState::Backoff { last: Ending { exit: Exit::NotStarted { reason }, .. }, .. } => {
                Err(HostError::NotStarted { node: node.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }

    async fn stop(&self, node: &str, timeout: Duration, until: Option<Until>) -> Result<(), HostError> {
        let unit = self.unit(node)?;
        let Some(supervisor) = self.connected().await? else { return Ok(()) };
        let known = supervisor.status().await.map_err(self.failed())?;
        if let Some(status) = known.into_iter().find(|status| status.name == unit) {
            // An older supervisor knows of no limit.
            let runs = matches!(status.state, UnitState::Running { .. });
            if runs && until.is_some_and(Until::has_passed) {
                return Err(HostError::TooLate { node: node.to_owned() });
            }
            match supervisor.stop(&unit, Some(timeout), until).await {
                Err(SupervisorError::Refused { source, .. }) if source.code == RefusalCode::TooLate => {
                    return Err(HostError::TooLate { node: node.to_owned() });
                }
                stopped => drop(stopped.map_err(self.failed())?),
            }
        }
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        let (old, new) = (layout::node(&self.directory, from), layout::node(&self.directory, to));
        let (old_unit, new_unit) = (self.unit(from)?, self.unit(to)?);
        if old.exists() && new.exists() {
            let (host, node, name) = (self.name.clone(), from.to_owned(), to.to_owned());
            return Err(HostError::NameTaken { host, node, name });
        }
        self.supervisor().await?.remove(&old_unit).await.map_err(self.failed())?;
        rename_logs(&self.directory, &old_unit, &new_unit).map_err(self.failed())?;
        let rename = || -> io::Result<()> {
            if old.exists() {
                fs::rename(&old, &new)?;
            }
            rename_marker(&layout::marker(&self.directory, to), from, to)
        };
        rename().map_err(|source| HostError::Io { action: "rename", path: old.display().to_string(), source })
    }

    fn drillable(&self) -> Option<&dyn Drillable> {
        Some(self)
    }

    async fn remove(&self, node: &str) -> Result<(), HostError> {
        if let Some(supervisor) = self.connected().await? {
            supervisor.remove(&self.unit(node)?).await.map_err(self.failed())?;
        }
        self.disk(node).unmount().await?;
        remove_all(&layout::node(&self.directory, node))
    }

    async fn halt(&self) -> Result<(), HostError> {
        if let Some(supervisor) = self.connected().await? {
            supervisor.shutdown().await.map_err(self.failed())?;
        }
        for disk in self.disks() {
            disk.unmount().await?;
        }
        match &self.network {
            Some(network) => network.detach().await,
            None => Ok(()),
        }
    }

    async fn destroy(&self) -> Result<(), HostError> {
        self.halt().await?;
        remove_all(&self.directory)?;
        if let Some(parent) = self.directory.parent() {
            // The last host takes the directory of all hosts with it.
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }

    async fn logs(&self, node: &str, query: LogQuery) -> Result<mpsc::Receiver<LogLine>, HostError> {
        let unit = self.unit(node)?;
        let (sender, receiver) = mpsc::channel(64);
        let line = |line: crate::supervisor::LogLine| LogLine { at: line.at, text: line.text };
        if query.follow {
            let mut follower =
                LogFollower::new(&self.directory, &unit, query.since, query.tail).map_err(self.failed())?;
            tokio::spawn(async move {
                while let Ok(next) = follower.next().await {
                    if sender.send(line(next)).await.is_err() {
                        break;
                    }
                }
            });
        } else {
            let lines = unit_logs(&self.directory, &unit, query.since, query.tail).map_err(self.failed())?;
            tokio::task::spawn_blocking(move || {
                for next in lines.map_while(Result::ok) {
                    if sender.blocking_send(line(next)).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(receiver)
    }
}

/// Where a file is written before it is put in its place.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Who comes after a loss of power finds the file whole as well.
fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = unfinished(path);
    fs::write(&fresh, content)?;
    File::open(&fresh)?.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// A reader finds the file whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = unfinished(path);
    fs::write(&fresh, content)?;
    fs::rename(&fresh, path)
}

fn remove_all(directory: &Path) -> Result<(), HostError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HostError::Io { action: "remove", path: directory.display().to_string(), source: error })
        }
        _ => Ok(()),
    }
}
