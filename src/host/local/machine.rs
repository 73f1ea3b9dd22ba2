//! One local host.

mod drill;

use super::disk::{self, Disk};
use super::error::LocalError;
use super::network::{self, Network};
use super::program::may_administer;
use super::software::SoftwareOnHand;
use super::{Isolation, LocalOptions, generation, layout};
use crate::artifact::ArtifactSet;
use crate::clock::{self, Until};
use crate::host::{Drillable, Host, HostError, LogLine, LogQuery, NodeObservation, RunState};
use crate::model::{Deployment, HostInputs, Jvm, Layout, Process};
use crate::supervisor::{
    AfterEnd, ArchiveSpec, Beginning, Begun, DumpCommand, Ending, Exit, LEAVE_FILE, LogFollower, RefusalCode,
    Supervisor, SupervisorError, UnitName, UnitSpec, UnitState, rename_logs, unit_logs,
};
use crate::tool::{self, Lack};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::mpsc;

/// From a node's data up to the directory of all stacks: each may just have been made, and is there after a loss of power
/// only once the one above it was put on its disk.
const LEVELS: usize = 7;

/// What a node's class-data archive holds, in its runtime directory.
const CLASSES: &str = "classes.txt";

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

/// What stands in the leave to begin with an empty disk. That the node may was found out before it was given.
const LEAVE: &str = "given by octad up\n";

/// The sign on a data disk that tells whose it is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    stack: String,
    node: String,
    role: String,
    id: i32,
}

impl Marker {
    fn of(deployment: &Deployment) -> Self {
        let facts = &deployment.facts;
        Self { stack: facts.stack.clone(), node: facts.node.clone(), role: facts.role.clone(), id: facts.id }
    }
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

    /// What tells whether a node's disk was ever written to, where that matters to its role.
    fn beginning(&self, deployment: &Deployment) -> Option<Beginning> {
        let data = layout::data(&self.directory, &deployment.facts.node);
        deployment.written.as_ref().map(|file| Beginning::on(&data, file))
    }

    /// Whether a node's disk is empty and may not be, by what it was last installed with.
    fn is_emptied(&self, unit: &UnitName) -> bool {
        let begins = UnitSpec::load(&self.directory, unit).ok().and_then(|spec| spec.begins);
        begins.is_some_and(|begins| begins.look().is_ok_and(|begun| begun == Begun::Lost))
    }

    /// Whether a node was last installed as one that starts without a disk.
    fn is_stateless(&self, unit: &UnitName) -> bool {
        UnitSpec::load(&self.directory, unit).is_ok_and(|spec| spec.requires.is_empty())
    }

    /// Octad as this host keeps it.
    fn kept_program(&self) -> Result<PathBuf, HostError> {
        let path = self.directory.display().to_string();
        let failed = |source| HostError::Io { action: "keep octad in", path, source };
        self.software.keep(&self.directory).map_err(failed)
    }

    /// What the specifications of this host's units name of Octad.
    fn named_programs(&self) -> BTreeSet<PathBuf> {
        let nodes = fs::read_dir(layout::nodes(&self.directory)).into_iter().flatten().flatten();
        let units = nodes.filter_map(|node| UnitName::new(node.file_name().to_str()?).ok());
        let specs = units.filter_map(|unit| UnitSpec::load(&self.directory, &unit).ok());
        let programs = specs.flat_map(|spec| {
            let fence = spec.after_end.map(|after_end| (after_end.program, after_end.args));
            let fence = fence.into_iter().flat_map(|(program, args)| {
                std::iter::once(program).chain(args.into_iter().map(PathBuf::from))
            });
            fence.chain(spec.launcher.into_iter().map(PathBuf::from))
        });
        programs.collect()
    }

    /// Removes what the host keeps of Octad but for these.
    fn forget_programs(&self, named: &BTreeSet<PathBuf>) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(layout::KEPT);
            if ours && !named.contains(&entry.path()) {
                // What stays costs only room.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether the node's process would be started in another place than this: the directory of the stack was moved.
    fn is_moved(&self, node: &str, unit: &UnitName) -> bool {
        let here = fs::canonicalize(layout::runtime(&self.directory, node)).ok();
        let told = UnitSpec::load(&self.directory, unit).ok().and_then(|spec| spec.working_dir);
        told.is_some_and(|told| fs::canonicalize(told).ok() != here)
    }

    /// A command of a role's that runs beside its process: nothing where there is none.
    fn beside(&self, command: Option<&Vec<String>>, place: &Layout) -> Result<Vec<String>, HostError> {
        let words = command.map(Vec::as_slice).unwrap_or_default();
        if words.iter().all(|word| word != Layout::OCTAD) {
            return Ok(place.fill_all(words));
        }
        Ok(place.command(words, &self.kept_program()?.to_string_lossy()))
    }

    /// What the supervisor runs behind a process: the role's fence.
    fn after_end(&self, deployment: &Deployment, place: &Layout) -> Result<Option<AfterEnd>, HostError> {
        let mut words = self.beside(deployment.fence.as_ref(), place)?.into_iter();
        Ok(words.next().map(|program| AfterEnd::new(program.into(), words.collect())))
    }

    async fn unit_spec(
        &self,
        deployment: &Deployment,
        generation: String,
        place: &Layout,
    ) -> Result<UnitSpec, HostError> {
        let facts = &deployment.facts;
        let marker = layout::marker(&self.directory, &facts.node);
        Ok(UnitSpec {
            working_dir: Some(place.runtime.clone()),
            requires: if deployment.stateless { Vec::new() } else { vec![marker] },
            listens: facts.ports.values().map(|port| SocketAddr::from((self.address, *port))).collect(),
            begins: self.beginning(deployment),
            after_end: self.after_end(deployment, place)?,
            launcher: self.beside(deployment.watchdog.as_ref(), place)?,
            generation,
            ..self.process(deployment, place).await?
        })
    }

    /// A node's process by itself.
    async fn process(&self, deployment: &Deployment, place: &Layout) -> Result<UnitSpec, HostError> {
        let quiet = |_: &str, _, _| {};
        let facts = &deployment.facts;
        let (options, main, arguments) = match &deployment.process {
            Process::Java { options, main, arguments } => (options, main, arguments),
            Process::Program { executable, arguments, environment } => {
                let program = self.software.executable(&facts.software, executable, &quiet).await?;
                let env = environment.iter().map(|(name, value)| (name.clone(), place.fill(value)));
                return Ok(UnitSpec {
                    env: env.collect(),
                    ..UnitSpec::new(program, place.fill_all(arguments))
                });
            }
        };
        let java = self.software.java().await?;
        let class_path = self.software.class_path(&facts.software, &quiet).await?;
        let class_path = class_path.to_arg().to_string_lossy().into_owned();
        let flags = facts.jvm.as_ref().map(Jvm::flags).unwrap_or_default();
        // Heap sizes don't bind an archive, the collector does.
        let binding = facts.jvm.as_ref().map_or(&[][..], |jvm| &jvm.options);
        let archive = self.software.archive(deployment, binding).await?;
        let with_class_path = |mut args: Vec<String>| {
            args.extend(["-cp".to_owned(), class_path.clone()]);
            args
        };
        let dump = with_class_path(
            [
                flags.clone(),
                vec![
                    "-Xshare:dump".into(),
                    format!("-XX:SharedClassListFile={}", place.runtime.join(CLASSES).display()),
                    "-XX:SharedArchiveFile={archive}".into(),
                ],
            ]
            .concat(),
        );
        let mut args = with_class_path([flags, place.fill_all(options)].concat());
        args.push(main.clone());
        args.extend(place.fill_all(arguments));
        Ok(UnitSpec {
            archive: archive.map(|path| ArchiveSpec {
                path,
                present: vec!["-XX:SharedArchiveFile={archive}".into(), "-Xshare:auto".into()],
                dump: DumpCommand { program: java.path.clone(), args: dump },
                after_secs: 20,
            }),
            ..UnitSpec::new(java.path.clone(), args)
        })
    }
}

fn run_state(state: &UnitState, restarts: u64, current: bool) -> RunState {
    match state {
        // To go by its process, which still serves, an `up` would count on what is about to be gone.
        UnitState::Stopping { .. } => RunState::Stopping,
        UnitState::Running { pid, .. } if is_frozen(*pid) => RunState::Frozen,
        UnitState::Running { pid, since, since_boot_ms } => RunState::Running {
            pid: *pid,
            age_ms: since_boot_ms.map_or_else(
                // By the clock that people set: better than none.
                || since.elapsed().map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
                clock::age_ms,
            ),
            since_ms: since
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            current,
            restarts,
        },
        UnitState::Backoff { last: Ending { exit: Exit::NotStarted { reason }, .. }, .. } => {
            RunState::Failed { reason: reason.clone() }
        }
        UnitState::Backoff { restarts, last, .. } => {
            RunState::Restarting { restarts: u64::from(*restarts), last_exit: last.exit.to_string() }
        }
        UnitState::Stopped { .. } => RunState::Stopped,
        UnitState::Failed { reason } => RunState::Failed { reason: reason.clone() },
    }
}

/// Whether a signal halted the process. Its supervisor isn't told of that.
fn is_frozen(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the program's name, which stands in brackets and may hold any others.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
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
        if deployment.stateless {
            return Ok(());
        }
        let node = &deployment.facts.node;
        let data = layout::data(&self.directory, node);
        let marker = layout::marker(&self.directory, node);
        let foreign = || HostError::ForeignData { node: node.clone(), directory: data.display().to_string() };
        let io = |action| {
            let path = data.display().to_string();
            move |source| HostError::Io { action, path, source }
        };
        if let Some(mib) = self.disk_mib {
            self.disk(node).make(mib).await?;
        }
        match fs::read(&marker) {
            Ok(text) => {
                let found: Option<Marker> = serde_json::from_slice(&text).ok();
                if found != Some(Marker::of(deployment)) {
                    return Err(foreign());
                }
                // What it held is gone, and whoever has it formatted anew says that it may be.
                return match self.beginning(deployment) {
                    Some(begins) if begins.look().map_err(io("look at"))? == Begun::Lost => {
                        write_durably(&begins.leave, LEAVE.as_bytes()).map_err(io("write"))
                    }
                    _ => Ok(()),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(HostError::Io { action: "read", path: marker.display().to_string(), source });
            }
        }
        let mut files = deployment.data_files.clone();
        if deployment.written.is_some() {
            files.insert(LEAVE_FILE.to_owned(), LEAVE.to_owned());
        }
        // A first formatting that was cut off left some of its own files and no marker, or one that isn't whole.
        let unfinished = unfinished(&marker);
        let others = fs::read_dir(&data).map_or(0, |entries| {
            let name =
                |entry: io::Result<fs::DirEntry>| entry.map(|e| e.file_name().to_string_lossy().into_owned());
            let is_own = |name: &String| files.contains_key(name) || data.join(name) == unfinished;
            entries.filter_map(|entry| name(entry).ok()).filter(|name| !is_own(name)).count()
        });
        if others > 0 {
            return Err(foreign());
        }
        let write = || -> io::Result<()> {
            fs::create_dir_all(&data)?;
            for (name, content) in &files {
                fs::write(data.join(name), content)?;
            }
            // A marker says that all of this is there, also to those who come after a loss of power.
            disk::sync(&data)?;
            write_marker(&marker, &Marker::of(deployment))?;
            let levels = data.ancestors().take(LEVELS).filter(|level| !level.as_os_str().is_empty());
            levels.into_iter().try_for_each(|level| File::open(level)?.sync_all())
        };
        write().map_err(|source| HostError::Io {
            action: "prepare",
            path: data.display().to_string(),
            source,
        })
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
            let path = layout::marker(&self.directory, to);
            let marker = match fs::read(&path) {
                Ok(text) => serde_json::from_slice::<Marker>(&text).ok(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            match marker.filter(|marker| marker.node == from) {
                Some(marker) => write_marker(&path, &Marker { node: to.to_owned(), ..marker }),
                None => Ok(()),
            }
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

fn write_marker(path: &Path, marker: &Marker) -> io::Result<()> {
    write_durably(path, &serde_json::to_vec_pretty(marker)?)
}

/// Lays out what the supervisor makes a class-data archive from, where there is none yet.
fn prepare_archive(archive: &ArchiveSpec, class_list: &Path, classes: &str) -> io::Result<()> {
    if archive.path.exists() {
        return Ok(());
    }
    archive.path.parent().map_or(Ok(()), fs::create_dir_all)?;
    write_whole(class_list, classes.as_bytes())
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
