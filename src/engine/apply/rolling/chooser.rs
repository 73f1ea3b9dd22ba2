//! Which turn may begin, and when: asked right before it. Changes nothing but claims.

use super::super::{Ground, StepError};
use super::look::{self, Looked};
use crate::clock::Until;
use crate::engine::gate::{self, GateError};
use crate::engine::roll::{self, Choice, Group, Turn};
use crate::kafka::Claim;
use crate::model::{Key, NodeFacts, ProcessSeen};
use crate::resource::Surroundings as _;
use crate::role::{GroupView, NotSafe, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a roll that has to wait looks again.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// How long it waits for one that was left out: nobody is at it who could bring it back, but its host.
const FOR_LEFT_OUT: Duration = Duration::from_secs(5);

/// How long ZooKeeper may take to end a claim: a few round trips.
const RELEASE: Duration = Duration::from_secs(1);

/// The turns of a roll that are still to be taken.
pub(in super::super) struct Chooser<'a> {
    ground: Ground<'a>,
    /// Hears what is waited for.
    tell: &'a (dyn Fn(String) + Send + Sync),
    turns: &'a [Turn],
    pub(super) parts: BTreeMap<&'a str, Part<'a>>,
    /// Members changed, and how many there are to change.
    done: usize,
    of: usize,
    pub(super) waiting_since: Option<Instant>,
    looked: Instant,
    told: Option<NotSafe>,
    /// What is claimed for the next turn, by member.
    pub(super) claims: BTreeMap<String, Claim>,
}

/// One group of it.
pub(super) struct Part<'a> {
    pub(super) role: Arc<dyn Role>,
    /// The groups that its members need.
    pub(super) needs: Vec<&'a str>,
    /// Members still to be changed.
    pub(super) pending: BTreeSet<&'a str>,
    /// Members on hosts that are changed as a whole.
    pub(super) beside: BTreeSet<&'a str>,
    pub(super) interrupts: &'a BTreeSet<String>,
    pub(super) untold_since: Option<Instant>,
}

/// A turn that may begin.
pub(in super::super) struct Ready<'a> {
    pub(super) turn: &'a Turn,
    /// How the groups in it were seen, with what hosts say of their members' processes.
    pub(in super::super) seen: BTreeMap<&'a str, (GroupView, Option<ProcessSeen>)>,
    pub(in super::super) until: Until,
}

impl Ready<'_> {
    /// Those of its members that served when they were looked at.
    pub(super) fn served(&self) -> BTreeSet<&str> {
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

impl<'a> Chooser<'a> {
    /// Turns without a member to change yet; what is claimed already stays so.
    pub(in super::super) fn over(
        ground: Ground<'a>,
        turns: &'a [Turn],
        claims: BTreeMap<String, Claim>,
        tell: &'a (dyn Fn(String) + Send + Sync),
    ) -> Self {
        Self {
            ground,
            tell,
            turns,
            parts: BTreeMap::new(),
            done: 0,
            of: 0,
            waiting_since: None,
            looked: Instant::now(),
            told: None,
            claims,
        }
    }

    /// Adds a group with its members that are to be changed.
    pub(in super::super) fn add(
        &mut self,
        group: &'a str,
        pending: BTreeSet<&'a str>,
        interrupts: &'a BTreeSet<String>,
    ) -> Result<(), StepError> {
        let unknown = || GateError::UnknownRole { group: group.to_owned() };
        let role = self.ground.context.role_of(group).ok_or_else(unknown)?;
        let on_hosts = self.turns.iter().filter(|turn| turn.host.is_some());
        let beside = on_hosts.filter_map(|turn| turn.members.get(group)).map(|key| key.name.as_str());
        let beside = beside.collect();
        self.of += pending.len();
        let needs = look::needed(self.ground, group);
        self.parts.insert(group, Part { role, needs, pending, beside, interrupts, untold_since: None });
        Ok(())
    }

    /// Takes note that a member is changed.
    pub(super) fn changed(&mut self, group: &str, member: &str) {
        if let Some(part) = self.parts.get_mut(group) {
            self.done += usize::from(part.pending.remove(member));
        }
    }

    /// Ends what is claimed, so that nobody is refused for it any more.
    pub(in super::super) async fn release(&mut self) {
        release(self.take_claims()).await;
    }

    /// What is claimed, to be kept by somebody else.
    pub(in super::super) fn take_claims(&mut self) -> BTreeMap<String, Claim> {
        std::mem::take(&mut self.claims)
    }

    fn stopped(&self, group: &str, reason: NotSafe) -> StepError {
        StepError::NotSafe { group: group.to_owned(), done: self.done, of: self.of, reason }
    }

    /// Waits for the next turn; `None` once all are taken.
    pub(in super::super) async fn next_turn(&mut self) -> Result<Option<Ready<'a>>, StepError> {
        loop {
            let pending = self.parts.values().any(|part| !part.pending.is_empty());
            if self.ground.options.interrupt.asked() && pending {
                return Err(StepError::Interrupted);
            }
            let mut looked = BTreeMap::new();
            for (group, part) in &mut self.parts {
                looked.insert(*group, look::look(self.ground, group, part).await);
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
            && let Some(reason) = look::unconfirmed_beside(self.ground, host).await
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
            match look::claim(self.ground.context, part.role.as_ref(), group, &member.name).await {
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
        let options = self.ground.options;
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let patience = match left_out(self.ground, &reason) {
            true => FOR_LEFT_OUT.min(options.gate_timeout),
            false => options.gate_timeout,
        };
        if since.elapsed() >= patience {
            return Err(self.stopped(group, reason));
        }
        if self.looked.elapsed() >= gate::LOOK_AT_MEMBERS {
            self.looked = Instant::now();
            if let Some((member, reason)) =
                gate::broken_member(self.ground.context, group, &BTreeSet::new()).await
            {
                return Err(GateError::Broken { group: group.to_owned(), member, reason }.into());
            }
        }
        if self.told.as_ref() != Some(&reason) {
            (self.tell)(format!("waiting: {reason}"));
            self.told = Some(reason);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => Ok(()),
            () = options.interrupt.wait() => Err(StepError::Interrupted),
        }
    }
}

/// Ends claims. Where ZooKeeper doesn't answer, they end with their sessions.
pub(in super::super) async fn release(claims: BTreeMap<String, Claim>) {
    for claim in claims.into_values() {
        let _ = tokio::time::timeout(RELEASE, claim.release()).await;
    }
}

/// Whether what is waited for is a member that nothing is done with, by somebody's word.
fn left_out(ground: Ground<'_>, reason: &NotSafe) -> bool {
    let NotSafe::MembersAway { members, .. } = reason else { return false };
    members.iter().any(|name| ground.left_out.contains(&Key::new(NodeFacts::KIND, name)))
}
