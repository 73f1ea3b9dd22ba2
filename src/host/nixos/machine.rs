//! One machine.

use super::change::{Goal, Outcome, boot, change};
use super::error::NixosError;
use super::lease::{self, Beside, Leases};
use super::link::Link;
use super::logs;
use super::look::Look;
use super::options::NixosOptions;
use super::past;
use super::systems::{Brought, Flakes, Source, Together};
use crate::clock::Until;
use crate::host::{
    Host, HostChange, HostError, LeaseRecord, LeaseRequest, LogLine, LogQuery, NodeObservation, Past,
};
use crate::model::{Deployment, HostInputs, Layout};
use crate::ssh::{Ssh, quoted};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Where the data disk is mounted, by the flake's modules.
const DATA: &str = "/var/lib/octad";
/// Looks for the data disk.
const DISK: &str = include_str!("scripts/disk.sh");
/// Tells of a system that it has.
const BEFORE: &str = include_str!("scripts/before.sh");
/// How long what changes little may take there.
const SHORT: Duration = Duration::from_secs(60);
/// How long it may take to format a disk of some terabytes.
const FORMAT: Duration = Duration::from_secs(300);
/// How long it is waited for the end of a change that is under way, before a machine is taken as it is meanwhile.
const AT_WORK: Duration = Duration::from_secs(90);
/// How long the processes of a host that goes back may take to end.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) struct Machine {
    site: PathBuf,
    name: String,
    /// The stack that it is a host of.
    stack: String,
    address: String,
    inputs: HostInputs,
    options: NixosOptions,
    ssh: Ssh,
    link: Link,
    /// It is known to be no other machine.
    is_recognised: AtomicBool,
    /// Systems that it has been brought, and of what they were made.
    brought: Mutex<Vec<Brought>>,
    /// The one that was made ready for it last.
    staged: Mutex<Option<Brought>>,
    flakes: Flakes,
}

impl Machine {
    pub(super) fn new(
        site: &Path,
        name: &str,
        inputs: &HostInputs,
        leases: &Leases,
        flakes: &Flakes,
    ) -> Result<Self, HostError> {
        let incomplete =
            |missing: String| HostError::Incomplete { subject: format!("the host {name}"), missing };
        let address =
            inputs.address.ok_or_else(|| incomplete("an address (`subnet` under [hosts])".into()))?;
        let options = NixosOptions::read(&inputs.options)
            .map_err(|error| incomplete(format!("options that can be read ({error})")))?;
        let ssh = options.ssh([(name.to_owned(), address.to_string())]);
        Ok(Self {
            site: site.to_owned(),
            name: name.to_owned(),
            stack: site.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            address: address.to_string(),
            inputs: inputs.clone(),
            options,
            link: Link::new(ssh.clone(), name, leases.clone()),
            is_recognised: AtomicBool::default(),
            ssh,
            brought: Mutex::default(),
            staged: Mutex::default(),
            flakes: flakes.clone(),
        })
    }

    /// Whether it is the one of a stack at this place with these inputs.
    pub(super) fn is(&self, site: &Path, inputs: &HostInputs) -> bool {
        self.site == site && self.inputs == *inputs
    }

    /// Its name and its address.
    pub(super) fn called(&self) -> (String, String) {
        (self.name.clone(), self.address.clone())
    }

    /// Where the systems of its stack come from.
    pub(super) fn source(&self, addresses: BTreeMap<String, String>) -> Source<'_> {
        let Self { options, flakes, site, stack, .. } = self;
        Source { options, flakes, site, stack, addresses }
    }

    /// Takes note of a system that it has: what is to be run with its documents is that.
    pub(super) fn has(&self, system: Brought) {
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.retain(|one| one.documents != system.documents);
        brought.push(system);
    }

    /// Takes note that the system of these documents is what is ready for it.
    pub(super) fn is_ready_for(&self, documents: &Together) {
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner) = self.known(documents);
    }

    fn staged(&self) -> Option<Brought> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The system of these documents, where it is known to have that.
    pub(super) fn known(&self, documents: &Together) -> Option<Brought> {
        let brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.iter().find(|one| one.documents == *documents).cloned()
    }

    /// The system that is made of these documents, which it has by then.
    async fn system(&self, documents: Together) -> Result<Brought, NixosError> {
        if let Some(system) = self.known(&documents) {
            return Ok(system);
        }
        let source = self.source([self.called()].into());
        let made = source.make(&[(self.name.clone(), documents)].into(), &|_, _, _| {}).await?;
        source.bring(&made, &|_, _, _| {}).await?;
        let system = made.into_values().next().ok_or_else(|| self.failed("build its system", ""))?;
        self.has(system.clone());
        Ok(system)
    }

    /// What tells what its systems are made of beside documents from all else.
    pub(super) async fn sources(&self) -> Result<String, NixosError> {
        self.source(BTreeMap::new()).sources().await
    }

    /// A system that it has from before, with what that tells of itself.
    pub(super) async fn before(&self, system: &str) -> Result<Look, NixosError> {
        let given = [("system", system)];
        let (_, said) = self.told("asked for what it ran before", &given, BEFORE, SHORT).await?;
        Look::of(&said).ok_or_else(|| self.failed(&format!("find {system}, which it ran before,"), &said))
    }

    fn failed(&self, tried: &str, said: &str) -> NixosError {
        NixosError::Failed { host: self.name.clone(), tried: tried.to_owned(), said: said.to_owned() }
    }

    /// Why its data disk can't be used for this node, where it can't: seen before anything is built.
    pub(super) async fn lacks_disk(&self, deployment: &Deployment) -> Result<Option<NixosError>, NixosError> {
        if deployment.stateless || self.look().await?.is_mounted() {
            return Ok(None);
        }
        let device = disk_of(deployment);
        let given = [("device", device.as_str())];
        let (code, _) = self.told("asked for its data disk", &given, DISK, SHORT).await?;
        Ok(self.no_disk(code, deployment))
    }

    /// What the exit code of the script that looks for the data disk means.
    fn no_disk(&self, code: i32, deployment: &Deployment) -> Option<NixosError> {
        let (host, device, others) = (self.name.clone(), disk_of(deployment), Vec::new());
        let node = deployment.facts.node.clone();
        match code {
            4 => Some(NixosError::Blank { host, device, node, others }),
            5 => Some(NixosError::NoDisk { host, device, node, others }),
            _ => None,
        }
    }

    /// How it stands; nobody else is taken for it.
    pub(super) async fn look(&self) -> Result<Look, NixosError> {
        let mut look = self.link.look().await?;
        // What is begun by an Octad that is no more ends as soon as somebody reaches the machine anew: what it is then counts.
        let begun = Instant::now();
        while look.is_changing && begun.elapsed() < AT_WORK {
            self.link.renew().await;
            sleep(Duration::from_secs(1)).await;
            look = self.link.look().await?;
        }
        self.recognise(&look)?;
        Ok(look)
    }

    /// Fails where what looks like this is another machine, or one of another stack.
    fn recognise(&self, look: &Look) -> Result<(), NixosError> {
        let told = |document: &Value, what: &str| document["facts"]["host"][what].as_str().map(str::to_owned);
        for (node, document) in look.documents() {
            let (name, address) = (told(&document, "name"), told(&document, "address"));
            let stack = document["facts"]["stack"].as_str().unwrap_or("?");
            let is_this = name.as_ref() == Some(&self.name) && address.as_ref() == Some(&self.address);
            if !is_this || stack != self.stack {
                let (name, address) = (name.unwrap_or_default(), address.unwrap_or_default());
                let how = format!("it is {name} at {address} of the stack {stack}, and runs its {node}");
                return Err(NixosError::Another { host: self.name.clone(), how });
            }
        }
        self.is_recognised.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has a script run there that changes nothing, for which these names stand for these texts.
    async fn told(
        &self,
        asked: &'static str,
        given: &[(&str, &str)],
        script: &str,
        patience: Duration,
    ) -> Result<(i32, String), NixosError> {
        let answer = self.link.run(asked, &format!("{}{script}", named(given)), patience).await?;
        Ok((answer.code, answer.said))
    }

    /// Has a script run there that changes something.
    async fn deed(
        &self,
        asked: &'static str,
        given: &[(&str, &str)],
        script: &str,
        patience: Duration,
    ) -> Result<(i32, String), NixosError> {
        let script = format!("{}{script}", named(given));
        let answer = self.link.deed(asked, Beside::Nothing, &script, patience).await?;
        Ok((answer.code, answer.said))
    }

    /// Has one run that has to end well.
    async fn done(
        &self,
        tried: &'static str,
        given: &[(&str, &str)],
        script: &str,
    ) -> Result<(), NixosError> {
        match self.deed("told what to do", given, script, SHORT).await? {
            (0, _) => Ok(()),
            (_, said) => Err(self.failed(tried, &said)),
        }
    }

    async fn change(&self, goal: Goal<'_>) -> Result<Outcome, HostError> {
        change(&self.link, &self.name, &goal).await
    }
}

/// These names for these texts, as a script has them.
fn named(given: &[(&str, &str)]) -> String {
    given.iter().map(|(name, text)| format!("{name}={}\n", quoted(text))).collect()
}

fn disk_of(deployment: &Deployment) -> String {
    let machine = deployment.facts.host.machine.as_ref();
    machine.and_then(|machine| machine.data_disk.clone()).unwrap_or_default()
}

fn marker(deployment: &Deployment) -> String {
    let facts = &deployment.facts;
    json!({ "stack": facts.stack, "node": facts.node, "role": facts.role, "id": facts.id }).to_string()
}

/// What of a document tells whose data its node has.
fn is_of(document: &Value, deployment: &Deployment) -> bool {
    let found = &document["facts"];
    let facts = &deployment.facts;
    found["stack"] == facts.stack.as_str() && found["role"] == facts.role.as_str() && found["id"] == facts.id
}

#[async_trait]
impl Host for Machine {
    /// A machine that isn't reached is not known to be off.
    async fn power(&self) -> Result<Option<bool>, HostError> {
        self.look().await?;
        Ok(Some(true))
    }

    fn keeps_leases(&self) -> bool {
        true
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<LeaseRecord, HostError> {
        // Nothing is written on a machine that may be somebody else's. What an Octad that is gone has begun there ends once
        // somebody reaches it anew.
        if request.token == 0 || !self.is_recognised.load(Ordering::Relaxed) {
            let look = self.link.look().await?;
            self.recognise(&look)?;
            if look.is_changing {
                self.link.renew().await;
                self.link.look().await?;
            }
        }
        Ok(lease::lease(&self.link, &self.name, request).await?)
    }

    /// It is there before Octad is: it is only seen to be the right one.
    async fn boot(&self) -> Result<String, HostError> {
        let look = self.look().await?;
        if !look.addresses.contains(&self.address) {
            let has: Vec<&str> =
                look.addresses.iter().map(String::as_str).filter(|one| !one.starts_with("127.")).collect();
            let how = format!("it has no address {}, but {}", self.address, has.join(", "));
            return Err(NixosError::Another { host: self.name.clone(), how }.into());
        }
        Ok(self.address.clone())
    }

    async fn node(&self, node: &str) -> Result<Option<NodeObservation>, HostError> {
        Ok(self.look().await?.node(node))
    }

    async fn nodes(&self) -> Result<BTreeSet<String>, HostError> {
        Ok(self.look().await?.nodes())
    }

    async fn format_disk(&self, deployment: &Deployment, refill: bool) -> Result<(), HostError> {
        let Some(NixosError::Blank { device, node, .. }) = self.lacks_disk(deployment).await? else {
            return Ok(());
        };
        let mut documents = self.look().await?.documents();
        documents.insert(node.clone(), json!(deployment));
        // What it is to run has the program, which it may not have itself yet.
        let system = self.system(documents).await?;
        let option = if refill { "--refill" } else { "" };
        let given =
            [("system", system.system.as_str()), ("option", option), ("device", &device), ("node", &node)];
        let script = "\"$system/sw/bin/octad-format-data-disk\" $option \"$device\" \"$node\"";
        match self.deed("told to format its data disk", &given, script, FORMAT).await? {
            (0, _) => Ok(()),
            (_, said) => Err(self.failed(&format!("format {device}"), &said).into()),
        }
    }

    async fn format(&self, deployment: &Deployment) -> Result<(), HostError> {
        if deployment.stateless {
            return Ok(());
        }
        let node = &deployment.facts.node;
        let look = self.look().await?;
        let is_here = look.documents().get(node).is_some_and(|document| is_of(document, deployment));
        let device = disk_of(deployment);
        let names: Vec<&str> = deployment.data_files.keys().map(String::as_str).collect();
        let put: String = deployment
            .data_files
            .iter()
            .map(|(name, text)| format!(" && printf %s {} >\"$place\"/{}", quoted(text), quoted(name)))
            .collect();
        let given = [
            ("node", node.as_str()),
            ("device", &device),
            ("marker", &marker(deployment)),
            ("written", deployment.written.as_deref().unwrap_or_default()),
            ("is_here", if is_here { "yes" } else { "" }),
            ("files", &names.join(" ")),
        ];
        let script = format!("put() {{\n  true{put}\n}}\n{DISK}{}", include_str!("scripts/format.sh"));
        match self.deed("given a directory for its data", &given, &script, SHORT).await? {
            (0, _) => Ok(()),
            (3, _) => {
                let directory = format!("{DATA}/{node} on {}", self.name);
                Err(HostError::ForeignData { node: node.clone(), directory })
            }
            (code, said) => {
                let no_disk = self.no_disk(code, deployment);
                Err(no_disk.unwrap_or_else(|| self.failed("prepare the data disk", &said)).into())
            }
        }
    }

    async fn install(&self, deployment: &Deployment) -> Result<String, HostError> {
        let node = &deployment.facts.node;
        let look = self.look().await?;
        let mut documents = look.documents();
        documents.insert(node.clone(), json!(deployment));
        let system = self.system(documents).await?;
        if !look.is_settled_on(&system.system) {
            let goal = match look.is_on_trial() {
                // Nobody has judged yet what is on trial there.
                true => Goal::Try { system: &system, anew: Vec::new(), patience: Duration::ZERO },
                false => Goal::Keep { system: &system },
            };
            self.change(goal).await?;
        }
        // From here on it is among its nodes.
        let known = "mark=/var/lib/octad-deploy/removed/$node\n[ ! -d \"${mark%/*}\" ] || { rm -f \"$mark\" && sync \"${mark%/*}\"; }";
        self.done("note its node", &[("node", node)], known).await?;
        Ok(system.system.to_string())
    }

    async fn files(&self, node: &str) -> Result<BTreeMap<String, String>, HostError> {
        let script = "config=/etc/octad/$node\necho \"config $(readlink -f \"$config\")\"\n\
                      for file in \"$config\"/*; do\n  [ -f \"$file\" ] || continue\n  \
                      echo \"file ${file##*/}\"\n  sed 's/^/|/' \"$file\"\ndone";
        let (_, said) = self.told("asked for files", &[("node", node)], script, SHORT).await?;
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let (mut config, mut at) = (String::new(), None);
        for line in said.lines() {
            match (line.split_once(' '), line.strip_prefix('|'), &at) {
                (_, Some(text), Some(name)) => {
                    let file: &mut String = files.entry(String::clone(name)).or_default();
                    file.push_str(text);
                    file.push('\n');
                }
                (Some(("config", path)), ..) => config = path.to_owned(),
                (Some(("file", name)), ..) => at = Some(name.to_owned()),
                _ => {}
            }
        }
        let own = layout(node).config.display().to_string();
        Ok(files.into_iter().map(|(name, text)| (name, text.replace(&config, &own))).collect())
    }

    fn render(&self, deployment: &Deployment) -> BTreeMap<String, String> {
        deployment.rendered(&layout(&deployment.facts.node))
    }

    async fn start(&self, node: &str) -> Result<(), HostError> {
        self.look().await?;
        let script = include_str!("scripts/start.sh");
        match self.deed("told to start a node", &[("node", node)], script, SHORT).await? {
            (0, _) => Ok(()),
            (2, _) => Err(HostError::NoSuchNode { host: self.name.clone(), node: node.to_owned() }),
            (_, said) => Err(HostError::NotStarted { node: node.to_owned(), reason: said }),
        }
    }

    async fn stop(&self, node: &str, timeout: Duration, until: Option<Until>) -> Result<(), HostError> {
        let runs = self.look().await?.node(node).is_some_and(|found| found.run.has_process());
        let script = include_str!("scripts/stop.sh");
        let late = || HostError::TooLate { node: node.to_owned() };
        if runs && until.is_some_and(Until::has_passed) {
            return Err(late());
        }
        let patience = timeout.as_secs().max(1).to_string();
        let clock = self.link.clock().await?;
        let deadline = until.map_or_else(|| "-".to_owned(), |until| clock.after(until.left()).to_string());
        let given = [("node", node), ("patience", &patience), ("deadline", &deadline)];
        match self.deed("told to stop a node", &given, script, timeout + SHORT).await? {
            (0, _) => Ok(()),
            (75, _) => Err(late()),
            (_, said) => Err(self.failed(&format!("stop {node}"), &said).into()),
        }
    }

    async fn apply(&self, change: &HostChange<'_>) -> Result<BTreeMap<String, String>, HostError> {
        let documents = change.nodes.iter().map(|one| (one.facts.node.clone(), json!(one))).collect();
        let system = self.system(documents).await?;
        let anew = change.anew.iter().map(|(node, stop)| (node.as_str(), stop.until)).collect();
        let patience = change.anew.values().map(|stop| stop.timeout).max().unwrap_or_default();
        let boots = change.boots && self.look().await?.is_settled_on(&system.system);
        let outcome = match boots {
            true => boot(&self.link, &self.name, &Goal::Boot { anew, patience }).await?,
            false => self.change(Goal::Try { system: &system, anew, patience }).await?,
        };
        match outcome {
            Outcome::Done => {
                Ok(change.anew.keys().map(|node| (node.clone(), system.system.to_string())).collect())
            }
            Outcome::Late => {
                let node = change.anew.keys().next().cloned().unwrap_or_default();
                Err(HostError::TooLate { node })
            }
        }
    }

    async fn renew(&self) -> Result<(), HostError> {
        let look = self.look().await?;
        let system = self.system(look.documents()).await?;
        if !look.is_settled_on(&system.system) {
            self.change(Goal::Keep { system: &system }).await?;
        }
        Ok(())
    }

    async fn dry_activate(&self) -> Result<Option<String>, HostError> {
        let Some(Brought { system, .. }) = self.staged() else { return Ok(None) };
        let script = "\"$system/bin/switch-to-configuration\" dry-activate 2>&1";
        match self.told("asked what it would do", &[("system", system.as_str())], script, PATIENCE).await? {
            (0, said) => Ok(Some(said)),
            (_, said) => Err(self.failed("see what activation would do", &said).into()),
        }
    }

    async fn boot_later(&self) -> Result<bool, HostError> {
        let Some(system) = self.staged() else { return Ok(false) };
        self.change(Goal::Later { system: &system }).await?;
        Ok(true)
    }

    async fn past(&self) -> Result<Past, HostError> {
        let look = self.look().await?;
        let (_, said) = self.told("asked for what it has run", &[], past::SCRIPT, SHORT).await?;
        let strange = || NixosError::Strange { host: self.name.clone(), said: said.clone() };
        Ok(past::of(&said, &look).ok_or_else(strange)?)
    }

    async fn unconfirmed(&self) -> Result<bool, HostError> {
        Ok(self.look().await?.is_on_trial())
    }

    async fn confirm(&self) -> Result<bool, HostError> {
        let look = self.look().await?;
        if !look.is_on_trial() {
            return Ok(look.runs_last());
        }
        self.change(Goal::Confirm).await?;
        Ok(self.look().await?.runs_last())
    }

    async fn revert(&self, until: Until) -> Result<(), HostError> {
        if !self.look().await?.is_on_trial() {
            return Ok(());
        }
        match self.change(Goal::Revert { until, patience: PATIENCE }).await? {
            Outcome::Done => Ok(()),
            Outcome::Late => Err(HostError::TooLate { node: self.name.clone() }),
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        self.look().await?;
        let script = include_str!("scripts/rename.sh");
        match self.deed("told to rename a node", &[("from", from), ("to", to)], script, SHORT).await? {
            (0, _) => Ok(()),
            (3, _) => Err(HostError::NameTaken {
                host: self.name.clone(),
                node: from.to_owned(),
                name: to.to_owned(),
            }),
            (_, said) => Err(self.failed(&format!("rename {from} to {to}"), &said).into()),
        }
    }

    async fn remove(&self, node: &str) -> Result<(), HostError> {
        self.look().await?;
        let script = include_str!("scripts/remove.sh");
        Ok(self.done("remove a node", &[("node", node), ("stack", &self.stack)], script).await?)
    }

    /// Machines stay on: nobody here could switch them on again.
    async fn halt(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// The machine is there after Octad as well, without the nodes, which are removed by then.
    async fn destroy(&self) -> Result<(), HostError> {
        Ok(())
    }

    async fn logs(&self, node: &str, query: LogQuery) -> Result<mpsc::Receiver<LogLine>, HostError> {
        Ok(logs::read(&self.ssh, &self.name, node, query).await?)
    }
}

/// Where the flake's modules keep the parts of a node.
fn layout(node: &str) -> Layout {
    Layout {
        config: format!("/etc/octad/{node}").into(),
        data: format!("{DATA}/{node}").into(),
        runtime: format!("/run/octad-{node}").into(),
        software: PathBuf::new(),
    }
}
