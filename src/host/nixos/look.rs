//! What a machine tells of itself.

use super::facts::SystemFacts;
use crate::host::{NodeObservation, RunState};
use crate::nix::StorePath;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Tells all of it.
pub(super) const SCRIPT: &str = include_str!("scripts/look.sh");
/// Stands for sources that nobody knows.
pub(super) const UNKNOWN: &str = "-";
/// The last line: what came before it is whole.
const END: &str = "looked";

/// How a machine stands.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Look {
    pub(super) is_nixos: bool,
    /// A change is under way.
    pub(super) is_changing: bool,
    /// What tells one boot from another.
    pub(super) boot: String,
    /// For how long it is up, in milliseconds.
    pub(super) uptime_ms: u64,
    /// Its clock, in milliseconds of Unix time.
    pub(super) now_ms: u64,
    /// The system that it runs.
    pub(super) system: String,
    /// The one that it boots.
    pub(super) profile: String,
    pub(super) addresses: BTreeSet<String>,
    /// What is on trial: what it ran before, what it is to run, in which boot, and what it ran on trial until then.
    trial: Option<[String; 4]>,
    /// A change of what it boots was cut off: its profile and its boot loader may be of two minds.
    is_torn: bool,
    /// What it was changed to last.
    pub(super) last: Option<String>,
    /// The sources that this was made of.
    pub(super) sources: Option<String>,
    /// The fencing token of the lease under which it was changed to it.
    token: Option<u64>,
    /// The user who asked.
    pub(super) user: String,
    /// What the system that it runs tells of itself.
    pub(super) facts: Option<SystemFacts>,
    /// What the one that it booted tells.
    pub(super) booted: Option<SystemFacts>,
    /// Its data disk is there.
    mounted: bool,
    /// The documents in the system that it runs, by node.
    documents: BTreeMap<String, Value>,
    stopped: BTreeSet<String>,
    removed: BTreeSet<String>,
    directories: BTreeSet<String>,
    written: BTreeSet<String>,
    fresh: BTreeSet<String>,
    marked: BTreeSet<String>,
    /// What systemd tells of each unit, by node.
    units: BTreeMap<String, BTreeMap<String, String>>,
}

impl Look {
    /// From what the script said; `None` where it isn't whole.
    pub(super) fn of(said: &str) -> Option<Self> {
        let mut look = Self::default();
        let mut unit: BTreeMap<String, String> = BTreeMap::new();
        let mut units = Vec::new();
        let mut is_whole = false;
        for line in said.lines() {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            let name = || rest.to_owned();
            match what {
                "nixos" => look.is_nixos = true,
                "changing" => look.is_changing = true,
                "boot" => look.boot = name(),
                "uptime" => look.uptime_ms = (rest.parse::<f64>().ok()? * 1000.0) as u64,
                "now" => look.now_ms = rest.parse().ok()?,
                "system" => look.system = name(),
                "profile" => look.profile = name(),
                "addresses" => look.addresses = rest.split_whitespace().map(str::to_owned).collect(),
                "trial" => {
                    let words: Vec<String> = rest.split(' ').map(str::to_owned).collect();
                    look.trial = Some(words.try_into().ok()?);
                }
                "torn" => look.is_torn = true,
                "last" => {
                    let mut words = rest.split(' ');
                    look.last = words.next().map(str::to_owned);
                    look.sources = words.next().filter(|sources| *sources != UNKNOWN).map(str::to_owned);
                    look.token = words.next().and_then(|token| token.parse().ok());
                }
                "user" => look.user = name(),
                "facts" => look.facts = serde_json::from_str(rest).ok(),
                "booted" => look.booted = serde_json::from_str(rest).ok(),
                "mounted" => look.mounted = true,
                "document" => {
                    let (node, text) = rest.split_once(' ')?;
                    look.documents.insert(node.to_owned(), serde_json::from_str(text).ok()?);
                }
                "stopped" => drop(look.stopped.insert(name())),
                "removed" => drop(look.removed.insert(name())),
                "directory" => drop(look.directories.insert(name())),
                "written" => drop(look.written.insert(name())),
                "fresh" => drop(look.fresh.insert(name())),
                "marker" => drop(look.marked.insert(name())),
                // An empty line stands between two units.
                "show" if rest.is_empty() => units.push(std::mem::take(&mut unit)),
                "show" => {
                    let (property, value) = rest.split_once('=')?;
                    unit.insert(property.to_owned(), value.to_owned());
                }
                END => is_whole = true,
                _ => {}
            }
        }
        units.push(unit);
        for unit in units {
            let node = unit.get("Id").and_then(|id| id.strip_prefix("octad-")?.strip_suffix(".service"));
            if let Some(node) = node {
                look.units.insert(node.to_owned(), unit);
            }
        }
        is_whole.then_some(look)
    }

    /// The documents of the nodes that it runs, but for those that were removed.
    pub(super) fn documents(&self) -> BTreeMap<String, Value> {
        let stay = |(node, _): &(&String, &Value)| !self.removed.contains(*node);
        self.documents.iter().filter(stay).map(|(node, document)| (node.clone(), document.clone())).collect()
    }

    /// The nodes of which it has anything.
    pub(super) fn nodes(&self) -> BTreeSet<String> {
        self.documents().into_keys().chain(self.directories.iter().cloned()).collect()
    }

    /// Whether a change is on trial: one of this boot, where no other hand has the machine run something else. One that was cut
    /// off as it was to boot, or not to boot any more, is to be judged as well.
    pub(super) fn is_on_trial(&self) -> bool {
        self.is_torn
            || self.trial.as_ref().is_some_and(|[old, new, boot, before]| {
                *boot == self.boot && [old, new, before].contains(&&self.system)
            })
    }

    /// Whether its data disk is there.
    pub(super) fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Whether it runs what it was changed to last.
    pub(super) fn runs_last(&self) -> bool {
        self.last.as_ref().is_none_or(|last| *last == self.system)
    }

    /// Whether it runs this system, for good.
    pub(super) fn is_settled_on(&self, system: &StorePath) -> bool {
        self.system == system.as_str() && self.profile == system.as_str() && !self.is_on_trial()
    }

    /// The fencing token of the lease under which it was changed to what it runs.
    pub(super) fn wave(&self) -> Option<u64> {
        self.token.filter(|_| self.last.as_ref() == Some(&self.system))
    }

    /// Whether what it runs for good was made of these sources.
    pub(super) fn is_settled_on_what_was_made_of(&self, sources: &str) -> bool {
        let is_last = self.last.as_ref() == Some(&self.system) && self.profile == self.system;
        is_last && self.sources.as_deref() == Some(sources) && !self.is_on_trial()
    }

    /// How a node stands.
    pub(super) fn node(&self, node: &str) -> Option<NodeObservation> {
        let deployment = self.documents().remove(node);
        if deployment.is_none() && !self.directories.contains(node) {
            return None;
        }
        let has = |what: &str| deployment.as_ref().and_then(|document| document.get(what));
        let stateless = has("stateless").and_then(Value::as_bool).unwrap_or(false);
        let begun = match has("written") {
            Some(_) => self.written.contains(node) || self.fresh.contains(node),
            // An empty disk does it no harm: the others fill it.
            None => deployment.is_some() || self.marked.contains(node) || self.fresh.contains(node),
        };
        let data = stateless || (self.mounted && self.directories.contains(node) && begun);
        let run = self.run(node, data);
        Some(NodeObservation { deployment, altered: Vec::new(), data, run })
    }

    fn run(&self, node: &str, data: bool) -> RunState {
        let Some(unit) = self.units.get(node) else { return RunState::Stopped };
        let told = |property: &str| unit.get(property).map_or("", String::as_str);
        let number = |property: &str| told(property).parse::<u64>().unwrap_or(0);
        let restarts = number("NRestarts");
        let exit = || format!("{} {}", code(number("ExecMainCode")), told("ExecMainStatus"));
        match told("ActiveState") {
            "active" | "activating" | "reloading" | "refreshing" => match (told("SubState"), told("Process"))
            {
                ("auto-restart" | "auto-restart-queued", _) => {
                    RunState::Restarting { restarts, last_exit: exit() }
                }
                (_, "T" | "t") => RunState::Frozen,
                _ if told("FreezerState").starts_with("frozen") => RunState::Frozen,
                _ => {
                    let began = number("ExecMainStartTimestampMonotonic") / 1000;
                    let age_ms = if began == 0 { 0 } else { self.uptime_ms.saturating_sub(began) };
                    // What runs before it stands for it.
                    let pid = [number("MainPID"), number("ControlPID")].into_iter().find(|pid| *pid != 0);
                    let pid = pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
                    let digest = told("Environment").split(' ').find_map(|word| word.strip_prefix(DIGEST));
                    let current =
                        told("Runs").is_empty() || digest.is_none_or(|digest| digest == told("Runs"));
                    let since_ms = self.now_ms.saturating_sub(age_ms);
                    RunState::Running { pid, since_ms, age_ms, current, restarts }
                }
            },
            "deactivating" => RunState::Stopping,
            _ if self.stopped.contains(node) => RunState::Stopped,
            "failed" => RunState::Failed { reason: format!("systemd says {}, {}", told("Result"), exit()) },
            _ if told("AssertResult") == "no" => RunState::Failed {
                reason: match data {
                    true => "what it needs was not there when it was started".into(),
                    false => "its data is not there".into(),
                },
            },
            _ => RunState::Stopped,
        }
    }
}

/// The variable by which a process tells of which document it is.
const DIGEST: &str = "OCTAD_DOCUMENT=";

/// How a process ended, by systemd's number for that (`CLD_EXITED` and so on).
fn code(number: u64) -> &'static str {
    match number {
        1 => "exit code",
        2 | 3 => "signal",
        _ => "no exit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "nixos
boot b-1
uptime 100.50
now 1700000000000
system /nix/store/a-nixos-system
profile /nix/store/b-nixos-system
addresses 127.0.0.1 10.77.0.101 
trial /nix/store/b-nixos-system /nix/store/a-nixos-system b-1 /nix/store/b-nixos-system
last /nix/store/a-nixos-system
mounted
removed zk-9
document broker-1 {\"facts\":{},\"written\":\"meta.properties\"}
written broker-1
document zk-9 {}
directory broker-1
show Id=octad-broker-1.service
show ActiveState=active
show SubState=running
show MainPID=42
show Runs=aa
show Process=S
show NRestarts=2
show ExecMainStartTimestampMonotonic=90000000
show Environment=JAVA=x OCTAD_DOCUMENT=aa
looked
";

    #[test]
    fn a_machine_is_read_from_what_it_says() {
        let look = Look::of(SAID).unwrap();
        assert!(look.is_nixos && look.is_on_trial() && look.runs_last());
        assert_eq!(look.nodes(), ["broker-1".to_owned()].into());
        let found = look.node("broker-1").unwrap();
        let RunState::Running { pid, age_ms, current, restarts, since_ms } = found.run else {
            panic!("{found:?}")
        };
        assert_eq!((pid, age_ms, current, restarts, since_ms), (42, 10_500, true, 2, 1_699_999_989_500));
        assert!(found.data);
        assert_eq!(look.node("zk-9"), None, "it was removed");
        assert_eq!(look.node("nobody"), None);
    }

    #[test]
    fn a_trial_is_over_with_its_boot_and_where_another_hand_changed_the_machine() {
        let is_on_trial = |from: &str, to: &str| Look::of(&SAID.replacen(from, to, 1)).unwrap().is_on_trial();
        assert!(is_on_trial("", ""));
        assert!(
            is_on_trial("system /nix/store/a-", "system /nix/store/b-"),
            "it was cut off before the switch"
        );
        assert!(!is_on_trial("boot b-1", "boot b-2"));
        assert!(!is_on_trial("system /nix/store/a-", "system /nix/store/c-"));
    }

    #[test]
    fn what_was_cut_off_as_it_was_to_boot_is_on_trial_in_another_boot_as_well() {
        let booted = SAID.replacen("boot b-1", "boot b-2\ntorn", 1);
        assert!(Look::of(&booted).unwrap().is_on_trial());
    }

    #[test]
    fn what_is_cut_off_is_not_taken_for_a_machine_with_less_on_it() {
        assert_eq!(Look::of(SAID.strip_suffix("looked\n").unwrap()), None);
    }

    #[test]
    fn what_runs_tells_how() {
        let run = |from: &str, to: &str| Look::of(&SAID.replace(from, to)).unwrap().node("broker-1").unwrap();
        let current = |found: NodeObservation| matches!(found.run, RunState::Running { current: true, .. });
        assert!(!current(run("Runs=aa", "Runs=bb")), "it was begun with another document");
        assert!(current(run("Runs=aa", "Runs=")), "who can't be asked isn't begun anew for it");
        assert_eq!(run("Process=S", "Process=T").run, RunState::Frozen);
        let restarting = run("SubState=running", "SubState=auto-restart").run;
        assert!(matches!(restarting, RunState::Restarting { restarts: 2, .. }), "{restarting:?}");
        assert_eq!(run("ActiveState=active", "ActiveState=deactivating").run, RunState::Stopping);
        let stopped = "ActiveState=failed\nstopped broker-1";
        assert_eq!(run("ActiveState=active", stopped).run, RunState::Stopped, "as it was asked to be");
        assert!(matches!(run("ActiveState=active", "ActiveState=failed").run, RunState::Failed { .. }));
    }

    #[test]
    fn data_is_there_with_its_disk_and_what_was_written_to_it() {
        let data =
            |from: &str, to: &str| Look::of(&SAID.replace(from, to)).unwrap().node("broker-1").unwrap().data;
        assert!(data("", ""));
        assert!(!data("mounted\n", ""));
        assert!(!data("written broker-1\n", ""));
        assert!(data("written broker-1\n", "fresh broker-1\n"));
        assert!(!data("directory broker-1\n", ""));
    }
}
