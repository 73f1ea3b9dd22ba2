//! What machines run, beside what they are to run.

use super::error::NixosError;
use super::facts::SystemFacts;
use super::look::Look;
use super::machine::Machine;
use super::systems::{Brought, Together};
use crate::host::{Comparing, Progress, SystemChange, Wanted};
use crate::model::Deployment;
use crate::nix::{Documents, StorePath};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A machine that was reached, with what its nodes are to be.
struct Reached<'a> {
    machine: &'a Machine,
    look: Look,
    documents: Together,
    wanted: &'a Wanted,
}

impl Reached<'_> {
    /// What it runs, of the documents that it has.
    fn runs(&self, goal: &Goal) -> Brought {
        let is_last = self.look.last.as_ref() == Some(&self.look.system);
        let sources = self.look.sources.clone().filter(|_| is_last);
        Brought { documents: self.look.documents(), system: goal.system.clone(), sources }
    }
}

/// A system that a machine has from before; with its documents it runs that.
async fn before(machine: &Machine, system: &str) -> Result<Goal, NixosError> {
    let told = machine.before(system).await?;
    let host = machine.called().0;
    let system: StorePath =
        system.parse().map_err(|_| NixosError::Strange { host, said: system.to_owned() })?;
    machine.has(Brought {
        documents: as_written_now(told.documents()),
        system: system.clone(),
        sources: None,
    });
    Ok(Goal { system, facts: told.facts })
}

/// Documents as this program writes them: by these it will be asked for the system.
fn as_written_now(documents: Together) -> Together {
    let again = |document: Value| match Deployment::of(&document) {
        Ok(Some(deployment)) => serde_json::json!(deployment),
        _ => document,
    };
    documents.into_iter().map(|(node, document)| (node, again(document))).collect()
}

/// What a machine is to run.
struct Goal {
    system: StorePath,
    facts: Option<SystemFacts>,
}

/// Compares them, and has each take note of what it is to run.
pub(super) async fn compare(
    machines: &[(Arc<Machine>, &Comparing)],
    progress: &Progress,
) -> Result<BTreeMap<String, SystemChange>, NixosError> {
    let looks = machines.iter().map(|(machine, comparing)| async move {
        // Whoever can't be asked is told of where it is looked at. What is on trial is judged before anything else.
        let look = machine.look().await.ok().filter(|look| !look.is_changing && !look.is_on_trial())?;
        let mut documents = look.documents();
        documents.extend(comparing.documents.clone());
        Some(Reached { machine: machine.as_ref(), look, documents, wanted: &comparing.wanted })
    });
    let looked = futures_util::future::join_all(looks).await;
    let mut reached: Vec<Reached<'_>> = looked.into_iter().flatten().collect();
    reached.retain(|one| !one.documents.is_empty());
    let mut goals = made(&reached, progress).await?;
    let mut changes = BTreeMap::new();
    for one in &reached {
        let (host, _) = one.machine.called();
        let as_it_runs = || -> Option<Goal> {
            let system = one.look.system.parse().ok()?;
            Some(Goal { system, facts: one.look.facts.clone() })
        };
        let goal = match one.wanted {
            Wanted::Made => goals.remove(&host).or_else(as_it_runs),
            Wanted::AsItRuns => {
                let goal = as_it_runs();
                goal.iter().for_each(|goal| one.machine.has(one.runs(goal)));
                goal
            }
            Wanted::Before(system) => Some(before(one.machine, system).await?),
        };
        let Some(goal) = goal else { continue };
        changes.insert(host, change(one, &goal));
    }
    Ok(changes)
}

/// What is made by now for those that are to run that and may not do so yet.
async fn made(reached: &[Reached<'_>], progress: &Progress) -> Result<BTreeMap<String, Goal>, NixosError> {
    let mut left: Vec<&Reached<'_>> = Vec::new();
    for one in reached.iter().filter(|one| *one.wanted == Wanted::Made) {
        let sources = one.machine.sources().await?;
        if !(one.documents == one.look.documents() && one.look.is_settled_on_what_was_made_of(&sources)) {
            left.push(one);
        }
    }
    let Some(first) = left.first() else { return Ok(BTreeMap::new()) };
    let all: Documents = left.iter().map(|one| (one.machine.called().0, one.documents.clone())).collect();
    let addresses = left.iter().map(|one| one.machine.called()).collect();
    let evaluated = first.machine.source(addresses).foresee(&all, progress).await?;
    let goal = |facts: &Value, system| Goal { system, facts: SystemFacts::of(facts) };
    Ok(evaluated.into_iter().map(|(host, one)| (host, goal(&one.facts, one.out))).collect())
}

fn change(one: &Reached<'_>, goal: &Goal) -> SystemChange {
    let (look, documents) = (&one.look, one.look.documents());
    let (_, address) = one.machine.called();
    let is_settled = look.is_settled_on(&goal.system);
    let both = look.facts.as_ref().zip(goal.facts.as_ref());
    let renewed = match both {
        _ if is_settled => BTreeSet::new(),
        Some((before, after)) => before.renewed(after, documents.keys()),
        // One of them doesn't tell: whoever runs there may begin anew.
        None => documents.keys().cloned().collect(),
    };
    let booted = look.booted.as_ref();
    let lacks_boot = |facts: &Option<SystemFacts>| {
        booted.zip(facts.as_ref()).is_some_and(|(booted, facts)| booted.lacks_boot(facts))
    };
    // It runs that already, and boots another one.
    let runs = if look.system == goal.system.as_str() && !is_settled { &look.profile } else { &look.system };
    SystemChange {
        runs: runs.clone(),
        makes: goal.system.to_string(),
        with_documents: one.documents != documents,
        renewed,
        lacks_boot: lacks_boot(&look.facts),
        will_lack_boot: lacks_boot(&goal.facts),
        risks: both.map(|(before, after)| before.risks(after, &address, &look.user)).unwrap_or_default(),
    }
}
