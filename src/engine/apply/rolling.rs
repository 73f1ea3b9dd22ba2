//! A roll: running members changed one at a time. Each turn asks the role over a fresh view, has the member hand over
//! what it does, looks again, changes it, and waits until the group is whole again.

use super::{StepError, Worker};
use crate::engine::gate::{self, GateError};
use crate::engine::plan::Change;
use crate::engine::{Record, observe};
use crate::role::{GroupView, Next, NotSafe, Role, Roll};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often a roll that has to wait looks again.
const PAUSE: Duration = Duration::from_millis(250);

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
    // How the gate behind the last turn saw the group: what follows it at once need not look again.
    let mut last_seen: Option<GroupView> = None;
    let mut waiting_since: Option<Instant> = None;
    let mut looked = Instant::now();
    let mut told: Option<NotSafe> = None;
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
        let seen = match last_seen.take() {
            Some(view) => Some(view),
            None => observe::view(&worker.context, group).await,
        };
        let Some(view) = seen else { return Err(stopped(NotSafe::NobodyAnswers)) };
        match role.next(&Roll { pending: &pending, interrupts }, &view) {
            Next::Do(member) => {
                let Some(change) = members.get(&member) else {
                    return Err(stopped(NotSafe::MembersAway { members: vec![member], so: None }));
                };
                let role = role.as_ref();
                if view.is_up(&member) && hand_over(worker, number, group, role, &member, &view).await? {
                    // That took a moment in which others may have failed. May it still be disturbed, were it the only
                    // one left?
                    let seen = observe::view(&worker.context, group).await;
                    let alone = &Roll { pending: &[member.as_str()].into(), interrupts };
                    let again = |view: &GroupView| role.next(alone, view) == Next::Do(member.clone());
                    if !seen.as_ref().is_some_and(again) {
                        last_seen = seen;
                        continue;
                    }
                }
                waiting_since = None;
                let turn = members.len() - pending.len() + 1;
                worker.tell(number, format!("changing {member} ({turn} of {})", members.len()));
                worker.update(change).await?;
                pending.remove(member.as_str());
                // Others that are away and still to be changed come first: the group can't be whole without them.
                if pending.iter().all(|name| view.is_up(name)) {
                    last_seen = Some(match worker.gate(number, group, &view.members).await {
                        Err(StepError::Gate(error)) => {
                            return Err(put_back(worker, number, group, change, error).await);
                        }
                        seen => seen?,
                    });
                }
            }
            Next::Wait(reason) => {
                let since = *waiting_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= worker.options.gate_timeout {
                    return Err(stopped(reason));
                }
                if looked.elapsed() >= gate::LOOK_AT_MEMBERS {
                    looked = Instant::now();
                    if let Some((member, reason)) = gate::broken_member(&worker.context, group).await {
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

/// Has others do what `member` does for the group, noted down before anything moves. Returns whether there was anything.
/// That it can't be handed over is told and stops nothing: an orderly stop hands over too, only later.
async fn hand_over(
    worker: &Worker,
    number: usize,
    group: &str,
    role: &dyn Role,
    member: &str,
    view: &GroupView,
) -> Result<bool, StepError> {
    let Some(before) = role.handover(member, view, handed_over(worker, group).as_ref()) else {
        return Ok(false);
    };
    worker.tell(number, format!("{member} hands over before its restart"));
    worker.append(Record::HandedOver { group: group.to_owned(), before: Some(before) })?;
    let wire = worker.context.registry().wire();
    if let Err(error) = role.hand_over(wire.as_ref(), member, view).await {
        worker.tell(number, format!("{member} could not hand over before its stop: {error}"));
    }
    Ok(true)
}

/// Gives members of a healthy group back what they handed over, also in an earlier roll that was cut off. Returns
/// whether there was anything.
pub(super) async fn take_back(
    worker: &Worker,
    number: usize,
    group: &str,
    view: &GroupView,
) -> Result<bool, StepError> {
    let Some(before) = handed_over(worker, group) else { return Ok(false) };
    let Some(role) = worker.context.role_of(group) else { return Ok(false) };
    let wire = worker.context.registry().wire();
    match role.take_back(wire.as_ref(), view, &before).await {
        Ok(()) => worker.append(Record::HandedOver { group: group.to_owned(), before: None })?,
        // It stays noted: the next gate tries again.
        Err(error) => worker.tell(number, format!("{group} has not back what was handed over: {error}")),
    }
    Ok(true)
}

fn handed_over(worker: &Worker, group: &str) -> Option<Value> {
    worker.store.lock().expect("no holder of the store panics").state().handed_over.get(group).cloned()
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
    let view = match observe::view(&worker.context, group).await {
        Some(view) if !view.is_up(member) => view,
        _ => return error.into(),
    };
    worker.tell(number, format!("putting {member} back to what it was: {error}"));
    let back = Change { before: change.after.clone(), after: change.before.clone(), ..change.clone() };
    let restored = async {
        worker.update(&back).await?;
        worker.gate(number, group, &view.members).await
    };
    match restored.await {
        Ok(_) => StepError::PutBack { member: member.clone(), reason: error },
        Err(failed) => failed,
    }
}
