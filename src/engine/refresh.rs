//! Brings the state in line with what is there, and changes nothing there. Pure.

use super::{Inventory, Outcome, Record, State, identity};
use crate::model::Key;
use crate::registry::Registry;
use crate::resource::{Drift, Kind, Observed};
use serde::Serialize;
use std::collections::BTreeMap;

/// How the recorded resources differ from what is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refresh {
    /// The stack's name.
    pub stack: String,
    /// Those that differ.
    pub drifts: BTreeMap<Key, Drift>,
    /// How many don't.
    pub same: usize,
}

/// Compares every recorded resource with what was found.
pub fn refresh(registry: &Registry, state: &State, inventory: &Inventory) -> Refresh {
    let strangers = identity::strangers(registry, state, inventory);
    let of_a_stranger = |kind: &dyn Kind, key: &Key| {
        let holder = kind.held_by(&state.resources[key].inputs);
        holder.is_some_and(|holder| strangers.iter().any(|stranger| stranger.key.name == holder))
    };
    let drift = |key: &Key| match registry.kind(&key.kind) {
        Some(kind) if of_a_stranger(kind.as_ref(), key) => {
            Drift::Unknown { why: "another one answers at the addresses of its group".into() }
        }
        Some(kind) => {
            let observed = inventory.resources.get(key).unwrap_or(&Observed::Absent);
            kind.drift(&state.resources[key], observed)
        }
        None => Drift::Unknown { why: format!("this program doesn't know the kind {}", key.kind) },
    };
    let drifts: BTreeMap<Key, Drift> = state
        .resources
        .keys()
        .map(|key| (key.clone(), drift(key)))
        .filter(|(_, drift)| *drift != Drift::None)
        .collect();
    Refresh { stack: state.stack.clone(), same: state.resources.len() - drifts.len(), drifts }
}

impl Refresh {
    /// What the state is to take in. Empty where nothing that it holds differs.
    pub fn records(&self, state: &State) -> Vec<Record> {
        let record = |(key, drift): (&Key, &Drift)| {
            let outcome = match drift {
                Drift::Changed { inputs, outputs, .. } => Outcome::Applied {
                    inputs: inputs.clone(),
                    outputs: outputs.clone(),
                    needs: state.resources.get(key)?.needs.clone(),
                },
                Drift::Gone => Outcome::Removed,
                Drift::None | Drift::Impaired { .. } | Drift::Unknown { .. } => return None,
            };
            Some(Record::End { key: key.clone(), outcome })
        };
        self.drifts.iter().filter_map(record).collect()
    }
}
