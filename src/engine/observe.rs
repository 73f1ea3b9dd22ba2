//! Looks at everything that is declared or recorded. Reads only.

use super::{Context, State, moves};
use crate::model::Key;
use crate::resource::{Instance, Observed, Surroundings as _, view};
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
    /// Bytes that are free on the file system that hosts of each backend share, where they do.
    pub shared_disks: BTreeMap<String, u64>,
    /// Bytes that the busiest partition of each topic takes in a second, where that could be measured.
    pub rates: BTreeMap<String, f64>,
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
        match context.registry().kind(kind) {
            Some(kind) => kind.observe(context, &subjects).await,
            None => subjects
                .into_keys()
                .map(|key| {
                    let why = format!("this program doesn't know the kind {}", key.kind);
                    (key, Observed::Unknown(why))
                })
                .collect(),
        }
    }));
    let groups = futures_util::future::join_all(context.groups().into_iter().map(|group| async move {
        let view = view(context, &group).await;
        (group, view)
    }));
    let rates = futures_util::future::join_all(context.groups().into_iter().map(|group| async move {
        // A comfort: whoever can't be asked for it may be asked for all else.
        match context.kafka(&group) {
            Some(kafka) if context.is_cluster(&group) => kafka.rates().await.unwrap_or_default(),
            _ => BTreeMap::new(),
        }
    }));
    let (resources, groups, rates) = tokio::join!(kinds, groups, rates);
    let backends: BTreeSet<&String> = stack.disks.values().map(|disks| &disks.backend).collect();
    Inventory {
        foreseen: false,
        shared_disks: backends
            .into_iter()
            .filter_map(|name| Some((name.clone(), context.shared_disk(name)?)))
            .collect(),
        rates: rates.into_iter().flatten().collect(),
        resources: resources.into_iter().flatten().collect(),
        groups: groups.into_iter().filter_map(|(name, view)| Some((name, view?))).collect(),
    }
}
