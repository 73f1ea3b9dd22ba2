//! What is done to one resource, journalled before and after.

use super::{StepError, Worker};
use crate::causes::with_causes;
use crate::clock::Until;
use crate::engine::plan::Change;
use crate::engine::state::StateError;
use crate::engine::{Outcome, Record};
use crate::model::Key;
use crate::resource::{Deed, Drift, Instance, Kind, KindError, Part, Surroundings as _};
use crate::stack::direct_needs;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Worker {
    pub(super) async fn create(&self, key: &Key, inputs: &Value, detail: &Value) -> Result<(), StepError> {
        let inputs = self.inputs(key, inputs)?;
        let kind = self.kind(key)?;
        // What somebody consented to was the removal of the one before.
        if self.is_unprotected(key) {
            self.append(Record::Protect { key: key.clone(), protected: true })?;
        }
        self.begin(key, &inputs, false)?;
        self.made(key, &inputs, detail, kind.as_ref()).await
    }

    /// Makes another instance beside the one that there is.
    pub(super) async fn renew(&self, change: &Change) -> Result<(), StepError> {
        let (key, after) = (&change.key, self.inputs(&change.key, &change.after)?);
        let kind = self.kind(key)?;
        self.begin(key, &after, true)?;
        self.context.renewed(key, &after);
        self.made(key, &after, &Value::Null, kind.as_ref()).await
    }

    /// Has a kind make what was begun.
    pub(super) async fn made(
        &self,
        key: &Key,
        inputs: &Value,
        detail: &Value,
        kind: &dyn Kind,
    ) -> Result<(), StepError> {
        let note = |outputs: &Value| {
            let record = Record::Noted { key: key.clone(), outputs: outputs.clone() };
            self.append(record)
                .map_err(|source| KindError::NotNoted { key: key.clone(), source: source.into() })?;
            self.context.noted(key, outputs);
            Ok(())
        };
        let token = self.store.lock().expect("no holder of the store panics").state().token(key);
        let deed = Deed { key, token: token.unwrap_or_default(), note: &note };
        let act = kind.create(self.context.as_ref(), &deed, inputs, detail);
        self.ended("create", key, inputs, act.await)
    }

    /// Removes those that a resource took the place of.
    pub(super) async fn discard(&self, key: &Key, outgoing: usize) -> Result<(), StepError> {
        let kind = self.kind(key)?;
        let all = self.context.outgoing(key);
        for instance in all.iter().take(outgoing) {
            kind.discard(self.context.as_ref(), key, instance).await.map_err(|source| StepError::Act {
                verb: "discard what was before",
                key: key.clone(),
                source,
            })?;
            self.append(Record::End { key: key.clone(), outcome: Outcome::Discarded })?;
            self.context.discarded(key);
        }
        Ok(())
    }

    pub(super) async fn start(&self, change: &Change) -> Result<(), StepError> {
        let inputs = self.inputs(&change.key, &change.after)?;
        let act = self.kind(&change.key)?.start(self.context.as_ref(), &change.key, &inputs);
        self.journalled("start", &change.key, &inputs, act).await
    }

    pub(super) async fn update_at_rest(&self, change: &Change) -> Result<(), StepError> {
        let after = self.inputs(&change.key, &change.after)?;
        let kind = self.kind(&change.key)?;
        let act = kind.update_at_rest(self.context.as_ref(), &change.key, &change.before, &after);
        self.journalled("update", &change.key, &after, act).await
    }

    pub(super) async fn update(&self, change: &Change, until: Option<Until>) -> Result<(), StepError> {
        let after = self.inputs(&change.key, &change.after)?;
        let kind = self.kind(&change.key)?;
        let act = kind.update(self.context.as_ref(), &change.key, &change.before, &after, until);
        self.journalled("update", &change.key, &after, act).await
    }

    /// Changes what stands on one host in one act. It is on trial then.
    pub(super) async fn update_together(&self, changes: &[(&Change, Until)]) -> Result<(), StepError> {
        let Some((first, _)) = changes.first() else { return Ok(()) };
        let after = changes.iter().map(|(change, _)| self.inputs(&change.key, &change.after));
        let after = after.collect::<Result<Vec<Value>, StepError>>()?;
        let parts: Vec<Part<'_>> = changes
            .iter()
            .zip(&after)
            .map(|((Change { key, before, .. }, until), after)| Part {
                key,
                before,
                after,
                until: Some(*until),
            })
            .collect();
        for part in &parts {
            self.begin(part.key, part.after, false)?;
        }
        match self.kind(&first.key)?.update_together(self.context.as_ref(), &parts).await {
            Ok(outputs) => parts
                .iter()
                .zip(outputs)
                .try_for_each(|(part, outputs)| self.ended("update", part.key, part.after, Ok(outputs))),
            Err(source) => {
                for part in &parts[1..] {
                    let outcome = Outcome::Failed { reason: with_causes(&source) };
                    let _ = self.append(Record::End { key: part.key.clone(), outcome });
                }
                Err(self.failed("update", &first.key, source))
            }
        }
    }

    /// Keeps what is on trial on a host with these on it. Where it has gone back by itself, note is taken of that.
    pub(super) async fn confirm(
        &self,
        host: &Key,
        standing: impl Iterator<Item = &Key>,
    ) -> Result<(), StepError> {
        let confirmed = self.kind(host)?.confirm(self.context.as_ref(), host).await;
        let act = |source| StepError::Act { verb: "confirm the change of", key: host.clone(), source };
        if confirmed.map_err(act)? {
            return Ok(());
        }
        self.note_what_runs(standing).await?;
        Err(StepError::WentBack { host: host.clone() })
    }

    /// Takes back what is on trial on a host with these on it.
    pub(super) async fn revert(
        &self,
        host: &Key,
        standing: impl Iterator<Item = &Key>,
        until: Until,
    ) -> Result<(), StepError> {
        let reverted = self.kind(host)?.revert(self.context.as_ref(), host, until).await;
        reverted.map_err(|source| StepError::Act {
            verb: "take back the change of",
            key: host.clone(),
            source,
        })?;
        self.note_what_runs(standing).await
    }

    /// Takes note of what these are by now, since their host has gone back to what it ran before.
    pub(super) async fn note_what_runs(&self, standing: impl Iterator<Item = &Key>) -> Result<(), StepError> {
        for key in standing {
            let (kind, subject) =
                (self.kind(key)?, BTreeMap::from([(key.clone(), self.context.instance(key))]));
            let found = kind.observe(self.context.as_ref(), &subject).await.remove(key);
            let recorded =
                self.store.lock().expect("no holder of the store panics").state().resources.get(key).cloned();
            let drift =
                recorded.zip(found).map(|(recorded, found)| (kind.drift(&recorded, &found), recorded.needs));
            if let Some((Drift::Changed { inputs, outputs, .. }, needs)) = drift {
                self.context.made(key, &inputs, &outputs);
                self.append(Record::End {
                    key: key.clone(),
                    outcome: Outcome::Applied { inputs, outputs, needs },
                })?;
            }
        }
        Ok(())
    }

    pub(super) async fn journalled(
        &self,
        verb: &'static str,
        key: &Key,
        inputs: &Value,
        act: impl Future<Output = Result<Value, KindError>>,
    ) -> Result<(), StepError> {
        self.begin(key, inputs, false)?;
        self.ended(verb, key, inputs, act.await)
    }

    pub(super) fn begin(&self, key: &Key, inputs: &Value, renews: bool) -> Result<(), StateError> {
        self.append(Record::Begin {
            key: key.clone(),
            moved_from: self.moves.get(key).cloned(),
            inputs: inputs.clone(),
            needs: direct_needs(&self.stack, key),
            renews,
        })
    }

    pub(super) fn ended(
        &self,
        verb: &'static str,
        key: &Key,
        inputs: &Value,
        result: Result<Value, KindError>,
    ) -> Result<(), StepError> {
        match result {
            Ok(outputs) => {
                self.context.made(key, inputs, &outputs);
                let needs = direct_needs(&self.stack, key);
                let outcome = Outcome::Applied { inputs: inputs.clone(), outputs, needs };
                Ok(self.append(Record::End { key: key.clone(), outcome })?)
            }
            Err(source) => Err(self.failed(verb, key, source)),
        }
    }

    pub(super) async fn delete(&self, key: &Key, before: &Value) -> Result<(), StepError> {
        self.append(Record::Begin {
            key: key.clone(),
            moved_from: None,
            inputs: before.clone(),
            needs: BTreeSet::new(),
            renews: false,
        })?;
        let kind = self.kind(key)?;
        let recorded = self.store.lock().expect("no holder of the store panics").state().instance(key);
        let recorded = recorded.unwrap_or_else(|| Instance { inputs: before.clone(), ..Instance::default() });
        for instance in self.context.outgoing(key).into_iter().chain([recorded]) {
            if let Err(source) = kind.delete(self.context.as_ref(), key, &instance).await {
                return Err(self.failed("delete", key, source));
            }
        }
        self.forget(key)
    }

    pub(super) fn forget(&self, key: &Key) -> Result<(), StepError> {
        self.context.removed(key);
        Ok(self.append(Record::End { key: key.clone(), outcome: Outcome::Removed })?)
    }

    pub(super) fn failed(&self, verb: &'static str, key: &Key, source: KindError) -> StepError {
        let outcome = Outcome::Failed { reason: with_causes(&source) };
        // The failure itself is what must be told; that it could not be noted down as well changes nothing, since an
        // operation without an end is taken for unknown anyhow.
        let _ = self.append(Record::End { key: key.clone(), outcome });
        StepError::Act { verb, key: key.clone(), source }
    }
}
