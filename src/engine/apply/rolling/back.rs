//! What becomes of a change after which a group isn't whole: it is put back to what was before, where that is safe.

use super::super::{StepError, Worker};
use super::{Chooser, look};
use crate::clock::{LOOK_HOLDS, Until};
use crate::engine::gate::{GateError, Members};
use crate::engine::plan::Change;
use crate::engine::roll::Turn;
use crate::host::HostError;
use crate::kafka::Claim;
use crate::model::{Key, ProcessSeen};
use crate::resource::{self, KindError};
use crate::role::{GroupView, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a member is tried to be put back that its host would have stopped too late.
const TRIES: usize = 3;

/// How many looks in a row, one a second, a member must run for that can't be judged by its group.
const KEEPS_RUNNING: usize = 5;

/// Whom a failed change concerns.
pub(super) struct Concerned<'a> {
    /// The members that have to be well with it, by group.
    pub(super) members: &'a BTreeMap<String, Key>,
    /// Those that served before it.
    pub(super) served: &'a BTreeSet<&'a str>,
}

/// Whether a member that was changed is certainly away: by its host's word, by that of its group, or by its own where it was
/// among those that `served` before, so that it is the change that it is ill of. It was stopped in order, so that it has little
/// to read, and has had the time of a gate for it.
async fn is_away(worker: &Worker, member: &Key, view: &GroupView, served: &BTreeSet<&str>) -> bool {
    view.standing(&member.name) == Some(Standing::Out)
        || view.is_ill(&member.name) && served.contains(member.name.as_str())
        || !view.is_up(&member.name)
            && look::process(worker.ground(), member).await == Some(ProcessSeen::Gone)
}

/// Puts a member that did not come back from its change to what it was before, so that the group is whole again. One
/// that serves is left alone: what is wrong then is another's. Returns what the roll ends with.
pub(super) async fn put_back(
    worker: &Worker,
    number: usize,
    group: &str,
    change: &Change,
    served: &BTreeSet<&str>,
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
    let back = Change { before: change.after.clone(), after: change.before.clone(), ..change.clone() };
    for _ in 0..TRIES {
        let until = Until::within(LOOK_HOLDS);
        let view = match resource::view(worker.context.as_ref(), group).await {
            Some(view) if is_away(worker, &change.key, &view, served).await => view,
            _ => return error.into(),
        };
        worker.tell(number, format!("putting {member} back to what it was: {error}"));
        let restored = async {
            worker.update(&back, Some(until)).await?;
            worker.healthy(number, group, &view.members).await
        };
        match restored.await {
            Ok(_) => return StepError::PutBack { member: member.clone(), reason: error },
            // It may serve by now.
            Err(StepError::Act { source: KindError::Host(HostError::TooLate { .. }), .. }) => {}
            Err(failed) => return failed,
        }
    }
    error.into()
}

/// Waits until a group is well with its `member` on a host that was changed, but for these others that are away. Where it can't
/// be well without them, the member must keep running: it isn't what is lacking then.
pub(super) async fn well_but_for(
    worker: &Worker,
    number: usize,
    group: &str,
    known: &Members,
    member: &Key,
    others: &BTreeSet<Key>,
) -> Result<(), StepError> {
    let but_for = &worker.left_out | others;
    match worker.healthy_but_for(number, group, known, &but_for).await {
        Err(StepError::Gate(GateError::LeftOut { .. })) if !others.is_empty() => {
            Ok(keeps_running(worker, group, member).await?)
        }
        healthy => healthy.map(drop),
    }
}

async fn keeps_running(worker: &Worker, group: &str, member: &Key) -> Result<(), GateError> {
    let mut looks = 0;
    for _ in 0..3 * KEEPS_RUNNING {
        looks = match look::process(worker.ground(), member).await {
            Some(ProcessSeen::Runs | ProcessSeen::Young) => looks + 1,
            _ => 0,
        };
        if looks >= KEEPS_RUNNING {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(GateError::Broken {
        group: group.to_owned(),
        member: member.name.clone(),
        reason: "its process doesn't stay".into(),
    })
}

/// Keeps what is on trial on a host since a run that was cut off, once the members there are well; else takes it back. Others
/// that are away aren't waited for: what would bring them back comes after it.
pub(in super::super) async fn confirm(
    worker: &Worker,
    number: usize,
    host: &Key,
    members: &BTreeMap<String, Key>,
    interrupts: &BTreeSet<String>,
) -> Result<(), StepError> {
    for (group, member) in members {
        let mut others: BTreeSet<Key> = worker.context.made_instances(group).into_keys().collect();
        others.remove(member);
        match well_but_for(worker, number, group, &Members::default(), member, &others).await {
            Err(StepError::Gate(error)) => {
                let turn = Turn { host: Some(host.clone()), members: members.clone() };
                let claims = BTreeMap::new();
                let concerned = Concerned { members, served: &BTreeSet::new() };
                return Err(take_back(worker, number, &turn, &concerned, interrupts, claims, error).await);
            }
            well => well?,
        }
    }
    worker.confirm(host, members.values()).await
}

/// Takes back what is on trial on a host where one of those `concerned` did not come back from it. That is a turn like any
/// other: every group there must let its member go. Where one doesn't, or nobody is away, the change stays on trial, and the
/// next run settles it. Returns what the roll ends with.
pub(super) async fn take_back(
    worker: &Worker,
    number: usize,
    turn: &Turn,
    concerned: &Concerned<'_>,
    interrupts: &BTreeSet<String>,
    claims: BTreeMap<String, Claim>,
    error: GateError,
) -> StepError {
    let Some(host) = &turn.host else { return error.into() };
    if !is_on_trial(worker, host).await {
        return error.into();
    }
    let stays = |why: String| worker.tell(number, format!("{host} stays on trial until the next run{why}"));
    let failed = match &error {
        GateError::TimedOut { .. } => true,
        GateError::Broken { member, .. } => concerned.members.values().any(|key| key.name == *member),
        _ => false,
    };
    let away = match worker.options.put_back && failed {
        true => certainly_away(worker, concerned).await,
        false => Vec::new(),
    };
    let Some(first) = away.first().map(|away| away.member.name.clone()) else {
        stays(String::new());
        return error.into();
    };
    // A group that serves nobody without its member here is helped by it, and others may need that to answer.
    let stuck = away.into_iter().filter(|away| away.leaderless);
    let stuck: BTreeMap<String, Key> = stuck.map(|away| (away.group, away.member)).collect();
    let asked = Turn { members: if stuck.is_empty() { turn.members.clone() } else { stuck }, ..turn.clone() };
    let tell = |message| worker.tell(number, message);
    let mut back = Chooser::over(worker.ground(), std::slice::from_ref(&asked), claims, &tell);
    for (group, member) in &asked.members {
        if let Err(error) = back.add(group, [member.name.as_str()].into(), interrupts) {
            return error;
        }
    }
    let until = match back.next_turn().await {
        Ok(Some(ready)) => ready.until,
        Ok(None) => Until::within(Duration::ZERO),
        Err(reason) => {
            back.release().await;
            stays(format!(": {reason}"));
            return error.into();
        }
    };
    worker.tell(number, format!("putting {host} back to what it ran: {error}"));
    let restored = async {
        worker.revert(host, turn.members.values(), until).await?;
        back.release().await;
        for group in concerned.members.keys() {
            worker.healthy(number, group, &Members::default()).await?;
        }
        Ok(())
    };
    match restored.await {
        Ok(()) => StepError::PutBack { member: first, reason: error },
        Err(failed) => failed,
    }
}

async fn is_on_trial(worker: &Worker, host: &Key) -> bool {
    match worker.kind(host) {
        Ok(kind) => kind.unconfirmed(worker.context.as_ref(), host).await.unwrap_or(false),
        Err(_) => false,
    }
}

/// A member that is certainly away.
struct Away {
    group: String,
    member: Key,
    /// Nobody leads its group without it.
    leaderless: bool,
}

/// Those of these members that are certainly away.
async fn certainly_away(worker: &Worker, Concerned { members, served }: &Concerned<'_>) -> Vec<Away> {
    let mut all = Vec::new();
    for (group, member) in *members {
        let view = resource::view(worker.context.as_ref(), group).await;
        if let Some(view) = view
            && is_away(worker, member, &view, served).await
        {
            let (group, member) = (group.clone(), member.clone());
            all.push(Away { group, member, leaderless: view.leaders.is_empty() });
        }
    }
    all
}
