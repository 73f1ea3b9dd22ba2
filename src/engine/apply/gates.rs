//! Waiting for groups within a plan.

use super::{StepError, Worker};
use crate::engine::gate::{self, Members};
use crate::engine::plan::Change;
use crate::engine::{Event, Record, identity};
use crate::model::Key;
use crate::resource::{self, Instance, Surroundings as _};
use crate::role::{GroupView, Health, Standing};
use std::collections::BTreeSet;

impl Worker {
    /// Changes what can be changed beside others. Groups that were well on a host that is changed as a whole have to be so after
    /// it: that nobody is begun anew by a system doesn't mean that it does no harm.
    pub(super) async fn update_beside(&self, number: usize, change: &Change) -> Result<(), StepError> {
        let well = self.well_on(&change.key).await;
        self.update_at_rest(change).await?;
        for group in well {
            self.healthy(number, &group, &Members::default()).await?;
        }
        Ok(())
    }

    /// The groups with a member on this host that are well, where the host is changed as a whole.
    async fn well_on(&self, host: &Key) -> Vec<String> {
        let context = self.context.as_ref();
        let stands = |(key, instance): (&Key, &Instance)| {
            let kind = context.registry().kind(&key.kind);
            kind.and_then(|kind| kind.stands_on(&instance.inputs)).as_ref() == Some(host)
        };
        let mut well = Vec::new();
        for group in self.stack.groups.keys().filter(|_| context.changes_whole(host)) {
            if !context.made_instances(group).iter().any(stands) {
                continue;
            }
            let (Some(role), Some(view)) = (context.role_of(group), resource::view(context, group).await)
            else {
                continue;
            };
            if role.health(&view, &context.made_members(group), &BTreeSet::new()) == Health::Healthy {
                well.push(group.clone());
            }
        }
        well
    }

    /// Waits until the group is healthy and in its preferred order.
    pub(super) async fn gate(&self, number: usize, group: &str) -> Result<(), StepError> {
        let view = self.healthy(number, group, &Members::default()).await?;
        self.identify(group, &view)?;
        if self.settle(number, group, &view).await {
            // Leaders that move are news that every member must hear before the group counts as well again.
            self.healthy(number, group, &view.members).await?;
        }
        match view.away().join(", ") {
            away if away.is_empty() => {}
            away => self.tell(number, format!("{group} is healthy but for {away}, left out")),
        }
        Ok(())
    }

    /// Notes the id of a group that is seen for the first time: its members have just been made. One that is known by
    /// another must not be changed.
    pub(super) fn identify(&self, group: &str, view: &GroupView) -> Result<(), StepError> {
        let mut store = self.store.lock().expect("no holder of the store panics");
        if let Some(stranger) = identity::stranger(self.context.registry(), store.state(), group, view) {
            return Err(StepError::Stranger(stranger));
        }
        let id = self.context.role_of(group).and_then(|role| role.identity(view));
        match id.filter(|_| !store.state().identities.contains_key(group)) {
            Some(id) => Ok(store.append(Record::Identity { group: group.to_owned(), id })?),
            None => Ok(()),
        }
    }

    /// Waits until the group is healthy, and returns how it was seen last.
    pub(super) async fn healthy(
        &self,
        number: usize,
        group: &str,
        known: &Members,
    ) -> Result<GroupView, StepError> {
        self.healthy_but_for(number, group, known, &self.left_out).await
    }

    /// The same, with these not waited for that are away at first, where the group does without them.
    pub(super) async fn healthy_but_for(
        &self,
        number: usize,
        group: &str,
        known: &Members,
        but_for: &BTreeSet<Key>,
    ) -> Result<GroupView, StepError> {
        let tell = |told: gate::Told<'_>| match told {
            gate::Told::Reason(reason) => self.tell(number, reason),
            gate::Told::Member { name, seen, after } => self.context.events().emit(Event::StepMember {
                step: number,
                member: name.to_owned(),
                up: seen.standing == Standing::Up,
                note: seen.note.clone(),
                millis: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            }),
        };
        let (timeout, interrupt) = (self.options.gate_timeout, &self.options.interrupt);
        Ok(gate::wait_healthy(&self.context, group, known, but_for, timeout, interrupt, &tell).await?)
    }

    /// The last steps may have changed what a group holds (a topic is news to every broker), and nobody is to find it
    /// unsettled once this is over.
    pub(super) async fn all_healthy(&self, groups: &[String]) -> Result<(), StepError> {
        for group in groups {
            let (timeout, interrupt) = (self.options.gate_timeout, &self.options.interrupt);
            let known = Members::default();
            gate::wait_healthy(&self.context, group, &known, &self.left_out, timeout, interrupt, &|_| {})
                .await?;
        }
        Ok(())
    }

    /// Preferred order is a comfort, not a condition: that it isn't had is told and stops nothing.
    pub(super) async fn settle(&self, number: usize, group: &str, view: &GroupView) -> bool {
        let Some(role) = self.context.role_of(group) else { return false };
        match role.settle(self.context.wire(), view).await {
            Ok(moved) => moved,
            Err(error) => {
                self.tell(number, format!("{group} is healthy, not in its preferred order: {error}"));
                false
            }
        }
    }
}
