//! Machines that NixOS runs, over SSH. Each has one configuration for all its nodes, a system, which is built of their
//! documents by the user's flake, brought there by a push, and switched to in one act, on trial.
//!
//! | part | what it knows |
//! |---|---|
//! | `options` | what a stack file says of such machines |
//! | `facts` | what a system tells of itself, and what two of them differ in |
//! | `link` | the way to one: a shell there |
//! | `look` | what a machine tells of itself |
//! | `systems` | building systems, and bringing them |
//! | `compare` | what machines run, beside what they are to run |
//! | `lease` | who may change one |
//! | `change` | switching a machine to one, on trial |
//! | `past` | what a machine has run before |
//! | `logs` | what a node's service says |
//! | `scripts` | what runs there for all that |

mod change;
mod compare;
mod error;
mod facts;
mod lease;
mod link;
mod logs;
mod look;
mod machine;
mod options;
mod past;
mod systems;

use super::{Backend, Comparing, Host, HostError, Identity, Lease, Progress, Staging, SystemChange};
use crate::model::{HostInputs, Options};
use crate::nix::Documents;
use async_trait::async_trait;
use error::NixosError;
use facts::SystemFacts;
use lease::Leases;
use machine::Machine;
use options::NixosOptions;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use systems::{Brought, Flakes};

/// Machines that NixOS runs.
#[derive(Default)]
pub struct NixosBackend {
    /// By name: whoever asks for one gets the same, and with it the way that leads there already.
    machines: Mutex<BTreeMap<String, Arc<Machine>>>,
    leases: Leases,
    flakes: Flakes,
}

impl NixosBackend {
    /// The backend's name.
    pub const NAME: &'static str = "nixos";
}

#[async_trait]
impl Backend for NixosBackend {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn host(
        &self,
        site: &Path,
        name: &str,
        inputs: &HostInputs,
        _identity: Identity<'_>,
    ) -> Result<Arc<dyn Host>, HostError> {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = machines.get(name).filter(|known| known.is(site, inputs)) {
            return Ok(known.clone());
        }
        let machine = Arc::new(Machine::new(site, name, inputs, &self.leases, &self.flakes)?);
        machines.insert(name.to_owned(), machine.clone());
        Ok(machine)
    }

    fn check_options(&self, options: &Options) -> Result<(), (String, String)> {
        let known = "machines that NixOS runs have `flake`, `build-host`, `user`, `ssh-config`, `host-keys`, `sign-key` \
                     and `substitute`";
        NixosOptions::read(options).map(drop).map_err(|error| (error.to_string(), known.into()))
    }

    fn is_same(&self, before: &HostInputs, after: &HostInputs) -> bool {
        // The rest says how it is reached and what it is made of.
        before.address == after.address
    }

    fn changes_whole(&self, _inputs: &HostInputs) -> bool {
        true
    }

    fn work_under(&self, lease: &Arc<Lease>) {
        self.leases.work_under(lease);
    }

    async fn compare(
        &self,
        hosts: &[Comparing],
        progress: &Progress,
    ) -> Result<BTreeMap<String, SystemChange>, HostError> {
        let known = |one: &'_ Comparing| {
            self.machines.lock().unwrap_or_else(PoisonError::into_inner).get(&one.host).cloned()
        };
        let machines: Vec<_> = hosts.iter().filter_map(|one| Some((known(one)?, one))).collect();
        Ok(compare::compare(&machines, progress).await?)
    }

    async fn stage(&self, hosts: &[Staging], progress: &Progress) -> Result<(), HostError> {
        let mut documents = Documents::new();
        let (mut machines, mut may_lock_out) = (Vec::new(), BTreeSet::new());
        for staging in hosts {
            let all = staging.nodes.iter().chain(&staging.others);
            let Some(first) = all.clone().next() else { continue };
            let host = first.facts.host.name.clone();
            let machine = self.machines.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
            machines.extend(machine);
            if staging.may_lock_out {
                may_lock_out.insert(host.clone());
            }
            documents.insert(host, all.map(|one| (one.facts.node.clone(), json!(one))).collect());
        }
        let Some(first) = machines.first() else { return Ok(()) };
        let addresses = machines.iter().map(|machine| machine.called());
        all_have_disks(&machines, hosts).await?;
        let source = first.source(addresses.collect());
        let all = documents.clone();
        for machine in &machines {
            let host = machine.called().0;
            if documents.get(&host).is_some_and(|documents| machine.known(documents).is_some()) {
                documents.remove(&host);
            }
        }
        let mut made = BTreeMap::new();
        if !documents.is_empty() {
            made = source.make(&documents, progress).await?;
            none_is_risked(&machines, &made, &may_lock_out).await?;
            source.bring(&made, progress).await?;
        }
        for machine in &machines {
            let host = machine.called().0;
            made.get(&host).into_iter().for_each(|system| machine.has(system.clone()));
            all.get(&host).into_iter().for_each(|documents| machine.is_ready_for(documents));
        }
        Ok(())
    }
}

/// Whatever was compared before: no machine is brought what it may be lost by unless somebody consented to that by its name.
async fn none_is_risked(
    machines: &[Arc<Machine>],
    made: &BTreeMap<String, Brought>,
    may: &BTreeSet<String>,
) -> Result<(), NixosError> {
    for machine in machines {
        let (host, address) = machine.called();
        let Some(after) = made.get(&host).and_then(|one| SystemFacts::of_built(&one.system)) else {
            continue;
        };
        let look = machine.look().await?;
        let risks = look.facts.map(|before| before.risks(&after, &address, &look.user)).unwrap_or_default();
        if !risks.is_empty() && !may.contains(&host) {
            return Err(NixosError::LockOut { host, risks });
        }
    }
    Ok(())
}

/// What can be seen to be missing is told before hours of building, of all machines at once.
async fn all_have_disks(machines: &[Arc<Machine>], hosts: &[Staging]) -> Result<(), NixosError> {
    let looks = machines.iter().map(|machine| async move {
        let name = machine.called().0;
        let nodes = hosts.iter().flat_map(|one| &one.nodes).filter(|node| node.facts.host.name == name);
        let may_format = |host: &str| {
            hosts
                .iter()
                .any(|one| one.may_format && one.nodes.iter().any(|node| node.facts.host.name == host))
        };
        for node in nodes.filter(|node| !node.stateless).take(1) {
            match machine.lacks_disk(node).await? {
                Some(NixosError::Blank { .. }) if may_format(&name) => {}
                Some(lack) => return Ok(Some((name, lack))),
                None => {}
            }
        }
        Ok::<_, NixosError>(None)
    });
    let looked = futures_util::future::try_join_all(looks).await?;
    let mut lacks = looked.into_iter().flatten();
    let Some((_, mut first)) = lacks.next() else { return Ok(()) };
    if let NixosError::Blank { others, .. } | NixosError::NoDisk { others, .. } = &mut first {
        others.extend(lacks.map(|(name, _)| name));
    }
    Err(first)
}
