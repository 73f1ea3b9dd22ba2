//! A roll: running members changed one at a time. Each turn asks the role over a fresh view, changes a member, and
//! waits until the group is whole again.
//!
//! What a turn is decided from is looked at right before it: the group, the hosts of members that don't serve, and the
//! groups that this one needs. What could not be asked is waited for, and after a while refused.

use super::{StepError, Worker};
use crate::clock::{LOOK_HOLDS, UNTOLD, Until};
use crate::engine::gate::{self, GateError};
use crate::engine::plan::Change;
use crate::engine::roll::Pending;
use crate::host::HostError;
use crate::kafka::Claim;
use crate::model::{Key, NodeFacts, ProcessSeen};
use crate::resource::{self, Instance, KindError, Observed, Surroundings as _};
use crate::role::{GroupView, Health, Next, NotSafe, Role, Roll, Standing};
use crate::stack::direct_needs;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How often a roll that has to wait looks again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long it waits for one that was left out: nobody is at it who could bring it back, but its host.
const FOR_LEFT_OUT: Duration = Duration::from_secs(5);

pub(super) async fn roll(
    worker: &Worker,
    number: usize,
    group: &str,
    members: &BTreeMap<String, Change>,
    interrupts: &BTreeSet<String>,
) -> Result<(), StepError> {
    let role =
        worker.context.role_of(group).ok_or_else(|| GateError::UnknownRole { group: group.to_owned() })?;
    let mut pending: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    let mut waiting_since: Option<Instant> = None;
    let mut untold_since: Option<Instant> = None;
    let mut looked = Instant::now();
    let mut told: Option<NotSafe> = None;
    let mut claimed: Option<(String, Claim)> = None;
    loop {
        let stopped = |reason| StepError::NotSafe {
            group: group.to_owned(),
            done: members.len() - pending.len(),
            of: members.len(),
            reason,
        };
        if worker.options.interrupt.asked() && !pending.is_empty() {
            return Err(StepError::Interrupted);
        }
        // What another group and the hosts say is no younger than what the group says of itself.
        let lacking = needs_unhealthy(worker, group).await;
        let mut until = Until::within(LOOK_HOLDS);
        let Some(first) = resource::view(worker.context.as_ref(), group).await else {
            return Err(stopped(NotSafe::NobodyAnswers));
        };
        let open = look(worker, members, &pending, &first).await;
        // The group itself last, since a host may take its time: what a turn is decided from is as fresh as can be.
        let view = match pending.iter().all(|name| first.is_up(name)) {
            true => first,
            false => {
                until = Until::within(LOOK_HOLDS);
                resource::view(worker.context.as_ref(), group).await.unwrap_or(first)
            }
        };
        // Whoever knows of one topic was told of all.
        let tells = role.tells_any(&view, &BTreeSet::new());
        untold_since = (!tells).then(|| untold_since.unwrap_or_else(Instant::now));
        // One that is alone can only tell of it itself.
        let untold = view.members.len() > 1
            && untold_since.is_some_and(|since| {
                !worker.context.made_within(group).is_empty() || since.elapsed() < UNTOLD
            });
        let next = match role.next(&Roll { pending: &open, interrupts }, &view) {
            Next::Do(member) if !counts(&member, &open, &view) => Next::Do(member),
            Next::Do(_) if untold => Next::Wait(NotSafe::Untold),
            Next::Do(member) => match lacking {
                Some(reason) => Next::Wait(reason),
                None if claimed.as_ref().is_some_and(|(held, claim)| *held == member && claim.is_held()) => {
                    Next::Do(member)
                }
                None => match claim(worker, role.as_ref(), group, &member).await {
                    // Whom others stopped before that is seen by another look only.
                    Ok(Some(claim)) => {
                        // Where the turn is another's now, or a claim was lost, things are on the move.
                        if claimed.replace((member, claim)).is_some() {
                            tokio::time::sleep(PAUSE).await;
                        }
                        continue;
                    }
                    Ok(None) => Next::Do(member),
                    Err(reason) => Next::Wait(reason),
                },
            },
            // Brokers aren't asked without an ensemble.
            Next::Wait(NotSafe::NobodyAnswers) => Next::Wait(lacking.unwrap_or(NotSafe::NobodyAnswers)),
            next => next,
        };
        match next {
            Next::Do(member) => {
                let Some(change) = members.get(&member) else {
                    return Err(stopped(NotSafe::MembersAway { members: vec![member], so: None }));
                };
                let turn = members.len() - pending.len() + 1;
                worker.tell(number, format!("changing {member} ({turn} of {})", members.len()));
                // A claim may end while this process stands still.
                if let Some((_, claim)) = &claimed {
                    until = until.min(claim.until());
                }
                let changed = match open[member.as_str()] {
                    Some(ProcessSeen::Gone) => worker.update_at_rest(change).await,
                    _ => worker.update(change, Some(until)).await,
                };
                match changed {
                    // It was started since it was looked at and may serve, or the look is too old: it is judged anew.
                    Err(StepError::Act {
                        source: KindError::CameBack { .. } | KindError::Host(HostError::TooLate { .. }),
                        ..
                    }) if waiting_since.get_or_insert_with(Instant::now).elapsed()
                        < worker.options.gate_timeout =>
                    {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    changed => changed?,
                }
                waiting_since = None;
                pending.remove(member.as_str());
                // Others that are away and still to be changed come first: the group can't be whole without them.
                if pending.iter().all(|name| view.is_up(name)) {
                    match worker.healthy(number, group, &view.members).await {
                        Err(StepError::Gate(error)) => {
                            return Err(put_back(worker, number, group, change, error).await);
                        }
                        healthy => drop(healthy?),
                    }
                }
                if let Some((_, claim)) = claimed.take() {
                    claim.release().await;
                }
            }
            Next::Wait(reason) => {
                claimed = None;
                let since = *waiting_since.get_or_insert_with(Instant::now);
                let patience = match left_out(worker, &reason) {
                    true => FOR_LEFT_OUT.min(worker.options.gate_timeout),
                    false => worker.options.gate_timeout,
                };
                if since.elapsed() >= patience {
                    return Err(stopped(reason));
                }
                if looked.elapsed() >= gate::LOOK_AT_MEMBERS {
                    looked = Instant::now();
                    if let Some((member, reason)) =
                        gate::broken_member(&worker.context, group, &BTreeSet::new()).await
                    {
                        return Err(GateError::Broken { group: group.to_owned(), member, reason }.into());
                    }
                }
                if told.as_ref() != Some(&reason) {
                    worker.tell(number, format!("waiting: {reason}"));
                    told = Some(reason);
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = worker.options.interrupt.wait() => return Err(StepError::Interrupted),
                }
            }
            Next::Refuse(reason) => return Err(stopped(reason)),
            Next::Done => return Ok(()),
        }
    }
}

/// Members still to be changed, with what the hosts of those say that don't serve.
async fn look<'a>(
    worker: &Worker,
    members: &BTreeMap<String, Change>,
    pending: &BTreeSet<&'a str>,
    view: &GroupView,
) -> Pending<'a> {
    let looks = pending.iter().map(|name| async move {
        let process = match members.get(*name) {
            Some(change) if !view.is_up(name) => process(worker, change).await,
            _ => None,
        };
        (*name, process)
    });
    futures_util::future::join_all(looks).await.into_iter().collect()
}

async fn process(worker: &Worker, change: &Change) -> Option<ProcessSeen> {
    let instance = Instance { inputs: change.before.clone(), ..worker.context.instance(&change.key) };
    let subject = BTreeMap::from([(change.key.clone(), instance)]);
    let found = worker.kind(&change.key).ok()?.observe(worker.context.as_ref(), &subject).await;
    found.get(&change.key).and_then(Observed::process)
}

/// Whether the group may count on a member: not where it has no process, stands still or is out.
fn counts(member: &str, open: &Pending<'_>, view: &GroupView) -> bool {
    let idle = matches!(open.get(member), Some(Some(ProcessSeen::Gone | ProcessSeen::Still)));
    // One that stood still may have gone on since its host was asked.
    view.is_up(member) || !idle && view.standing(member) != Some(Standing::Out)
}

/// Whether what is waited for is a member that nothing is done with, by somebody's word.
fn left_out(worker: &Worker, reason: &NotSafe) -> bool {
    let NotSafe::MembersAway { members, .. } = reason else { return false };
    members.iter().any(|name| worker.left_out.contains(&Key::new(NodeFacts::KIND, name)))
}

/// Has those know who act by themselves that a member is about to be stopped.
async fn claim(
    worker: &Worker,
    role: &dyn Role,
    group: &str,
    member: &str,
) -> Result<Option<Claim>, NotSafe> {
    let members = worker.context.made_members(group);
    match members.iter().find(|facts| facts.node == member) {
        Some(facts) => role.claim(worker.context.wire(), facts).await,
        None => Ok(None),
    }
}

/// A group that the members of this one need, and that isn't healthy.
async fn needs_unhealthy(worker: &Worker, group: &str) -> Option<NotSafe> {
    let members = worker.stack.groups.get(group).map(|group| &group.members).into_iter().flatten();
    // A recorded stack knows of a needed group by its members only.
    let needs: BTreeSet<Key> = members.flat_map(|member| direct_needs(&worker.stack, member)).collect();
    let needed = worker
        .stack
        .groups
        .iter()
        .filter(|(name, other)| *name != group && !other.members.is_disjoint(&needs));
    for (needed, _) in needed {
        let health = resource::health(worker.context.as_ref(), needed).await;
        let health = health.unwrap_or_else(|| Health::Unhealthy("it could not be asked".into()));
        if let Some(reason) = health.lacks() {
            return Some(NotSafe::NeedsUnhealthy { group: needed.clone(), lacks: reason });
        }
    }
    None
}

/// Whether a member that was changed is certainly away: by its host's word, or by that of its group. It was stopped in
/// order, so that it has little to read, and has had the time of a gate for it.
async fn is_away(worker: &Worker, change: &Change, view: &GroupView) -> bool {
    let member = &change.key.name;
    view.standing(member) == Some(Standing::Out)
        || !view.is_up(member) && process(worker, change).await == Some(ProcessSeen::Gone)
}

/// Puts a member that did not come back from its change to what it was before, so that the group is whole again. One
/// that serves is left alone: what is wrong then is another's. Returns what the roll ends with.
async fn put_back(
    worker: &Worker,
    number: usize,
    group: &str,
    change: &Change,
    error: GateError,
) -> StepError {
    let member = &change.key.name;
    let failed = matches!(&error, GateError::TimedOut { .. })
        || matches!(&error, GateError::Broken { member: broken, .. } if broken == member);
    let kind = worker.kind(&change.key);
    let reversible = kind.is_ok_and(|kind| kind.reversible(&change.key, &change.before, &change.after));
    if !(worker.options.put_back && failed && !change.changes.is_empty() && reversible) {
        return error.into();
    }
    let view = match resource::view(worker.context.as_ref(), group).await {
        Some(view) if is_away(worker, change, &view).await => view,
        _ => return error.into(),
    };
    worker.tell(number, format!("putting {member} back to what it was: {error}"));
    let back = Change { before: change.after.clone(), after: change.before.clone(), ..change.clone() };
    let restored = async {
        worker.update(&back, None).await?;
        worker.healthy(number, group, &view.members).await
    };
    match restored.await {
        Ok(_) => StepError::PutBack { member: member.clone(), reason: error },
        Err(failed) => failed,
    }
}
