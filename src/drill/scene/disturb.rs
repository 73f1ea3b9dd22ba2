//! How a fault disturbs what is there. Every disturbance is written down before it is made, so that it is undone even where
//! Octad itself is killed meanwhile.

use super::{Scene, run_state, said};
use crate::drill::TOPIC;
use crate::drill::error::DrillError;
use crate::host::{Ability, Cut, Host, RunState};
use crate::model::NodeFacts;
use crate::resource::KindError;
use crate::supervisor::Signal;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a node that is stopped in order may take.
const STOP: Duration = Duration::from_secs(60);

impl Scene {
    /// Sends a signal to a node's process.
    ///
    /// # Errors
    /// Where its host can't.
    pub async fn signal(&self, facts: &NodeFacts, signal: Signal) -> Result<(), DrillError> {
        self.disturb(&facts.node)?;
        let sent = async { Ok(self.host(facts)?.drill()?.signal(&facts.node, signal).await?) };
        said("signal", &facts.node, sent.await)
    }

    /// Stops a node in order, and has it stay down.
    ///
    /// # Errors
    /// Where its host can't.
    pub async fn stop(&self, facts: &NodeFacts) -> Result<(), DrillError> {
        self.stop_within(facts, STOP).await
    }

    /// Kills a node and has it stay down.
    ///
    /// # Errors
    /// Where its host can't.
    pub async fn keep_down(&self, facts: &NodeFacts) -> Result<(), DrillError> {
        self.stop_within(facts, Duration::ZERO).await
    }

    async fn stop_within(&self, facts: &NodeFacts, limit: Duration) -> Result<(), DrillError> {
        self.disturb(&facts.node)?;
        let stopped = async { Ok(self.host(facts)?.stop(&facts.node, limit, None).await?) };
        said("stop", &facts.node, stopped.await)
    }

    /// Has the hosts of nodes end at once, with all that runs on them. Where they can be cut off they all are, before
    /// anything dies, so that nothing says goodbye.
    ///
    /// # Errors
    /// Where that can't be had.
    pub async fn lose_hosts(&self, nodes: &[&NodeFacts], unsynced: Unsynced) -> Result<(), DrillError> {
        for facts in nodes {
            self.disturb(&facts.node)?;
        }
        // Disks last: a broker that notices a disk error ends, and its supervisor would fence it.
        for step in [Step::Cut, Step::Kill, Step::ShutDisksDown] {
            let taken = nodes.iter().map(async |facts| {
                let taken = async { lost(self.host(facts)?.as_ref(), step, unsynced).await };
                said("lose the host of", &facts.node, taken.await)
            });
            futures_util::future::try_join_all(taken).await?;
        }
        Ok(())
    }

    /// Cuts the host of a node off.
    ///
    /// # Errors
    /// Where its host can't.
    pub async fn cut(&self, facts: &NodeFacts, cut: &Cut) -> Result<(), DrillError> {
        self.disturb(&facts.node)?;
        let made = async { Ok(self.host(facts)?.drill()?.cut(cut).await?) };
        said("cut off", &facts.node, made.await)
    }

    /// Fills the disk of a node.
    ///
    /// # Errors
    /// Where its host can't.
    pub async fn fill_disk(&self, facts: &NodeFacts) -> Result<(), DrillError> {
        self.disturb(&facts.node)?;
        let filled = async { Ok(self.host(facts)?.drill()?.fill_disk(&facts.node).await?) };
        said("fill the disk of", &facts.node, filled.await)
    }

    /// Undoes every disturbance: hosts are booted and mended, frozen processes go on, stopped ones start.
    ///
    /// # Errors
    /// The first that could not be undone; the others are undone nevertheless.
    pub async fn restore(&self) -> Result<(), DrillError> {
        let names = self.disturbed.lock().expect("no holder of the names panics").clone();
        let disturbed = self.brokers.iter().chain(&self.servers).filter(|facts| names.contains(&facts.node));
        let restored = disturbed.map(async |facts| {
            let restored = async { restored(self.host(facts)?.as_ref(), &facts.node).await };
            said("put right", &facts.node, restored.await)
        });
        let results = futures_util::future::join_all(restored).await;
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        self.disturbed.lock().expect("no holder of the names panics").clear();
        // Where it stays, the next drill puts right once more what is right already.
        let _ = std::fs::remove_file(note(&self.site));
        Ok(())
    }

    fn disturb(&self, node: &str) -> Result<(), DrillError> {
        let mut names = self.disturbed.lock().expect("no holder of the names panics");
        names.insert(node.to_owned());
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        let path = note(&self.site);
        std::fs::write(&path, text).map_err(|source| DrillError::Io { action: "write", path, source })
    }

    pub(super) fn left(site: &Path) -> BTreeSet<String> {
        let text = std::fs::read_to_string(note(site)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// What becomes of records that a lost host has only in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// Its kernel keeps them: only processes die.
    Kept,
    /// The probe's are gone, as all are where power is lost, if its disks can be shut down. Those of other topics are spared:
    /// a drill loses nobody's records but its own.
    Lost,
}

/// How a host is lost.
#[derive(Debug, Clone, Copy)]
enum Step {
    Cut,
    Kill,
    ShutDisksDown,
}

/// Takes a step, where the host has it.
async fn lost(host: &dyn Host, step: Step, unsynced: Unsynced) -> Result<(), KindError> {
    let host = host.drill()?;
    let can = |ability| host.lacks(ability).is_none();
    match step {
        Step::Cut if can(Ability::Cut) => host.cut(&Cut::off()).await?,
        Step::Kill => host.lose().await?,
        Step::ShutDisksDown if unsynced == Unsynced::Lost && can(Ability::ShutDisksDown) => {
            host.shut_disks_down(TOPIC).await?;
        }
        Step::Cut | Step::ShutDisksDown => {}
    }
    Ok(())
}

/// Where it is written which nodes are disturbed.
fn note(site: &Path) -> PathBuf {
    site.join("disturbed")
}

async fn restored(host: &dyn Host, node: &str) -> Result<(), KindError> {
    host.boot().await?;
    match run_state(host, node).await? {
        // One that was halted a moment ago may still count as running.
        Some(found @ (RunState::Running { .. } | RunState::Frozen)) => {
            if let Err(error) = host.drill()?.signal(node, Signal::Cont).await {
                // One that has ended since is not frozen.
                if run_state(host, node).await?.is_some_and(|now| now == found) {
                    return Err(error.into());
                }
            }
        }
        Some(RunState::Stopped) => host.start(node).await?,
        // The supervisor is at it, or nothing helps.
        _ => {}
    }
    Ok(())
}
