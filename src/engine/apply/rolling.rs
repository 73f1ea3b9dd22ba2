//! A roll: running members changed turn by turn, one member of a group at a time, or a host that is changed as a whole with
//! all that it runs. Each turn asks the roles over a fresh view, makes its change, and waits until the groups are whole again.
//!
//! What a turn is decided from is looked at right before it: the groups, the hosts of members that don't serve, and the
//! groups that these need. What could not be asked is waited for, and after a while refused.

mod back;
mod look;

use super::{StepError, Worker};
use crate::clock::Until;
use crate::engine::gate::{self, GateError};
use crate::engine::plan::{Action, Change};
use crate::engine::roll::{self, Choice, Group, Turn};
use crate::host::HostError;
use crate::kafka::Claim;
use crate::model::{Key, NodeFacts, ProcessSeen};
use crate::resource::{KindError, Surroundings as _};
use crate::role::{GroupView, NotSafe, Role};
use back::Concerned;
pub(super) use back::confirm;
use look::Looked;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a roll that has to wait looks again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long it waits for one that was left out: nobody is at it who could bring it back, but its host.
const FOR_LEFT_OUT: Duration = Duration::from_secs(5);

/// How long ZooKeeper may take to end a claim: a few round trips.
const RELEASE: Duration = Duration::from_secs(1);

/// Takes all turns of a step.
pub(super) async fn roll(worker: &Worker, number: usize, action: &Action) -> Result<(), StepError> {
    let turns = roll::turns(action);
    let mut rolling = Rolling::over(worker, number, &turns);
    for rolled in action.rolled() {
        let members = rolled.members.keys().map(String::as_str);
        rolling.add(rolled.group, members.collect(), rolled.interrupts)?;
    }
    let changes: BTreeMap<&Key, &Change> = action.restarts().map(|change| (&change.key, change)).collect();
    let taken = rolling.take_all(&changes).await;
    release(rolling.claims).await;
    taken
}

/// A roll under way.
struct Rolling<'a> {
    worker: &'a Worker,
    number: usize,
    turns: &'a [Turn],
    parts: BTreeMap<&'a str, Part<'a>>,
    /// Members changed, and how many there are to change; turns taken.
    done: usize,
    of: usize,
    taken: usize,
    waiting_since: Option<Instant>,
    looked: Instant,
    told: Option<NotSafe>,
    /// What is claimed for the next turn, by member.
    claims: BTreeMap<String, Claim>,
}

/// One group of it.
struct Part<'a> {
    role: Arc<dyn Role>,
    /// Members still to be changed.
    pending: BTreeSet<&'a str>,
    /// Members on hosts that are changed as a whole.
    beside: BTreeSet<&'a str>,
    interrupts: &'a BTreeSet<String>,
    untold_since: Option<Instant>,
}

/// A turn that may begin.
struct Ready<'a> {
    turn: &'a Turn,
    /// How the groups in it were seen, with what hosts say of their members' processes.
    seen: BTreeMap<&'a str, (GroupView, Option<ProcessSeen>)>,
    until: Until,
}

impl Ready<'_> {
    /// Those of its members that served when they were looked at.
    fn served(&self) -> BTreeSet<&str> {
        let up = |(group, member): &(&String, &Key)| {
            self.seen.get(group.as_str()).is_some_and(|(view, _)| view.is_up(&member.name))
        };
        self.turn.members.iter().filter(up).map(|(_, member)| member.name.as_str()).collect()
    }
}

/// Whether the turn that was chosen may begin.
enum Begin {
    Now(Until),
    /// Others know of it by now, which is seen by another look only.
    LookAgain,
    Not(String, NotSafe),
}

impl<'a> Rolling<'a> {
    fn over(worker: &'a Worker, number: usize, turns: &'a [Turn]) -> Self {
        Self {
            worker,
            number,
            turns,
            parts: BTreeMap::new(),
            done: 0,
            of: 0,
            taken: 0,
            waiting_since: None,
            looked: Instant::now(),
            told: None,
            claims: BTreeMap::new(),
        }
    }

    /// Adds a group with its members that are to be changed.
    fn add(
        &mut self,
        group: &'a str,
        pending: BTreeSet<&'a str>,
        interrupts: &'a BTreeSet<String>,
    ) -> Result<(), StepError> {
        let unknown = || GateError::UnknownRole { group: group.to_owned() };
        let role = self.worker.context.role_of(group).ok_or_else(unknown)?;
        let on_hosts = self.turns.iter().filter(|turn| turn.host.is_some());
        let beside = on_hosts.filter_map(|turn| turn.members.get(group)).map(|key| key.name.as_str());
        let beside = beside.collect();
        self.of += pending.len();
        self.parts.insert(group, Part { role, pending, beside, interrupts, untold_since: None });
        Ok(())
    }

    fn stopped(&self, group: &str, reason: NotSafe) -> StepError {
        StepError::NotSafe { group: group.to_owned(), done: self.done, of: self.of, reason }
    }

    async fn take_all(&mut self, changes: &BTreeMap<&Key, &Change>) -> Result<(), StepError> {
        while let Some(ready) = self.next_turn().await? {
            self.take(&ready, changes).await?;
        }
        Ok(())
    }

    /// Waits for the next turn; `None` once all are taken.
    async fn next_turn(&mut self) -> Result<Option<Ready<'a>>, StepError> {
        loop {
            let pending = self.parts.values().any(|part| !part.pending.is_empty());
            if self.worker.options.interrupt.asked() && pending {
                return Err(StepError::Interrupted);
            }
            let mut looked = BTreeMap::new();
            for (group, part) in &mut self.parts {
                looked.insert(*group, look::look(self.worker, group, part).await);
            }
            if let Some((group, _)) = looked.iter().find(|(_, found)| found.is_none()) {
                return Err(self.stopped(group, NotSafe::NobodyAnswers));
            }
            let mut looked: BTreeMap<&str, Looked<'_>> =
                looked.into_iter().filter_map(|(group, found)| Some((group, found?))).collect();
            let choice = {
                let groups: BTreeMap<&str, Group<'_>> =
                    self.parts.iter().map(|(group, part)| (*group, looked[group].of(part))).collect();
                roll::choose(&groups, self.turns)
            };
            let (group, reason) = match choice {
                Choice::Turn(number) => match self.may_begin(&self.turns[number], &looked).await {
                    Begin::Now(until) => {
                        let turn = &self.turns[number];
                        let seen = turn.members.iter().filter_map(|(group, member)| {
                            let (group, found) = looked.remove_entry(group.as_str())?;
                            let process = found.open.get(member.name.as_str()).copied().flatten();
                            Some((group, (found.view, process)))
                        });
                        let seen = seen.collect();
                        return Ok(Some(Ready { turn, seen, until }));
                    }
                    Begin::LookAgain => continue,
                    Begin::Not(group, reason) => (group, reason),
                },
                // Brokers aren't asked without an ensemble.
                Choice::Wait(group, NotSafe::NobodyAnswers) => {
                    let lacking = looked[group.as_str()].lacks(&[]);
                    (group, lacking.unwrap_or(NotSafe::NobodyAnswers))
                }
                Choice::Wait(group, reason) => (group, reason),
                Choice::Refuse(group, reason) => return Err(self.stopped(&group, reason)),
                Choice::Stray(group, member) => {
                    return Err(
                        self.stopped(&group, NotSafe::MembersAway { members: vec![member], so: None })
                    );
                }
                Choice::Done => return Ok(None),
            };
            self.wait(&group, reason).await?;
        }
    }

    /// Whether a turn may begin. Of a member that nobody counts on nothing more is asked.
    async fn may_begin(&mut self, turn: &Turn, looked: &BTreeMap<&'a str, Looked<'a>>) -> Begin {
        if let Some(host) = &turn.host
            && let Some(reason) = look::unconfirmed_beside(self.worker, host).await
        {
            return Begin::Not(turn.members.keys().next().cloned().unwrap_or_default(), reason);
        }
        let among: Vec<&str> = turn.members.keys().map(String::as_str).collect();
        let found = |group: &String| looked.get(group.as_str());
        let counted = turn.members.iter().filter_map(|(group, member)| {
            let found = found(group).filter(|found| found.counts(&member.name))?;
            Some((group, member, found))
        });
        let counted: Vec<_> = counted.collect();
        for (group, _, found) in &counted {
            if found.untold {
                return Begin::Not((*group).clone(), NotSafe::Untold);
            }
            // Those that are in the turn as well let their own member go.
            if let Some(reason) = found.lacks(&among) {
                return Begin::Not((*group).clone(), reason);
            }
        }
        let (kept, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.claims).into_iter().partition(|(name, claim)| {
                claim.is_held() && counted.iter().any(|(_, member, _)| member.name == *name)
            });
        let mut moved = !others.is_empty();
        release(others).await;
        self.claims = kept;
        let mut claimed = false;
        for (group, member, _) in &counted {
            if self.claims.contains_key(&member.name) {
                continue;
            }
            let Some(part) = self.parts.get(group.as_str()) else { continue };
            match look::claim(self.worker, part.role.as_ref(), group, &member.name).await {
                Ok(Some(claim)) => {
                    claimed = true;
                    self.claims.insert(member.name.clone(), claim);
                }
                Ok(None) => {}
                Err(reason) => return Begin::Not((*group).clone(), reason),
            }
        }
        // Whom others stopped before that is seen by another look only.
        if claimed {
            // Where the turn is another's now, or a claim was lost, things are on the move.
            if std::mem::take(&mut moved) {
                tokio::time::sleep(PAUSE).await;
            }
            return Begin::LookAgain;
        }
        let untils = turn.members.keys().filter_map(|group| Some(found(group)?.until));
        // A claim may end while this process stands still.
        let until = untils.chain(self.claims.values().map(Claim::until)).min();
        Begin::Now(until.unwrap_or_else(|| Until::within(Duration::ZERO)))
    }

    /// Waits a while for what a group says; fails where that takes too long.
    async fn wait(&mut self, group: &str, reason: NotSafe) -> Result<(), StepError> {
        self.claims.clear();
        let options = &self.worker.options;
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let patience = match left_out(self.worker, &reason) {
            true => FOR_LEFT_OUT.min(options.gate_timeout),
            false => options.gate_timeout,
        };
        if since.elapsed() >= patience {
            return Err(self.stopped(group, reason));
        }
        if self.looked.elapsed() >= gate::LOOK_AT_MEMBERS {
            self.looked = Instant::now();
            if let Some((member, reason)) =
                gate::broken_member(&self.worker.context, group, &BTreeSet::new()).await
            {
                return Err(GateError::Broken { group: group.to_owned(), member, reason }.into());
            }
        }
        if self.told.as_ref() != Some(&reason) {
            self.worker.tell(self.number, format!("waiting: {reason}"));
            self.told = Some(reason);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => Ok(()),
            () = options.interrupt.wait() => Err(StepError::Interrupted),
        }
    }

    /// Takes a turn: makes its change and waits until the groups in it are whole. Where it turns out that it may not begin,
    /// nothing is changed, and it is judged anew.
    async fn take(&mut self, ready: &Ready<'a>, changes: &BTreeMap<&Key, &Change>) -> Result<(), StepError> {
        let (worker, number, turn) = (self.worker, self.number, ready.turn);
        let place = format!("{} of {}", self.taken + 1, self.turns.len());
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
            }) if self.waiting_since.get_or_insert_with(Instant::now).elapsed()
                < worker.options.gate_timeout =>
            {
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
            changed => changed?,
        }
        self.waiting_since = None;
        self.taken += 1;
        for (group, change) in &of_turn {
            if let Some(part) = self.parts.get_mut(group) {
                self.done += usize::from(part.pending.remove(change.key.name.as_str()));
            }
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
            let away = self.parts[group].pending.iter().filter(|name| !view.is_up(name));
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
        release(std::mem::take(&mut self.claims)).await;
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
                let interrupts = self.parts.values().flat_map(|part| part.interrupts).cloned().collect();
                // Who claimed members for the turn claims them for the way back.
                let claims = std::mem::take(&mut self.claims);
                back::take_back(self.worker, self.number, turn, concerned, &interrupts, claims, error).await
            }
        }
    }
}

/// Ends claims, so that nobody is refused for them any more. Where ZooKeeper doesn't answer, they end with their sessions.
async fn release(claims: BTreeMap<String, Claim>) {
    for claim in claims.into_values() {
        let _ = tokio::time::timeout(RELEASE, claim.release()).await;
    }
}

/// Whether what is waited for is a member that nothing is done with, by somebody's word.
fn left_out(worker: &Worker, reason: &NotSafe) -> bool {
    let NotSafe::MembersAway { members, .. } = reason else { return false };
    members.iter().any(|name| worker.left_out.contains(&Key::new(NodeFacts::KIND, name)))
}
