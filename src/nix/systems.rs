//! Builds NixOS systems on this machine: finds the flake, evaluates what isn't remembered, and has Nix build all of it in one
//! go. It knows documents as JSON, which a function of the flake makes systems of, and nothing of what is in them.

mod error;
mod evaluate;
mod flake;
mod program;
mod remembered;

pub use error::BuildError;
pub use evaluate::{Evaluated, FACTS};
pub use flake::Locked;
use program::{Running, nix};
use remembered::Remembered;

use super::StorePath;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many lines of what a failed build logged are shown.
const LOG_LINES: &str = "30";

/// How many derivations another machine is to build at once, and what of them it may have to be able to: it is taken for one
/// that is there to build, and refuses what it can't.
const JOBS: &str = "4";
const FEATURES: &str = "big-parallel,kvm,nixos-test,benchmark";

/// The documents of the nodes on each host: by host, then by node.
pub type Documents = BTreeMap<String, BTreeMap<String, Value>>;

/// How systems are built.
#[derive(Debug, Clone)]
pub struct BuildOptions<'a> {
    /// The flake. Its output [`OUTPUT`](Self::OUTPUT), or the one that was named after a `#`, is a function: of documents by node
    /// to NixOS configurations by host.
    pub flake: &'a Locked,
    /// Where links keep what was built from this machine's garbage collector, with notes of what each was made of.
    pub directory: &'a Path,
    /// The machine that builds, over SSH, in place of this one; the results come to this machine's store.
    pub build_host: Option<&'a str>,
}

impl BuildOptions<'_> {
    /// The output of a flake that makes systems of documents.
    pub const OUTPUT: &'static str = "octad";
}

/// A system that is in this machine's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Where.
    pub system: StorePath,
    /// It was built before of the same flake and the same documents: nothing was evaluated.
    pub remembered: bool,
}

/// What the systems of these hosts will be, before they are built; evaluated is what has no note of an earlier evaluation of the
/// same sources and documents. A host's system is made of its own documents alone, so that another host's change never makes it
/// another one.
///
/// # Errors
/// Where the flake has no such output; where a host's system can't be evaluated, by the name of the first such host.
pub async fn evaluate(
    options: &BuildOptions<'_>,
    hosts: &Documents,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<BTreeMap<String, Evaluated>, BuildError> {
    let notes = Remembered::at(options.directory)?;
    let (mut known, mut left) = (BTreeMap::new(), Vec::new());
    for (host, documents) in hosts {
        match notes.evaluated(host, &options.flake.key(documents)) {
            Some(evaluated) => drop(known.insert(host.clone(), evaluated)),
            None => left.push((host.as_str(), documents)),
        }
    }
    if left.is_empty() {
        return Ok(known);
    }
    let evaluated = evaluate::run_all(options.flake, &left, tell).await?;
    for (host, documents) in left {
        notes.note_evaluated(host, &options.flake.key(documents), &evaluated[host])?;
    }
    known.extend(evaluated);
    Ok(known)
}

/// Builds the systems of these hosts; what was built before of the same sources and documents is there.
///
/// # Errors
/// As [`evaluate`]; where something can't be built, by the names of all hosts that need it.
pub async fn build(
    options: &BuildOptions<'_>,
    hosts: &Documents,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<BTreeMap<String, Built>, BuildError> {
    let notes = Remembered::at(options.directory)?;
    let mut built = BTreeMap::new();
    let mut left = Documents::new();
    for (host, documents) in hosts {
        let key = options.flake.key(documents);
        match notes.system(host, &key) {
            Some(system) => {
                notes.keep(host, &key, &system).await?;
                built.insert(host.clone(), Built { system, remembered: true });
            }
            None => drop(left.insert(host.clone(), documents.clone())),
        }
    }
    if left.is_empty() {
        return Ok(built);
    }
    let mut evaluated = evaluate(options, &left, tell).await?;
    // Whatever collects garbage may have taken a derivation that was only evaluated.
    let gone = left.iter().filter(|(host, _)| !Path::new(&evaluated[*host].drv).exists());
    let gone: Vec<(&str, &BTreeMap<String, Value>)> =
        gone.map(|(host, documents)| (host.as_str(), documents)).collect();
    if !gone.is_empty() {
        evaluated.extend(evaluate::run_all(options.flake, &gone, tell).await?);
    }
    tell(format!("building {}", crate::model::counted(evaluated.len(), "system")));
    realise(options, &evaluated, tell).await?;
    for (host, documents) in &left {
        let system = evaluated[host].out.clone();
        notes.keep(host, &options.flake.key(documents), &system).await?;
        built.insert(host.clone(), Built { system, remembered: false });
    }
    Ok(built)
}

/// Has Nix build all that was evaluated.
async fn realise(
    options: &BuildOptions<'_>,
    evaluated: &BTreeMap<String, Evaluated>,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), BuildError> {
    let mut command = nix("nix");
    command.args(["build", "--no-link", "--keep-going", "--log-lines", LOG_LINES]);
    if let Some(host) = options.build_host {
        let systems: BTreeSet<&str> = evaluated.values().map(|one| one.system.as_str()).collect();
        let systems: Vec<&str> = systems.into_iter().collect();
        let builder = format!("ssh-ng://{host} {} - {JOBS} 1 {FEATURES}", systems.join(","));
        command.args(["--max-jobs", "0", "--builders", &builder]);
    }
    let all: BTreeSet<String> = evaluated.values().map(|one| format!("{}^*", one.drv)).collect();
    let told = |line: &str| {
        if line.starts_with("building '") || line.starts_with("copying ") {
            tell(line.trim_end_matches("...").to_owned());
        }
    };
    let ended = Running::start("nix", command.args(all))?.ended("", &told).await?;
    if ended.status.success() {
        return Ok(());
    }
    let lacks = evaluated.iter().filter(|(_, one)| !one.out.to_path().exists());
    Err(BuildError::Build { hosts: lacks.map(|(host, _)| host.clone()).collect(), said: ended.said })
}
