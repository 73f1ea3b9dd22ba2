//! The kind `node`: one member of a group, running on a host. What is declared of it are its facts; what is planned, recorded
//! and put on its host is the document that its role makes of them.

mod change;
mod decide;
mod files;
mod install;
mod leave;
mod location;
mod seen;
mod stage;

use super::{
    Adopted, After, Decision, Deed, Drift, Files, Fitted, Instance, Kind, KindError, Loss, Malformed,
    Observed, Part, Recorded, Siblings, Subject, Surroundings, Work, host, view,
};
use crate::causes::with_causes;
use crate::clock::Until;
use crate::host::{NodeObservation, RunState};
use crate::model::{Deployment, HealthCheck, Key, NodeFacts, PropertyChange, Refusal, compare};
use crate::role::{Altered, Role};
use crate::tool::Lack;
use async_trait::async_trait;
pub(crate) use decide::counted_on_hint;
use decide::never_made;
use files::readable;
use install::{STOP_TIMEOUT, patience, vacant};
use leave::Leaving;
use seen::{Seen, seen};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The kind `node`, with the roles that it may have.
pub struct NodeKind {
    roles: BTreeMap<&'static str, Arc<dyn Role>>,
}

impl NodeKind {
    /// The kind's name.
    pub const NAME: &'static str = NodeFacts::KIND;

    /// The kind with these roles.
    pub fn new(roles: BTreeMap<&'static str, Arc<dyn Role>>) -> Self {
        Self { roles }
    }

    fn role(&self, key: &Key, facts: &NodeFacts) -> Result<&Arc<dyn Role>, KindError> {
        self.roles
            .get(facts.role.as_str())
            .ok_or_else(|| KindError::UnknownRole { key: key.clone(), role: facts.role.clone() })
    }

    /// How a node with these inputs is run.
    pub(crate) fn deployment(&self, key: &Key, inputs: &Value) -> Result<Deployment, KindError> {
        let document = Deployment::of(inputs);
        // What was made of its facts once is what a node is, also where another role would make something else of them.
        if let Some(made) = document.map_err(|source| KindError::Inputs { key: key.clone(), source })? {
            return Ok(made);
        }
        let facts = facts(key, inputs)?;
        if !crate::model::references(inputs).is_empty() {
            return Err(KindError::NotYetKnown { key: key.clone() });
        }
        Ok(self.role(key, &facts)?.deployment(facts))
    }

    /// In what two of a node's inputs differ: in its facts, and in what its role makes of the same facts. What it makes of
    /// other facts follows from those and is not told.
    fn changes(&self, before: &Value, after: &Value) -> Vec<PropertyChange> {
        let facts = |inputs: &Value| inputs.get(Deployment::FACTS).unwrap_or(inputs).clone();
        let mut changes = compare(&facts(before), &facts(after));
        if changes.is_empty() {
            return compare(before, after);
        }
        // What was recorded is not what the role makes by now, and it is that which comes.
        if self.rendered(facts(after)) == *after {
            changes.extend(compare(before, &self.rendered(facts(before))));
        }
        changes
    }

    /// Whether a node with these inputs keeps no data; what can't be read may keep some.
    fn is_stateless(&self, inputs: &Value) -> bool {
        let facts = NodeFacts::of(inputs).ok();
        facts.and_then(|facts| self.roles.get(facts.role.as_str())).is_some_and(|role| role.stateless())
    }
}

fn facts(key: &Key, inputs: &Value) -> Result<NodeFacts, KindError> {
    NodeFacts::of(inputs).map_err(|source| KindError::Inputs { key: key.clone(), source })
}

#[async_trait]
impl Kind for NodeKind {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn validate(&self, inputs: &Value) -> Result<(), Malformed> {
        let facts = NodeFacts::of(inputs)?;
        let Some(role) = self.roles.get(facts.role.as_str()) else {
            let known: Vec<_> = self.roles.keys().copied().collect();
            return Err(Malformed {
                path: None,
                message: format!("the role `{}` is not known", facts.role),
                hint: format!("known: {}", known.join(", ")),
            });
        };
        let check = role.check(&facts);
        let Some(asked) =
            check.as_ref().map(HealthCheck::port).filter(|port| !facts.ports.contains_key(*port))
        else {
            return Ok(());
        };
        let declared: Vec<_> = facts.ports.keys().map(|port| format!("`{port}`")).collect();
        Err(Malformed {
            path: None,
            message: format!(
                "the role {} asks for its health at the port `{asked}`, and it declares {}",
                facts.role,
                if declared.is_empty() { "no port".into() } else { format!("only {}", declared.join(", ")) }
            ),
            hint: "declare that port among its facts, or have the role's `check` name one of those".into(),
        })
    }

    fn claims(&self, inputs: &Value) -> Vec<String> {
        let Ok(facts) = NodeFacts::of(inputs) else { return Vec::new() };
        let ports = facts.ports.values().map(|port| format!("port {port} of host {}", facts.host.name));
        let id = format!("id {} in the group {}", facts.id, facts.group);
        // What befalls a host befalls one member of a group at most.
        let place = format!("the place of the group {} on host {}", facts.group, facts.host.name);
        ports.chain([id, place]).collect()
    }

    fn stands_on(&self, inputs: &Value) -> Option<Key> {
        NodeFacts::of(inputs).ok().map(|facts| facts.host.key())
    }

    fn describe(&self, inputs: &Value) -> String {
        let Ok(facts) = NodeFacts::of(inputs) else { return String::new() };
        let heap = facts.jvm.map(|jvm| format!(", heap {} MiB", jvm.heap_mib)).unwrap_or_default();
        format!("{} on {}{heap}", facts.software.wanted(), facts.host.name)
    }

    fn fit(&self, all: &Siblings<'_>) -> Fitted {
        let mut now: BTreeMap<String, Vec<NodeFacts>> = BTreeMap::new();
        for recorded in all.recorded.values() {
            let Ok(facts) = NodeFacts::of(&recorded.inputs) else { continue };
            now.entry(facts.group.clone()).or_default().push(facts);
        }
        let mut fitted = Fitted::default();
        for (key, declared) in &all.declared {
            let Ok(wanted) = facts(key, declared) else { continue };
            let (Ok(role), Some(now)) = (self.role(key, &wanted), now.get(&wanted.group)) else { continue };
            if let Some(next) = role.waypoint(now, &wanted, all.groups.get(&wanted.group)) {
                fitted.inputs.insert((*key).clone(), json!(next));
                fitted.waypoints.insert((*key).clone());
            }
        }
        fitted
    }

    fn foreseen(&self, inputs: &Value, observed: &Observed, after: After<'_>) -> Observed {
        let seen = match observed {
            Observed::Present { detail, .. } => Seen::deserialize(detail).ok(),
            Observed::Absent | Observed::Unknown(_) => None,
        };
        let left = match after {
            After::Made => false,
            After::Started => seen.is_some_and(|seen| seen.left),
            After::Renewed(renewed) => {
                let host = facts(&Key::new(Self::NAME, "?"), inputs).map(|facts| facts.host.key());
                match (host, seen) {
                    (Ok(host), Some(seen)) if renewed.contains(&host) && seen.found.data => true,
                    // What has no data there has none anywhere.
                    (Ok(host), _) if renewed.contains(&host) => return Observed::Absent,
                    _ => return observed.clone(),
                }
            }
        };
        let run = RunState::Running { pid: 0, since_ms: 0, age_ms: 0, current: true, restarts: 0 };
        let found =
            NodeObservation { deployment: Some(inputs.clone()), altered: Vec::new(), data: true, run };
        Seen { found, altered_files: Altered::new(), left }.observed()
    }

    fn rendered(&self, inputs: Value) -> Value {
        match self.deployment(&Key::new(Self::NAME, "?"), &inputs) {
            Ok(document) => json!(document),
            Err(KindError::NotYetKnown { .. }) if inputs.get(Deployment::FACTS).is_none() => {
                json!({ Deployment::FACTS: inputs })
            }
            // What is wrong with it is told by whoever wants more of it.
            Err(_) => inputs,
        }
    }

    fn decide(&self, subject: &Subject<'_>) -> Decision {
        match subject.declared {
            Some(declared) => self.decide_declared(subject, declared),
            None => self.decide_removal(subject),
        }
    }

    fn protects(&self, recorded: &Recorded) -> bool {
        !never_made(recorded) && !self.is_stateless(&recorded.inputs)
    }

    fn losses(&self, subject: &Subject<'_>) -> Vec<Loss> {
        let Some((declared, recorded)) = subject.declared.zip(subject.recorded) else { return vec![] };
        // What lies on the host is what it runs with.
        let seen = match subject.observed {
            Observed::Present { detail, .. } => Seen::deserialize(detail).ok(),
            _ => None,
        };
        let (found, altered) =
            seen.map(|seen| (seen.found.deployment, seen.altered_files)).unwrap_or_default();
        let before = found.unwrap_or_else(|| recorded.inputs.clone());
        let (Ok(before), Ok(after)) = (facts(subject.key, &before), facts(subject.key, declared)) else {
            return vec![];
        };
        let of = Key::new("group", &after.group);
        let role = self.role(subject.key, &after).ok();
        let lowered = role.map(|role| role.losses(&before, &altered, &after)).unwrap_or_default();
        lowered.into_iter().map(|what| Loss { of: of.clone(), what }).collect()
    }

    fn allows_rename(&self, _key: &Key) -> Result<(), Refusal> {
        Ok(())
    }

    /// One whose document lies on its host, with its data.
    fn adopts(&self, subject: &Subject<'_>) -> Option<Adopted> {
        let Observed::Present { detail, .. } = subject.observed else { return None };
        let seen = Seen::deserialize(detail).ok().filter(|seen| seen.found.data && !seen.left)?;
        let document = seen.found.deployment?;
        let (is, declared) =
            (facts(subject.key, &document).ok()?, facts(subject.key, subject.declared?).ok()?);
        let what = |facts: &NodeFacts| {
            let NodeFacts { stack, node, role, group, id, host, .. } = facts.clone();
            (stack, node, role, group, id, host.name)
        };
        let outputs = json!({ "generation": Value::Null });
        (what(&is) == what(&declared)).then_some(Adopted { inputs: document, outputs })
    }

    fn drift(&self, recorded: &Recorded, observed: &Observed) -> Drift {
        self.drifted(recorded, observed)
    }

    async fn observe(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
    ) -> BTreeMap<Key, Observed> {
        let looks = subjects.iter().map(|(key, instance)| async move {
            let observed = match seen(surroundings, key, &instance.inputs).await {
                Ok(Some(mut seen)) => {
                    // One that keeps no data lacks none, whatever its host says.
                    seen.found.data |= self.is_stateless(&instance.inputs);
                    seen.observed()
                }
                Ok(None) => Observed::Absent,
                Err(error) => Observed::Unknown(with_causes(&error)),
            };
            (key.clone(), observed)
        });
        futures_util::future::join_all(looks).await.into_iter().collect()
    }

    async fn lacking(&self, surroundings: &dyn Surroundings, work: &[Work]) -> Result<Vec<Lack>, KindError> {
        stage::lacking(self, surroundings, work).await
    }

    async fn stage(&self, surroundings: &dyn Surroundings, work: &[Work]) -> Result<(), KindError> {
        stage::stage(self, surroundings, work).await
    }

    async fn files(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<Option<(Files, Files)>, KindError> {
        let deployment = self.deployment(key, inputs)?;
        let host = location::host_with(surroundings, &deployment.facts.host.key(), key).await?;
        let lying = host.files(&location::name(host.as_ref(), surroundings, key).await?).await?;
        Ok(Some((readable(lying), readable(host.render(&deployment)))))
    }

    async fn create(
        &self,
        surroundings: &dyn Surroundings,
        deed: &Deed<'_>,
        inputs: &Value,
        detail: &Value,
    ) -> Result<Value, KindError> {
        let key = deed.key;
        let deployment = self.deployment(key, inputs)?;
        let host = surroundings.host(&deployment.facts.host.key())?;
        let told = |what: &str| detail.get(what).and_then(Value::as_bool).unwrap_or(false);
        if told("refill") {
            // The others may have moved on since the plan was made.
            let view = view(surroundings, &deployment.facts.group).await;
            self.refill(key, &deployment.facts, view.as_ref())?;
        } else if location::look(host.as_ref(), surroundings, key).await?.is_none_or(|found| !found.data) {
            let role = self.role(key, &deployment.facts)?.as_ref();
            vacant(surroundings, key, role, &deployment.facts).await?;
        }
        location::rename(host.as_ref(), surroundings, key, STOP_TIMEOUT, None).await?;
        if surroundings.allows_format(&deployment.facts.host.key()) {
            host.format_disk(&deployment, told("refill")).await?;
        }
        let generation = self.put(host.as_ref(), key, deployment, told("bootstrap")).await?;
        host.start(&key.name).await?;
        Ok(json!({ "generation": generation }))
    }

    async fn start(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<Value, KindError> {
        change::start(self, surroundings, key, inputs).await
    }

    async fn update_at_rest(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Value,
        after: &Value,
    ) -> Result<Value, KindError> {
        change::update_at_rest(self, surroundings, key, before, after).await
    }

    async fn update(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Value,
        after: &Value,
        until: Option<Until>,
    ) -> Result<Value, KindError> {
        let at = facts(key, after)?.host.key();
        let host = surroundings.host(&at)?;
        let part = Part { key, before, after, until };
        // What is on trial already is of others as well, which nobody has judged yet.
        let on_trial = host.unconfirmed().await?;
        let outputs = self.update_together(surroundings, &[part]).await?;
        // Nobody relied on it: it is for whoever waits for its group to say whether it is well.
        match on_trial || host.confirm().await? {
            true => Ok(outputs.into_iter().next().unwrap_or_default()),
            false => Err(KindError::WentBack { key: at }),
        }
    }

    async fn update_together(
        &self,
        surroundings: &dyn Surroundings,
        parts: &[Part<'_>],
    ) -> Result<Vec<Value>, KindError> {
        change::update_together(self, surroundings, parts).await
    }

    fn reversible(&self, key: &Key, before: &Value, after: &Value) -> bool {
        let (Ok(before), Ok(after)) = (facts(key, before), facts(key, after)) else { return false };
        // An address of the host before is not the new one's.
        before.host.address == after.host.address
            && self.role(key, &after).is_ok_and(|role| role.reversible(&before, &after))
    }

    async fn halt(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<bool, KindError> {
        let host = location::host_with(surroundings, &facts(key, inputs)?.host.key(), key).await?;
        let name = location::name(host.as_ref(), surroundings, key).await?;
        match host.node(&name).await? {
            None => Ok(false),
            Some(found) => {
                // Also where it doesn't run: one that keeps failing would be started again.
                host.stop(&name, STOP_TIMEOUT, None).await?;
                Ok(!matches!(found.run, RunState::Stopped))
            }
        }
    }

    async fn delete(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Instance,
    ) -> Result<(), KindError> {
        let facts = facts(key, &before.inputs)?;
        let host = location::host_with(surroundings, &facts.host.key(), key).await?;
        let name = location::name(host.as_ref(), surroundings, key).await?;
        let goes_on = surroundings.goes_on(&facts.group);
        if goes_on && !self.is_stateless(&before.inputs) {
            let role = self.role(key, &facts)?.as_ref();
            let leaving =
                Leaving { surroundings, key, facts: &facts, role, host: host.as_ref(), name: &name };
            leaving.leave(patience(host.as_ref(), &name).await?).await?;
            // Where it moved to that host, a copy of it may lie on the one before.
            for old in host::outgoing(surroundings, &facts.host.key())? {
                let name = location::name(old.as_ref(), surroundings, key).await?;
                if old.node(&name).await?.is_some() {
                    old.remove(&name).await?;
                }
            }
            return Ok(());
        }
        // Where all data of the group goes there is nothing that a long goodbye would save.
        let goodbye = if goes_on { STOP_TIMEOUT } else { Duration::from_secs(2) };
        let hosts = host::outgoing(surroundings, &facts.host.key())?.into_iter();
        for host in hosts.chain([surroundings.host(&facts.host.key())?]) {
            let name = location::name(host.as_ref(), surroundings, key).await?;
            host.stop(&name, goodbye, None).await?;
            host.remove(&name).await?;
        }
        Ok(())
    }
}
