//! What becomes of a change after which a group isn't whole: it is put back to what was before, where that is safe.

use super::super::{StepError, Worker};
use super::{Rolling, look};
use crate::engine::gate::{GateError, Members};
use crate::engine::plan::Change;
use crate::engine::roll::Turn;
use crate::model::{Key, ProcessSeen};
use crate::resource;
use crate::role::{GroupView, Standing};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a member that was changed is certainly away: by its host's word, or by that of its group. It was stopped in
/// order, so that it has little to read, and has had the time of a gate for it.
async fn is_away(worker: &Worker, member: &Key, view: &GroupView) -> bool {
    view.standing(&member.name) == Some(Standing::Out)
        || !view.is_up(&member.name) && look::process(worker, member).await == Some(ProcessSeen::Gone)
}

/// Puts a member that did not come back from its change to what it was before, so that the group is whole again. One
/// that serves is left alone: what is wrong then is another's. Returns what the roll ends with.
pub(super) async fn put_back(
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
        Some(view) if is_away(worker, &change.key, &view).await => view,
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

/// Keeps what is on trial on a host since a run that was cut off, once the groups there are whole; else takes it back.
pub(in super::super) async fn confirm(
    worker: &Worker,
    number: usize,
    host: &Key,
    members: &BTreeMap<String, Key>,
) -> Result<(), StepError> {
    for group in members.keys() {
        match worker.healthy(number, group, &Members::default()).await {
            Err(StepError::Gate(error)) => {
                let turn = Turn { host: Some(host.clone()), members: members.clone() };
                return Err(take_back(worker, number, &turn, members, &BTreeMap::new(), error).await);
            }
            healthy => drop(healthy?),
        }
    }
    worker.confirm(host).await
}

/// Takes back what is on trial on a host where one of those `concerned` did not come back from it. That is a turn like any
/// other: every group there must let its member go. Where one doesn't, or nobody is away, the change stays on trial, and the
/// next run settles it. Returns what the roll ends with.
pub(super) async fn take_back(
    worker: &Worker,
    number: usize,
    turn: &Turn,
    concerned: &BTreeMap<String, Key>,
    interrupts: &BTreeMap<&str, &BTreeSet<String>>,
    error: GateError,
) -> StepError {
    let Some(host) = &turn.host else { return error.into() };
    if !is_on_trial(worker, host).await {
        return error.into();
    }
    let stays = |why: String| worker.tell(number, format!("{host} stays on trial until the next run{why}"));
    let failed = match &error {
        GateError::TimedOut { .. } => true,
        GateError::Broken { member, .. } => concerned.values().any(|key| key.name == *member),
        _ => false,
    };
    let away = match worker.options.put_back && failed {
        true => first_away(worker, concerned).await,
        false => None,
    };
    let Some(away) = away else {
        stays(String::new());
        return error.into();
    };
    let none = BTreeSet::new();
    let mut back = Rolling::over(worker, number, std::slice::from_ref(turn));
    for (group, member) in &turn.members {
        let interrupts = interrupts.get(group.as_str()).copied().unwrap_or(&none);
        if let Err(error) = back.add(group, [member.name.as_str()].into(), interrupts) {
            return error;
        }
    }
    if let Err(reason) = back.next_turn().await {
        stays(format!(": {reason}"));
        return error.into();
    }
    worker.tell(number, format!("putting {host} back to what it ran: {error}"));
    let restored = async {
        worker.revert(host, turn.members.values()).await?;
        for group in concerned.keys() {
            worker.healthy(number, group, &Members::default()).await?;
        }
        Ok(())
    };
    match restored.await {
        Ok(()) => StepError::PutBack { member: away, reason: error },
        Err(failed) => failed,
    }
}

async fn is_on_trial(worker: &Worker, host: &Key) -> bool {
    match worker.kind(host) {
        Ok(kind) => kind.unconfirmed(worker.context.as_ref(), host).await.unwrap_or(false),
        Err(_) => false,
    }
}

/// The first of these members that is certainly away.
async fn first_away(worker: &Worker, members: &BTreeMap<String, Key>) -> Option<String> {
    for (group, member) in members {
        let view = resource::view(worker.context.as_ref(), group).await;
        if let Some(view) = view
            && is_away(worker, member, &view).await
        {
            return Some(member.name.clone());
        }
    }
    None
}
