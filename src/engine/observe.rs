//! Looks at everything that is declared or recorded. Reads only.

use super::{Context, State, moves};
use crate::host::SystemChange;
use crate::model::Key;
use crate::resource::{Instance, Measured, Observed, view};
use crate::role::GroupView;
use crate::stack::ValidStack;
use std::collections::{BTreeMap, BTreeSet};

/// The world as found at one moment: the only thing that a plan knows of it.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Each declared or recorded resource.
    pub resources: BTreeMap<Key, Observed>,
    /// Each group that has a member which exists.
    pub groups: BTreeMap<String, GroupView>,
    /// What was measured of what resources share.
    pub measured: Measured,
    /// How the systems of hosts differ from those that they are to run, where that was compared ([`super::compare`]).
    pub systems: BTreeMap<Key, SystemChange>,
    /// It is not what was found but what is foreseen: each phase leaves its groups whole.
    pub foreseen: bool,
}

/// Looks at all resources and groups, kinds and groups side by side.
pub async fn observe(context: &Context, stack: &ValidStack, state: &State) -> Inventory {
    let state = moves::followed(stack, state);
    let keys: BTreeSet<&Key> = stack.resources.keys().chain(state.resources.keys()).collect();
    let mut by_kind: BTreeMap<&str, BTreeMap<Key, Instance>> = BTreeMap::new();
    for key in keys {
        // Where a thing is to be found is what was last applied; a declaration may have moved on.
        let instance = match (state.instance(key), stack.resources.get(key)) {
            (Some(recorded), _) => recorded,
            (None, Some(declared)) => {
                Instance { inputs: context.resolve(&declared.inputs), ..Instance::default() }
            }
            (None, None) => continue,
        };
        by_kind.entry(&key.kind).or_default().insert(key.clone(), instance);
    }
    let kinds = futures_util::future::join_all(by_kind.into_iter().map(|(kind, subjects)| async move {
        let Some(kind) = context.registry().kind(kind) else {
            let unknown = subjects.into_keys().map(|key| {
                let why = format!("this program doesn't know the kind {}", key.kind);
                (key, Observed::Unknown(why))
            });
            return (unknown.collect(), Measured::default());
        };
        tokio::join!(kind.observe(context, &subjects), kind.measure(context, &subjects, &stack.disks))
    }));
    let groups = futures_util::future::join_all(context.groups().into_iter().map(|group| async move {
        let view = view(context, &group).await;
        (group, view)
    }));
    let (kinds, groups) = tokio::join!(kinds, groups);
    let mut inventory = Inventory {
        groups: groups.into_iter().filter_map(|(name, view)| Some((name, view?))).collect(),
        ..Inventory::default()
    };
    for (resources, measured) in kinds {
        let resources: BTreeMap<Key, Observed> = resources;
        inventory.resources.extend(resources);
        inventory.measured.rates.extend(measured.rates);
        inventory.measured.shared_disks.extend(measured.shared_disks);
    }
    inventory
}
