//! The files that a plan changes, as they lie there now and as they would be (`--diff`). Reads only.

use super::Context;
use super::plan::Plan;
use crate::causes::with_causes;
use crate::model::Key;
use crate::resource::KindError;
use std::collections::BTreeSet;

/// The files of one resource that a plan changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChanges {
    /// The resource.
    pub key: Key,
    /// Those that differ, in name order, or why they can't be told yet.
    pub files: Result<Vec<FileChange>, String>,
}

/// One file that a plan changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its name.
    pub name: String,
    /// What it holds now; `None` where it isn't there.
    pub before: Option<String>,
    /// What it will hold; `None` where it will be gone.
    pub after: Option<String>,
}

/// Looks up the files of every resource that `plan` makes or changes. Resources without files are left out.
pub async fn file_changes<Stage>(context: &Context, plan: &Plan<Stage>) -> Vec<FileChanges> {
    let subjects = plan.steps.iter().flat_map(|step| step.action.makes());
    let looks = subjects.map(|(key, inputs)| async move {
        let files = context.registry().kind(&key.kind)?.files(context, key, inputs).await;
        let files = match files {
            Ok(None) => return None,
            Ok(Some((before, after))) => {
                let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
                Ok(changed
                    .map(|name| FileChange {
                        name: name.clone(),
                        before: before.get(name).cloned(),
                        after: after.get(name).cloned(),
                    })
                    .collect())
            }
            // Where an address is assigned when its host is made.
            Err(KindError::NotYetKnown { .. }) => Err("files known after up".to_owned()),
            Err(error) => Err(with_causes(&error)),
        };
        Some(FileChanges { key: key.clone(), files })
    });
    futures_util::future::join_all(looks).await.into_iter().flatten().collect()
}
