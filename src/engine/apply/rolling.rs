//! A roll: running members changed turn by turn, one member of a group at a time, or a host that is changed as a whole with
//! all that it runs. Each turn asks the roles over a fresh view, makes its change, and waits until the groups are whole again.
//!
//! What a turn is decided from is looked at right before it: the groups, the hosts of members that don't serve, and the
//! groups that these need. What could not be asked is waited for, and after a while refused.

mod back;
mod chooser;
mod look;

use super::{StepError, Worker};
use crate::clock::Until;
use crate::engine::gate::GateError;
use crate::engine::plan::{Action, Change};
use crate::engine::roll::{self, Turn};
use crate::host::HostError;
use crate::model::{Key, NodeFacts, ProcessSeen};
use crate::resource::KindError;
use back::Concerned;
pub(super) use back::confirm;
pub(super) use chooser::{Chooser, release};
use chooser::{PAUSE, Ready};
pub(super) use look::claim;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Takes all turns of a step.
pub(super) async fn roll(worker: &Worker, number: usize, action: &Action) -> Result<(), StepError> {
    let turns = roll::turns(action);
    let tell = |message| worker.tell(number, message);
    let mut chooser = Chooser::over(worker.ground(), &turns, BTreeMap::new(), &tell);
    for rolled in action.rolled() {
        let members = rolled.members.keys().map(String::as_str);
        chooser.add(rolled.group, members.collect(), rolled.interrupts)?;
    }
    let changes: BTreeMap<&Key, &Change> = action.restarts().map(|change| (&change.key, change)).collect();
    let mut rolling = Rolling { worker, number, of: turns.len(), taken: 0, chooser };
    let taken = rolling.take_all(&changes).await;
    rolling.chooser.release().await;
    taken
}

/// A roll under way.
struct Rolling<'a> {
    worker: &'a Worker,
    number: usize,
    /// How many turns there are, and how many are taken.
    of: usize,
    taken: usize,
    chooser: Chooser<'a>,
}

impl<'a> Rolling<'a> {
    async fn take_all(&mut self, changes: &BTreeMap<&Key, &Change>) -> Result<(), StepError> {
        while let Some(ready) = self.chooser.next_turn().await? {
            self.take(&ready, changes).await?;
        }
        Ok(())
    }

    /// Takes a turn: makes its change and waits until the groups in it are whole. Where it turns out that it may not begin,
    /// nothing is changed, and it is judged anew.
    async fn take(&mut self, ready: &Ready<'a>, changes: &BTreeMap<&Key, &Change>) -> Result<(), StepError> {
        let (worker, number, turn) = (self.worker, self.number, ready.turn);
        let place = format!("{} of {}", self.taken + 1, self.of);
        let of_turn: Vec<(&str, &Change)> = turn
            .members
            .iter()
            .filter_map(|(group, member)| Some((group.as_str(), *changes.get(member)?)))
            .collect();
        worker.tell(
            number,
            match &turn.host {
                None => format!("changing {} ({place})", turn.name()),
                Some(host) => {
                    let names: Vec<&str> =
                        of_turn.iter().map(|(_, change)| change.key.name.as_str()).collect();
                    format!("changing host {} with {} ({place})", host.name, names.join(", "))
                }
            },
        );
        match self.change(ready, &of_turn).await {
            // It was started since it was looked at and may serve, or the look is too old: it is judged anew.
            Err(StepError::Act {
                source: KindError::CameBack { .. } | KindError::Host(HostError::TooLate { .. }),
                ..
            }) if self.chooser.waiting_since.get_or_insert_with(Instant::now).elapsed()
                < worker.options.gate_timeout =>
            {
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
            changed => changed?,
        }
        self.chooser.waiting_since = None;
        self.taken += 1;
        for (group, change) in &of_turn {
            self.chooser.changed(group, &change.key.name);
        }
        // One that was away before and isn't changed is no less well by it.
        let served = ready.served();
        let concerned = turn
            .members
            .iter()
            .filter(|(_, member)| changes.contains_key(*member) || served.contains(member.name.as_str()));
        let concerned: BTreeMap<String, Key> =
            concerned.map(|(group, member)| (group.clone(), member.clone())).collect();
        for (group, (view, _)) in ready.seen.iter().filter(|(group, _)| concerned.contains_key(**group)) {
            // Others that are away and still to be changed: the group can't be whole without them.
            let away = self.chooser.parts[group].pending.iter().filter(|name| !view.is_up(name));
            let away: BTreeSet<Key> = away.map(|name| Key::new(NodeFacts::KIND, name)).collect();
            // What is on trial is judged before any other host is changed.
            if turn.host.is_none() && !away.is_empty() {
                continue;
            }
            match back::well_but_for(worker, number, group, &view.members, &concerned[*group], &away).await {
                Err(StepError::Gate(error)) => {
                    return Err(self
                        .failed(turn, &of_turn, &Concerned { members: &concerned, served: &served }, error)
                        .await);
                }
                well => well?,
            }
        }
        if let Some(host) = &turn.host {
            worker.confirm(host, turn.members.values()).await?;
        }
        self.chooser.release().await;
        Ok(())
    }

    async fn change(&self, ready: &Ready<'a>, of_turn: &[(&str, &Change)]) -> Result<(), StepError> {
        let gone = |group: &str| matches!(ready.seen.get(group), Some((_, Some(ProcessSeen::Gone))));
        match (&ready.turn.host, of_turn) {
            (None, [(group, change)]) if gone(group) => self.worker.update_at_rest(change).await,
            (None, [(_, change)]) => self.worker.update(change, Some(ready.until)).await,
            _ => {
                // One without a process by now is let go as such: where it has one again, that is seen first.
                let until = |group: &str| match gone(group) {
                    true => Until::within(Duration::ZERO),
                    false => ready.until,
                };
                let parts: Vec<(&Change, Until)> =
                    of_turn.iter().map(|(group, change)| (*change, until(group))).collect();
                self.worker.update_together(&parts).await
            }
        }
    }

    /// What a turn ends with of which a group doesn't become whole.
    async fn failed(
        &mut self,
        turn: &Turn,
        of_turn: &[(&str, &Change)],
        concerned: &Concerned<'_>,
        error: GateError,
    ) -> StepError {
        match (&turn.host, of_turn) {
            (None, [(group, change)]) => {
                back::put_back(self.worker, self.number, group, change, concerned.served, error).await
            }
            _ => {
                let interrupts =
                    self.chooser.parts.values().flat_map(|part| part.interrupts).cloned().collect();
                // Who claimed members for the turn claims them for the way back.
                let claims = std::mem::take(&mut self.chooser.claims);
                back::take_back(self.worker, self.number, turn, concerned, &interrupts, claims, error).await
            }
        }
    }
}
