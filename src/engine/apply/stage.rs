//! What is made ready beside what runs, before the first step of a plan.

use crate::engine::plan::{Checked, Plan};
use crate::engine::state::StateError;
use crate::engine::store::Store;
use crate::engine::{Context, Record};
use crate::resource::{Kind, KindError, Work};
use crate::tool::Lack;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Makes ready beside what runs all that can be, for every step before the first one begins, and notes that.
///
/// # Errors
/// The first thing that is missing.
pub async fn stage(context: &Context, store: &mut Store, plan: &Plan<Checked>) -> Result<(), StageError> {
    let all = work_by_kind(context, plan);
    if all.is_empty() {
        return Ok(());
    }
    for (kind, work) in &all {
        kind.stage(context, work).await?;
    }
    let keys = all.into_iter().flat_map(|(_, work)| work).map(|work| work.key).collect();
    Ok(store.append(Record::Staged { keys })?)
}

/// Why not everything could be made ready.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something is missing.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// The journal can't be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What this machine lacks for a plan, without repetition; changes nothing.
///
/// # Errors
/// Where that can't be told.
pub async fn lacking(context: &Context, plan: &Plan<Checked>) -> Result<Vec<Lack>, KindError> {
    let mut lacking = BTreeSet::new();
    for (kind, work) in work_by_kind(context, plan) {
        lacking.extend(kind.lacking(context, &work).await?);
    }
    Ok(lacking.into_iter().collect())
}

/// What a plan makes, kind by kind.
fn work_by_kind(context: &Context, plan: &Plan<Checked>) -> Vec<(Arc<dyn Kind>, Vec<Work>)> {
    let mut by_kind: BTreeMap<&str, Vec<Work>> = BTreeMap::new();
    for (key, inputs) in plan.steps.iter().flat_map(|step| step.action.makes()) {
        let work = Work { key: key.clone(), inputs: inputs.clone() };
        by_kind.entry(&key.kind).or_default().push(work);
    }
    let known = |(kind, work)| Some((context.registry().kind(kind)?.clone(), work));
    by_kind.into_iter().filter_map(known).collect()
}
