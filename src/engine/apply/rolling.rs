//! A roll: running members changed one at a time. Each turn asks the role over a fresh view, changes a member, and
//! waits until the group is whole again.

use super::{StepError, Worker};
use crate::engine::gate::{self, GateError};
use crate::engine::observe;
use crate::engine::plan::Change;
use crate::role::{GroupView, Next, NotSafe, Roll};
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
                waiting_since = None;
                let turn = members.len() - pending.len() + 1;
                worker.tell(number, format!("changing {member} ({turn} of {})", members.len()));
                worker.update(change).await?;
                pending.remove(member.as_str());
                // Others that are away and still to be changed come first: the group can't be whole without them.
                if pending.iter().all(|name| view.is_up(name)) {
                    last_seen = Some(match worker.healthy(number, group, &view.members).await {
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
        worker.healthy(number, group, &view.members).await
    };
    match restored.await {
        Ok(_) => StepError::PutBack { member: member.clone(), reason: error },
        Err(failed) => failed,
    }
}
