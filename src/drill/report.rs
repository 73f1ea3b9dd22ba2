//! What drills of one call have shown, with where and of what that was. A report is read by others, so that its form has a
//! version.

use super::run::Terms;
use super::scene::Scene;
use super::verdict::{Finding, Verdict};
use crate::hex::hex;
use crate::model::NodeFacts;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The version of the form in which a report is written.
pub const REPORT_VERSION: u32 = 3;

/// All drills of one call.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`REPORT_VERSION`] of the writer.
    pub version: u32,
    /// The stack.
    pub stack: String,
    /// When it was made.
    pub at: String,
    /// Version of the octad that drilled.
    pub octad: String,
    /// Versions of what the nodes run, by name.
    pub software: BTreeMap<String, String>,
    /// Hash of every setting of every node: two reports with the same one are of the same configuration.
    pub settings: String,
    /// What choices between equals follow from.
    pub seed: u64,
    /// Records a second that the probe wrote to each partition.
    pub rate: u32,
    /// Bytes a second of load that were asked for beside the probe.
    pub load: u64,
    /// Where it was made.
    pub machine: Machine,
    /// What came of each fault.
    pub faults: Vec<Verdict>,
    /// The faults that this stack can't have, where all were asked for.
    pub skipped: Vec<Skipped>,
}

/// A fault that was not drilled.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// Its name.
    pub fault: String,
    /// What is missing for it.
    pub reason: String,
}

/// The machine that everything ran on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
}

impl Report {
    /// The results of drills on this scene.
    pub fn of(scene: &Scene, terms: &Terms, faults: Vec<Verdict>, skipped: Vec<Skipped>) -> Self {
        let nodes = || scene.brokers().iter().chain(scene.servers());
        Self {
            version: REPORT_VERSION,
            stack: scene.stack.name().to_string(),
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            octad: env!("CARGO_PKG_VERSION").to_owned(),
            software: software(nodes()),
            settings: settings(nodes()),
            seed: scene.seed,
            rate: terms.rate,
            load: terms.load,
            machine: Machine::this(),
            faults,
            skipped,
        }
    }

    /// The worst of what was found.
    pub fn finding(&self) -> Finding {
        self.faults.iter().map(|verdict| verdict.finding).max().unwrap_or(Finding::Passed)
    }
}

impl Machine {
    fn this() -> Self {
        let memory = rustix::system::sysinfo();
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.totalram as u64 * u64::from(memory.mem_unit) / (1024 * 1024),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        }
    }
}

/// Versions of what these nodes run.
fn software<'a>(nodes: impl Iterator<Item = &'a NodeFacts>) -> BTreeMap<String, String> {
    nodes.map(|facts| (facts.software.name.clone(), facts.software.version.clone())).collect()
}

/// A hash of all that is set on these nodes.
fn settings<'a>(nodes: impl Iterator<Item = &'a NodeFacts>) -> String {
    let mut hash = Sha256::new();
    for facts in nodes {
        hash.update(
            serde_json::to_vec(&(&facts.node, &facts.settings, &facts.jvm, facts.fence)).unwrap_or_default(),
        );
    }
    hex(&hash.finalize()[..8])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::drill::Trial;
    use crate::drill::verdict::tests::{judged, trial};

    pub(crate) fn report() -> Report {
        Report {
            version: REPORT_VERSION,
            stack: "ha".into(),
            at: "2026-01-01T00:00:00Z".into(),
            octad: "0".into(),
            software: BTreeMap::from([("kafka".into(), "3.9.2".into())]),
            settings: "0".into(),
            seed: 1,
            rate: 50,
            load: 0,
            machine: Machine { cpus: 2, memory_mib: 1024, kernel: "6".into() },
            faults: vec![judged(vec![trial(280)])],
            skipped: Vec::new(),
        }
    }

    #[test]
    fn the_worst_finding_is_the_reports() {
        let mut report = report();
        assert_eq!(report.finding(), Finding::Passed);
        report.faults.push(judged(vec![Trial { evidence: vec![], ..trial(20) }]));
        assert_eq!(report.finding(), Finding::Inconclusive);
        report.faults.push(judged(vec![trial(5000)]));
        assert_eq!(report.finding(), Finding::Failed);
    }
}
