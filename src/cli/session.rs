//! What all verbs share: the stack file, the stack's directory, the lock, signals, and where results go.

use super::{CliError, DEFAULT_STATE_DIR, Global};
use crate::causes::with_causes;
use crate::engine::{
    self, Context, Events, FactsError, Intent, Interrupt, Interrupter, Inventory, Lock, LockError, Record,
    State, Store, interrupt,
};
use crate::model::counted;
use crate::output::{Output, StackStatus};
use crate::program::{Programs, StackFile, StackFileError};
use crate::registry::Registry;
use crate::report::{Invocation, Report};
use crate::stack::{Name, ValidStack};
use crate::tool::{self, Installer, Lack};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// What was found at one moment.
pub(super) struct Look {
    /// The state with what was adopted.
    pub(super) state: State,
    /// What the state is to know of what was found.
    pub(super) adopted: Vec<Record>,
    pub(super) inventory: Inventory,
}

impl Look {
    /// What was taken over, for people; `None` where nothing was.
    pub(super) fn told(&self) -> Option<String> {
        let keys = self.adopted.iter().filter_map(Record::ended);
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        keys.for_each(|key| kinds.entry(&key.kind).or_default().push(key.name.clone()));
        let of_kind = |(kind, names): (&&str, &Vec<String>)| match names.len() {
            0..=3 => format!("{kind} {}", names.join(", ")),
            many => counted(many, kind),
        };
        let kinds: Vec<String> = kinds.iter().map(of_kind).collect();
        let told = || format!("taken over as found, since it is this stack's: {}", kinds.join("; "));
        (!kinds.is_empty()).then(told)
    }
}

/// One run of one verb.
pub(super) struct Session {
    wanted: String,
    state_dir: PathBuf,
    programs: Programs,
    registry: Registry,
    output: Output,
    borrow_lock: bool,
    interrupter: Arc<Interrupter>,
    interrupt: Interrupt,
}

impl Session {
    pub(super) fn new(global: &Global, programs: Programs, registry: Registry) -> Self {
        let (interrupter, interrupt) = interrupt();
        Self {
            wanted: global.stack.clone().unwrap_or_else(|| programs.default_stack().to_owned()),
            state_dir: global.state_dir.clone(),
            programs,
            registry,
            output: Output::new(global.output, global.color),
            borrow_lock: global.borrow_lock,
            interrupter: Arc::new(interrupter),
            interrupt,
        }
    }

    /// Turns ^C and SIGTERM into requests to stop. The one place that listens for signals.
    pub(super) fn listen_for_signals(&self) {
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let Ok(mut signals) = signal(kind) else { continue };
            let (interrupter, events) = (self.interrupter.clone(), self.output.events());
            let interrupt = self.interrupt.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if !interrupt.asked() {
                        events.notice("finishing what is under way; once more to stop at once");
                    }
                    interrupter.ask();
                }
            });
        }
    }

    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The programs that stack files may name.
    pub(super) fn programs(&self) -> &Programs {
        &self.programs
    }

    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn events(&self) -> Events {
        self.output.events()
    }

    /// How this process was called, with the flags that name this stack again.
    pub(super) fn invocation(&self) -> Invocation {
        self.invocation_for(&self.wanted)
    }

    /// How this process was called, with the flags that name another stack of the same place; none for the default
    /// stack in the default place.
    pub(super) fn invocation_for(&self, stack: &str) -> Invocation {
        let mut flags = String::new();
        if stack != self.programs.default_stack() {
            flags.push_str(&format!(" --stack {stack}"));
        }
        if self.state_dir != Path::new(DEFAULT_STATE_DIR) {
            flags.push_str(&format!(" --state-dir {}", self.state_dir.display()));
        }
        let program = std::env::args().next().unwrap_or_else(|| "octad".into());
        Invocation { program, flags }
    }

    /// The stack's name. A stack whose file is gone is still known by the name that it was given.
    pub(super) fn stack_name(&self) -> Result<Name, CliError> {
        match StackFile::find(&self.wanted, &self.programs) {
            Ok(file) => Ok(file.name),
            Err(missing @ StackFileError::NotFound { .. }) => match self.wanted.parse::<Name>() {
                Ok(name) if self.state_dir.join(name.as_ref()).is_dir() => Ok(name),
                _ => Err(missing.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// What the stack file declares.
    pub(super) fn declare(&self) -> Result<ValidStack, CliError> {
        self.declare_file(&self.stack_file()?)
    }

    /// The stack file.
    pub(super) fn stack_file(&self) -> Result<StackFile, CliError> {
        Ok(StackFile::find(&self.wanted, &self.programs)?)
    }

    /// What a stack file declares.
    pub(super) fn declare_file(&self, file: &StackFile) -> Result<ValidStack, CliError> {
        let stack = file.declare(&self.programs, &self.registry)?;
        stack.warnings().iter().for_each(|warning| self.events().notice(warning.to_string()));
        Ok(stack)
    }

    /// The stack's own directory, absolute since supervisors are told of it.
    pub(super) fn site(&self, stack: &Name) -> Result<PathBuf, CliError> {
        std::path::absolute(self.state_dir.join(stack.as_ref()))
            .map_err(|source| CliError::Io { action: format!("find {}", self.state_dir.display()), source })
    }

    /// The state as it is, without any right to change it.
    pub(super) fn state(&self, stack: &Name) -> Result<State, CliError> {
        Ok(Store::read(&self.site(stack)?, stack.as_ref())?)
    }

    /// The state of a stack that must exist.
    pub(super) fn existing_state(&self, stack: &Name) -> Result<State, CliError> {
        let state = self.state(stack)?;
        if !state.is_empty() {
            return Ok(state);
        }
        Err(CliError::NoStack { stack: stack.to_string(), state_dir: self.state_dir.clone() })
    }

    /// Looks at all that is declared or recorded, and what the state is to know of that and doesn't.
    pub(super) async fn look(&self, stack: &ValidStack, state: &State) -> Result<Look, CliError> {
        let anew = engine::unknown_groups(stack, state);
        let (mut state, mut adopted) = (state.clone(), Vec::new());
        loop {
            let inventory = self.observe(stack, &state).await?;
            let found = engine::adopt(&self.registry, stack, &state, &inventory, &anew);
            if found.is_empty() {
                break Ok(Look { state, adopted, inventory });
            }
            // What a group holds is seen once its members are known.
            found.iter().for_each(|record| state.fold(state.serial + 1, record.clone()));
            adopted.extend(found);
        }
    }

    /// The same for what is no longer to be declared: what the stack's file still declares is known then as well, where there
    /// is one.
    pub(super) async fn look_for(&self, stack: &ValidStack, state: &State) -> Result<Look, CliError> {
        let declared = match stack.resources.is_empty() {
            true => self.stack_file().and_then(|file| Ok(file.declare(&self.programs, &self.registry)?)).ok(),
            false => None,
        };
        let Some(declared) = declared else { return self.look(stack, state).await };
        let Look { state, adopted, .. } = self.look(&declared, state).await?;
        let inventory = self.observe(stack, &state).await?;
        Ok(Look { state, adopted, inventory })
    }

    /// Tells what was taken over.
    pub(super) fn tell(&self, look: &Look) {
        look.told().into_iter().for_each(|told| self.events().notice(told));
    }

    /// Opens the state for an update, under the lock, and tells where a damaged snapshot was had from its copy.
    pub(super) fn store(&self, stack: &Name) -> Result<Store, CliError> {
        let store = Store::open(&self.site(stack)?, stack.as_ref())?;
        if let Some(damage) = &store.damage {
            self.events().notice(format!(
                "nothing was lost, since there was a copy: {}; the damaged file is kept beside it",
                with_causes(damage)
            ));
        }
        Ok(store)
    }

    /// Takes the stack's lock, and tells where it was left by a process that is gone.
    pub(super) async fn lock(&self, stack: &Name, verb: &str, timeout: Duration) -> Result<Lock, CliError> {
        let (site, deadline) = (self.site(stack)?, Instant::now() + timeout);
        if self.borrow_lock {
            return Ok(Lock::borrow(&site)?);
        }
        let lock = loop {
            match Lock::take(&site, verb) {
                Err(LockError::Held { .. }) if Instant::now() < deadline => {}
                taken => break taken?,
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = self.interrupt.wait() => return Err(CliError::Cancelled),
            }
        };
        if let Some(holder) = &lock.abandoned {
            self.events().notice(format!(
                "took the lock over from `octad {}` (process {}, since {}), which is gone",
                holder.verb, holder.pid, holder.since
            ));
        }
        Ok(lock)
    }

    pub(super) fn context(&self, stack: &ValidStack, state: &State) -> Result<Arc<Context>, CliError> {
        self.context_for(stack, &Intent::default(), state)
    }

    /// The surroundings of a change that is wanted so.
    pub(super) fn context_for(
        &self,
        stack: &ValidStack,
        intent: &Intent,
        state: &State,
    ) -> Result<Arc<Context>, CliError> {
        let site = self.site(stack.name())?;
        let context = Context::new(&site, self.registry.clone(), self.events(), stack, state);
        Ok(Arc::new(context.allowing(intent)))
    }

    /// Looks at all that is declared or recorded.
    pub(super) async fn observe(&self, stack: &ValidStack, state: &State) -> Result<Inventory, CliError> {
        Ok(engine::observe(&*self.context(stack, state)?, stack, state).await)
    }

    /// The cluster that the documents in a directory tell of. A stack of its name may be recorded here as well, with a lock and
    /// with notes of its own.
    pub(super) fn described(&self, directory: &Path) -> Result<(Name, State), CliError> {
        let state = engine::described(directory, &self.registry)?;
        // The longest name has room for the rest.
        let stack: String = state.stack.chars().take(50).collect();
        let name = format!("{stack}-by-facts").parse::<Name>().map_err(|error| FactsError::NoCluster {
            path: directory.to_owned(),
            reason: error.to_string(),
        })?;
        Ok((name, state))
    }

    /// How the stack of this name and state is.
    pub(super) async fn status(&self, name: Name, state: &State) -> Result<StackStatus, CliError> {
        let inventory = self.observe(&ValidStack::empty(name), state).await?;
        Ok(StackStatus::of(&self.registry, state, &inventory))
    }

    /// The names of all stacks that were made here.
    pub(super) fn stacks(&self) -> Vec<Name> {
        let Ok(entries) = std::fs::read_dir(&self.state_dir) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<Name>().ok());
        let mut names: Vec<Name> = names.collect();
        names.sort();
        names
    }

    /// Asks for consent, unless it was given on the command line. ^C is a no.
    pub(super) async fn consent(
        &self,
        verb: &'static str,
        yes: bool,
        question: &str,
    ) -> Result<(), CliError> {
        if yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(CliError::NoConsent { verb });
        }
        self.output.question(question);
        // Reading a terminal can't be cancelled: the thread that waits for the answer ends with the process.
        let answer = tokio::task::spawn_blocking(Output::answer);
        tokio::select! {
            answer = answer => if answer.unwrap_or(false) { Ok(()) } else { Err(CliError::Declined) },
            () = self.interrupt.wait() => Err(CliError::Declined),
        }
    }

    /// Installs what is lacking, unless the user says no; `agreed` is a yes.
    ///
    /// # Errors
    /// Where it was a no, this machine offers no way, or its package manager failed.
    pub(super) async fn install(&self, lacks: Vec<Lack>, agreed: bool) -> Result<(), CliError> {
        let Some(installer) = Installer::of_this_machine() else {
            return Err(CliError::Lacking { lacks, installed: false });
        };
        let command = installer.command(&lacks);
        let question = format!("This machine lacks {}. Run `{command}`?", tool::names(&lacks));
        match self.consent("install", agreed, &question).await {
            Ok(()) => {}
            Err(CliError::NoConsent { .. }) => return Err(CliError::Lacking { lacks, installed: false }),
            Err(error) => return Err(error),
        }
        self.events().notice(format!("installing {}", tool::names(&lacks)));
        let installed = installer.install(&lacks).await;
        // ^C reaches the package manager too, which then fails.
        if self.interrupt.asked() { Err(CliError::InstallCancelled) } else { Ok(installed?) }
    }

    pub(super) fn show_failure(&self, report: &Report) {
        self.output.failure(report);
    }

    /// Waits until all that was said has been written.
    pub(super) fn close(self) {
        self.output.close();
    }
}
