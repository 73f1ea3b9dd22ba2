//! A node as a unit of its host's supervisor: what is run for it, and how that stands.

use super::{Machine, write_whole};
use crate::clock;
use crate::host::local::layout;
use crate::host::{HostError, RunState};
use crate::model::{Deployment, Jvm, Layout, Process};
use crate::supervisor::{AfterEnd, ArchiveSpec, DumpCommand, Ending, Exit, UnitName, UnitSpec, UnitState};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What a node's class-data archive holds, in its runtime directory.
pub(super) const CLASSES: &str = "classes.txt";

impl Machine {
    /// Whether a node was last installed as one that starts without a disk.
    pub(super) fn is_stateless(&self, unit: &UnitName) -> bool {
        UnitSpec::load(&self.directory, unit).is_ok_and(|spec| spec.requires.is_empty())
    }

    /// Octad as this host keeps it.
    fn kept_program(&self) -> Result<PathBuf, HostError> {
        let path = self.directory.display().to_string();
        let failed = |source| HostError::Io { action: "keep octad in", path, source };
        self.software.keep(&self.directory).map_err(failed)
    }

    /// What the specifications of this host's units name of Octad.
    pub(super) fn named_programs(&self) -> BTreeSet<PathBuf> {
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
    pub(super) fn forget_programs(&self, named: &BTreeSet<PathBuf>) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(layout::KEPT);
            if ours && !named.contains(&entry.path()) {
                // What stays costs only room.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether the node's process would be started in another place than this: the directory of the stack was moved.
    pub(super) fn is_moved(&self, node: &str, unit: &UnitName) -> bool {
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

    pub(super) async fn unit_spec(
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

pub(super) fn run_state(state: &UnitState, restarts: u64, current: bool) -> RunState {
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

/// Lays out what the supervisor makes a class-data archive from, where there is none yet.
pub(super) fn prepare_archive(archive: &ArchiveSpec, class_list: &Path, classes: &str) -> io::Result<()> {
    if archive.path.exists() {
        return Ok(());
    }
    archive.path.parent().map_or(Ok(()), fs::create_dir_all)?;
    write_whole(class_list, classes.as_bytes())
}
