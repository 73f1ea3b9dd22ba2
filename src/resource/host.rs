//! The kind `host`: a machine, or what stands for one, that runs nodes. What a host is made of is its backend's.

pub(super) mod decide;

use super::{
    Adopted, After, Decision, Deed, Drift, Instance, Kind, KindError, Malformed, Observed, Recorded, Subject,
    Surroundings, Work,
};
use crate::causes::with_causes;
use crate::clock::Until;
use crate::host::{Backend, Host, HostError, Staging, SystemChange};
use crate::model::{Deployment, HostInputs, Key, ProcessSeen, Refusal};
use crate::tool::Lack;
use async_trait::async_trait;
use decide::decide_removal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The kind `host`.
#[derive(Clone)]
pub struct HostKind {
    backends: BTreeMap<&'static str, Arc<dyn Backend>>,
}

/// The status of a host with which nothing is wrong.
const UP: &str = "up";
/// That of one that is off.
const DOWN: &str = "down";
/// That of one of which the last change is on trial.
const UNCONFIRMED: &str = "unconfirmed";

impl HostKind {
    /// The kind's name.
    pub const NAME: &'static str = HostInputs::KIND;

    fn renews(&self, before: &Value, after: &Value) -> bool {
        self.says_of_both(before, after, |backend, before, after| backend.renews(before, after))
    }

    /// What the backend of two inputs says of them; nothing where they have not the same.
    fn says_of_both(
        &self,
        before: &Value,
        after: &Value,
        says: impl FnOnce(&dyn Backend, &HostInputs, &HostInputs) -> bool,
    ) -> bool {
        let (Ok(before), Ok(after)) = (HostInputs::deserialize(before), HostInputs::deserialize(after))
        else {
            return false;
        };
        let backend = self.backends.get(after.backend.as_str()).filter(|_| before.backend == after.backend);
        backend.is_some_and(|backend| says(backend.as_ref(), &before, &after))
    }

    /// The kind, where these backends are known.
    pub fn new(backends: BTreeMap<&'static str, Arc<dyn Backend>>) -> Self {
        Self { backends }
    }
}

/// What a host told of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    /// The nodes of which it has anything.
    nodes: BTreeSet<String>,
    /// A host that it replaces is down, with the nodes that are still there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    outgoing_down: bool,
}

#[async_trait]
impl Kind for HostKind {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn validate(&self, inputs: &Value) -> Result<(), Malformed> {
        let HostInputs { backend, options, .. } = HostInputs::deserialize(inputs)?;
        if let Some(backend) = self.backends.get(backend.as_str()) {
            let malformed = |(message, hint)| Malformed { path: Some("hosts.options".into()), message, hint };
            return backend.check_options(&options).map_err(malformed);
        }
        let known: Vec<_> = self.backends.keys().copied().collect();
        Err(Malformed {
            path: Some("hosts.backend".into()),
            message: format!("there is no host backend `{backend}`"),
            hint: format!("known: {}", known.join(", ")),
        })
    }

    fn claims(&self, inputs: &Value) -> Vec<String> {
        let address = inputs.get("address").and_then(Value::as_str);
        address.map(|address| format!("the address {address}")).into_iter().collect()
    }

    fn changes_whole(&self, inputs: &Value) -> bool {
        let inputs = HostInputs::deserialize(inputs).ok();
        let backend = inputs.and_then(|inputs| Some((self.backends.get(inputs.backend.as_str())?, inputs)));
        backend.is_some_and(|(backend, inputs)| backend.changes_whole(&inputs))
    }

    fn is_same(&self, before: &Value, after: &Value) -> bool {
        self.says_of_both(before, after, |backend, before, after| backend.is_same(before, after))
    }

    fn describe(&self, inputs: &Value) -> String {
        match HostInputs::deserialize(inputs) {
            Ok(HostInputs { backend, address: Some(address), .. }) => format!("{backend} {address}"),
            Ok(HostInputs { backend, .. }) => format!("{backend}, address known after up"),
            Err(_) => String::new(),
        }
    }

    fn decide(&self, subject: &Subject<'_>) -> Decision {
        match subject.declared {
            Some(declared) => self.decide_declared(subject, declared),
            None => decide_removal(subject),
        }
    }

    fn allows_rename(&self, key: &Key) -> Result<(), Refusal> {
        Err(Refusal {
            key: key.clone(),
            reason: "all that runs on a host would stop while it is renamed".into(),
            hint: "leave the host its name; the nodes on it can be renamed".into(),
        })
    }

    /// One that runs nodes, by its address. One that has an id besides is found by that only; what one is made of it doesn't
    /// tell, so that nothing newer is known of one that is recorded.
    fn adopts(&self, subject: &Subject<'_>) -> Option<Adopted> {
        let declared = subject.declared.filter(|_| subject.recorded.is_none())?;
        let Observed::Present { detail, .. } = subject.observed else { return None };
        let runs_nodes = Found::deserialize(detail).is_ok_and(|found| !found.nodes.is_empty());
        let outputs = self.foreseen_outputs(subject.key, declared);
        (runs_nodes && !outputs.is_null()).then(|| Adopted { inputs: declared.clone(), outputs })
    }

    fn leaves(&self, subject: &Subject<'_>) -> Vec<String> {
        let of_boot = |system: &SystemChange| match (system.is_due(), subject.reboot) {
            (_, true) => None,
            (true, false) if system.will_lack_boot => Some("will run"),
            (false, false) if system.lacks_boot => Some("runs"),
            _ => None,
        };
        let told =
            |runs| format!("{runs} another kernel than its system has until it boots: `octad up --reboot`");
        subject.system.and_then(of_boot).map(told).into_iter().collect()
    }

    fn drift(&self, _recorded: &Recorded, observed: &Observed) -> Drift {
        match observed {
            Observed::Present { status, .. } if status == UP => Drift::None,
            Observed::Present { status, .. } => Drift::Impaired { how: format!("is {status}") },
            Observed::Absent => Drift::Impaired { how: "is gone".into() },
            Observed::Unknown(why) => Drift::Unknown { why: why.clone() },
        }
    }

    fn foreseen(&self, _inputs: &Value, observed: &Observed, _after: After<'_>) -> Observed {
        let detail = match observed {
            Observed::Present { detail, .. } => Found::deserialize(detail).ok(),
            Observed::Absent | Observed::Unknown(_) => None,
        };
        let nodes = detail.map(|found| found.nodes).unwrap_or_default();
        let detail = json!(Found { nodes, outgoing_down: false });
        Observed::Present { status: UP.into(), detail, process: ProcessSeen::Runs, broken: None }
    }

    fn foreseen_outputs(&self, key: &Key, inputs: &Value) -> Value {
        match HostInputs::deserialize(inputs) {
            Ok(HostInputs { address: Some(address), zone, .. }) => outputs(key, &address.to_string(), zone),
            _ => Value::Null,
        }
    }

    async fn observe(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
    ) -> BTreeMap<Key, Observed> {
        let looks = subjects.iter().map(|(key, instance)| async move {
            let observed = match surroundings.host_of(key, instance) {
                Err(error) => Observed::Unknown(with_causes(&error)),
                Ok(host) => match look(host.as_ref()).await {
                    Ok(None) => Observed::Absent,
                    Ok(Some((status, nodes))) => Observed::Present {
                        status: status.into(),
                        detail: json!(Found { nodes, outgoing_down: outgoing_down(surroundings, key).await }),
                        process: if status == DOWN { ProcessSeen::Gone } else { ProcessSeen::Runs },
                        broken: None,
                    },
                    Err(error) => Observed::Unknown(with_causes(&error)),
                },
            };
            (key.clone(), observed)
        });
        // Side by side: one that doesn't answer takes its time.
        futures_util::future::join_all(looks).await.into_iter().collect()
    }

    async fn lacking(&self, surroundings: &dyn Surroundings, work: &[Work]) -> Result<Vec<Lack>, KindError> {
        let mut lacking = Vec::new();
        for item in work {
            lacking.extend(wanted(surroundings, item)?.lacking().await?);
        }
        Ok(lacking)
    }

    async fn stage(&self, surroundings: &dyn Surroundings, work: &[Work]) -> Result<(), KindError> {
        let mut systems: BTreeMap<String, Vec<Staging>> = BTreeMap::new();
        for item in work {
            wanted(surroundings, item)?.check().await?;
            if surroundings.system(&item.key).is_some_and(|system| system.interrupts_nobody()) {
                let staging = as_it_stands(surroundings, &item.key).await?;
                systems.entry(surroundings.backend_of(&item.key)?).or_default().push(staging);
            }
        }
        for (backend, hosts) in systems {
            surroundings.backend(&backend)?.stage(&hosts, &surroundings.progress()).await?;
        }
        Ok(())
    }

    async fn create(
        &self,
        surroundings: &dyn Surroundings,
        deed: &Deed<'_>,
        inputs: &Value,
        _detail: &Value,
    ) -> Result<Value, KindError> {
        let key = deed.key;
        let id = match known_id(surroundings, key) {
            Some(id) => Some(id),
            None => {
                let asked = Instance { inputs: inputs.clone(), ..Instance::default() };
                let made = surroundings.host_of(key, &asked)?.make(&deed.token).await?;
                // Noted at once, so that a later run finds it although this one is killed.
                made.iter().try_for_each(|id| (deed.note)(&json!({ ID: id })))?;
                made
            }
        };
        bring_up(surroundings, key, inputs, id).await
    }

    async fn update(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        _before: &Value,
        after: &Value,
        _until: Option<Until>,
    ) -> Result<Value, KindError> {
        for old in outgoing(surroundings, key)? {
            if old.power().await? == Some(false) {
                old.boot().await?;
            }
        }
        let outputs = bring_up(surroundings, key, after, known_id(surroundings, key)).await?;
        if surroundings.system(key).is_some_and(|system| system.interrupts_nobody()) {
            surroundings.host(key)?.renew().await?;
        }
        Ok(outputs)
    }

    async fn unconfirmed(&self, surroundings: &dyn Surroundings, key: &Key) -> Result<bool, KindError> {
        Ok(surroundings.host(key)?.unconfirmed().await?)
    }

    async fn confirm(&self, surroundings: &dyn Surroundings, key: &Key) -> Result<bool, KindError> {
        Ok(surroundings.host(key)?.confirm().await?)
    }

    async fn revert(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        until: Until,
    ) -> Result<(), KindError> {
        Ok(surroundings.host(key)?.revert(until).await?)
    }

    async fn halt(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        _inputs: &Value,
    ) -> Result<bool, KindError> {
        let mut halted = false;
        for host in outgoing(surroundings, key)?.into_iter().chain([surroundings.host(key)?]) {
            if host.power().await? == Some(true) {
                host.halt().await?;
                halted = true;
            }
        }
        Ok(halted)
    }

    async fn delete(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Instance,
    ) -> Result<(), KindError> {
        let host = surroundings.host_of(key, before)?;
        // Those that the stack knew of are removed by now.
        empty(key, host.nodes().await?)?;
        Ok(host.destroy().await?)
    }

    async fn discard(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        outgoing: &Instance,
    ) -> Result<(), KindError> {
        let (old, new) = (surroundings.host_of(key, outgoing)?, surroundings.host(key)?);
        let mut needed = BTreeSet::new();
        for node in old.nodes().await? {
            // A node is needed here while it runs here, or until the new host has its data.
            let runs = old.node(&node).await?.is_some_and(|found| found.run.has_process());
            if runs || !new.node(&node).await?.is_some_and(|found| found.data) {
                needed.insert(node);
            }
        }
        empty(key, needed)?;
        for node in old.nodes().await? {
            old.remove(&node).await?;
        }
        Ok(old.destroy().await?)
    }
}

/// How a host stands, and what lies there; `None` where it doesn't exist.
async fn look(host: &dyn Host) -> Result<Option<(&'static str, BTreeSet<String>)>, HostError> {
    let Some(up) = host.power().await? else { return Ok(None) };
    let disturbed = match host.drillable().filter(|_| up) {
        Some(host) => host.disturbance().await?,
        None => None,
    };
    let status = match disturbed {
        _ if !up => DOWN,
        Some(disturbed) => disturbed,
        None if host.unconfirmed().await? => UNCONFIRMED,
        None => UP,
    };
    Ok(Some((status, host.nodes().await?)))
}

/// The output that holds the id which the world gave a host.
pub(crate) const ID: &str = "id";

fn known_id(surroundings: &dyn Surroundings, key: &Key) -> Option<String> {
    surroundings.output(key, ID)?.as_str().map(str::to_owned)
}

/// What a host tells of itself, but for an id.
fn outputs(key: &Key, address: &str, zone: Option<String>) -> Value {
    json!({ "address": address, "zone": zone.unwrap_or_else(|| key.name.clone()) })
}

/// Makes a host exist and reachable, and returns its outputs.
async fn bring_up(
    surroundings: &dyn Surroundings,
    key: &Key,
    inputs: &Value,
    id: Option<String>,
) -> Result<Value, KindError> {
    let known = id.as_ref().map_or(Value::Null, |id| json!({ ID: id }));
    let instance = Instance { inputs: inputs.clone(), outputs: known, token: None };
    let address = surroundings.host_of(key, &instance)?.boot().await?;
    let mut outputs = outputs(key, &address, KindError::read::<HostInputs>(key, inputs)?.zone);
    if let Some(id) = id {
        outputs[ID] = id.into();
    }
    Ok(outputs)
}

/// What is made ready for a host that is to run another system beside its nodes as they are.
async fn as_it_stands(surroundings: &dyn Surroundings, key: &Key) -> Result<Staging, KindError> {
    let host = surroundings.host(key)?;
    let mut others = Vec::new();
    for node in host.nodes().await? {
        let document = host.node(&node).await?.and_then(|found| found.deployment);
        let document = document.map(|document| KindError::read::<Deployment>(key, &document)).transpose()?;
        others.extend(document);
    }
    Ok(Staging { others, may_lock_out: surroundings.allows_lockout(key), ..Staging::of(host) })
}

/// A host as it is to be, of which nothing need be there.
fn wanted(surroundings: &dyn Surroundings, work: &Work) -> Result<Arc<dyn Host>, KindError> {
    let instance = Instance { inputs: work.inputs.clone(), ..Instance::default() };
    surroundings.host_of(&work.key, &instance)
}

/// Whether one that was replaced by this host is known to be down.
async fn outgoing_down(surroundings: &dyn Surroundings, key: &Key) -> bool {
    for old in outgoing(surroundings, key).into_iter().flatten() {
        if old.power().await.is_ok_and(|power| power == Some(false)) {
            return true;
        }
    }
    false
}

/// The hosts that were replaced by this one and still exist, oldest first.
pub(super) fn outgoing(surroundings: &dyn Surroundings, key: &Key) -> Result<Vec<Arc<dyn Host>>, KindError> {
    let outgoing = surroundings.outgoing(key);
    outgoing.iter().map(|instance| surroundings.host_of(key, instance)).collect()
}

/// Refuses to have a host go with nodes on it.
fn empty(key: &Key, nodes: BTreeSet<String>) -> Result<(), KindError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let nodes = nodes.into_iter().collect::<Vec<_>>().join(", ");
    Err(KindError::HoldsNodes { key: key.clone(), nodes })
}
