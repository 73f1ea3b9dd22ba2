//! Compares what hosts run, that are changed as a whole, with what they are to run. Changes nothing.

use super::import::as_declared;
use super::planner::siblings;
use super::{Context, Intent, Inventory, State, moves};
use crate::host::{Comparing, SystemChange};
use crate::model::{Deployment, HostInputs, Key, references};
use crate::resource::{Fitted, KindError, NodeKind, Observed, Surroundings as _};
use crate::stack::ValidStack;
use serde_json::Value;
use std::collections::BTreeMap;

/// Compares the systems of declared hosts that were reached, and has the inventory and the context know of that.
///
/// # Errors
/// Where it can't be told what a host is to run.
pub async fn compare(
    context: &Context,
    stack: &ValidStack,
    intent: &Intent,
    state: &State,
    inventory: &mut Inventory,
) -> Result<(), KindError> {
    let mut hosts: BTreeMap<String, BTreeMap<String, (Key, Comparing)>> = BTreeMap::new();
    let of_hosts = stack.resources.keys().filter(|key| key.kind == HostInputs::KIND);
    for key in of_hosts.filter(|key| context.changes_whole(key)) {
        if let Some(Observed::Present { .. }) = inventory.resources.get(key) {
            let (host, documents, wanted) = (key.name.clone(), BTreeMap::new(), intent.systems.of(key));
            let comparing = Comparing { host, documents, wanted };
            let of_backend = hosts.entry(context.backend_of(key)?).or_default();
            of_backend.insert(key.name.clone(), (key.clone(), comparing));
        }
    }
    if hosts.is_empty() {
        return Ok(());
    }
    // Those that are left out stay as they are.
    for (key, inputs) in documents(context, stack, state, inventory) {
        let Some(document) = complete(&inputs).filter(|_| intent.selection.names(key)) else { continue };
        let host = document.facts.host.name;
        let mut of_backends = hosts.values_mut().filter_map(|hosts| hosts.get_mut(&host));
        if let Some((_, comparing)) = of_backends.next() {
            comparing.documents.insert(key.name.clone(), inputs);
        }
    }
    let mut systems: BTreeMap<Key, SystemChange> = BTreeMap::new();
    for (backend, hosts) in hosts {
        let (keys, all): (Vec<Key>, Vec<Comparing>) = hosts.into_values().unzip();
        let mut found = context.backend(&backend)?.compare(&all, &context.progress()).await?;
        systems.extend(keys.into_iter().filter_map(|key| Some((key.clone(), found.remove(&key.name)?))));
    }
    context.compared(&systems);
    inventory.systems = systems;
    Ok(())
}

/// The declared nodes, as what is put on their hosts is made of them.
fn documents<'a>(
    context: &Context,
    stack: &'a ValidStack,
    state: &State,
    inventory: &Inventory,
) -> Vec<(&'a Key, Value)> {
    let state = moves::followed(stack, state);
    let Some(kind) = context.registry().kind(NodeKind::NAME) else { return Vec::new() };
    let fitted: Fitted = kind.fit(&siblings(kind.name(), stack, &state, inventory));
    let nodes = stack.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME);
    let rendered = nodes
        .map(|(key, declared)| (key, kind.rendered(as_declared(&fitted, &state, key, &declared.inputs))));
    rendered.collect()
}

/// The document of a node of which all is known.
fn complete(inputs: &Value) -> Option<Deployment> {
    if references(inputs).is_empty() { Deployment::of(inputs).ok().flatten() } else { None }
}
