//! What a turn is decided from, looked at right before it.

use super::super::Ground;
use super::chooser::Part;
use crate::causes::with_causes;
use crate::clock::{LOOK_HOLDS, UNTOLD, Until};
use crate::engine::Context;
use crate::engine::roll::{Group, Pending};
use crate::kafka::Claim;
use crate::model::{Key, ProcessSeen};
use crate::resource::{self, Observed, Surroundings as _};
use crate::role::{GroupView, Health, NotSafe, Role, Standing};
use crate::stack::direct_needs;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// A group as a look has it.
pub(super) struct Looked<'a> {
    pub(super) view: GroupView,
    /// What hosts say of the members to be changed, and of those beside them.
    pub(super) open: Pending<'a>,
    /// Nobody has been told yet of what it holds.
    pub(super) untold: bool,
    /// The groups that its members need and that aren't healthy, with what they lack.
    lacking: BTreeMap<String, String>,
    /// What is decided from it is begun before this.
    pub(super) until: Until,
}

impl<'a> Looked<'a> {
    /// The group, for a choice of turns.
    pub(super) fn of<'b>(&self, part: &'b Part<'a>) -> Group<'b>
    where
        'a: 'b,
    {
        let (pending, beside) = self
            .open
            .iter()
            .map(|(name, seen)| (*name, *seen))
            .partition(|(name, _)| part.pending.contains(name));
        Group {
            role: part.role.as_ref(),
            view: self.view.clone(),
            pending,
            beside,
            interrupts: part.interrupts,
        }
    }

    /// What it lacks of the groups that it needs, but for these.
    pub(super) fn lacks(&self, but: &[&str]) -> Option<NotSafe> {
        let lacking = self.lacking.iter().find(|(group, _)| !but.contains(&group.as_str()));
        lacking.map(|(group, lacks)| NotSafe::NeedsUnhealthy { group: group.clone(), lacks: lacks.clone() })
    }

    /// Whether the group may count on a member: not where it has no process, stands still or is out.
    pub(super) fn counts(&self, member: &str) -> bool {
        let idle = matches!(self.open.get(member), Some(Some(ProcessSeen::Gone | ProcessSeen::Still)));
        // One that stood still may have gone on since its host was asked.
        self.view.is_up(member) || !idle && self.view.standing(member) != Some(Standing::Out)
    }
}

/// Looks at a group; `None` where none of its members exists.
pub(super) async fn look<'a>(ground: Ground<'_>, group: &str, part: &mut Part<'a>) -> Option<Looked<'a>> {
    // What another group and the hosts say is no younger than what the group says of itself.
    let lacking = unhealthy(ground, &part.needs).await;
    let mut until = Until::within(LOOK_HOLDS);
    let first = resource::view(ground.context, group).await?;
    let names: BTreeSet<&str> = &part.pending | &part.beside;
    let open = processes(ground, group, &names, &first).await;
    // The group itself last, since a host may take its time: what a turn is decided from is as fresh as can be.
    let view = match names.iter().all(|name| first.is_up(name)) {
        true => first,
        false => {
            until = Until::within(LOOK_HOLDS);
            resource::view(ground.context, group).await.unwrap_or(first)
        }
    };
    // Whoever knows of one topic was told of all.
    let tells = part.role.tells_any(&view, &BTreeSet::new());
    part.untold_since = (!tells).then(|| part.untold_since.unwrap_or_else(Instant::now));
    // One that is alone can only tell of it itself.
    let untold = view.members.len() > 1
        && part
            .untold_since
            .is_some_and(|since| !ground.context.made_within(group).is_empty() || since.elapsed() < UNTOLD);
    Some(Looked { view, open, untold, lacking, until })
}

/// Members with what the hosts of those say that don't serve.
async fn processes<'a>(
    ground: Ground<'_>,
    group: &str,
    members: &BTreeSet<&'a str>,
    view: &GroupView,
) -> Pending<'a> {
    // As a rule all are up, and there is nobody to look for.
    let made = match members.iter().all(|name| view.is_up(name)) {
        true => BTreeMap::new(),
        false => ground.context.made_instances(group),
    };
    let looks = members.iter().map(|name| {
        let key = made.keys().find(|key| key.name == **name && !view.is_up(name));
        async move {
            match key {
                Some(key) => (*name, process(ground, key).await),
                None => (*name, None),
            }
        }
    });
    futures_util::future::join_all(looks).await.into_iter().collect()
}

/// What the host of a member says of its process.
pub(super) async fn process(ground: Ground<'_>, key: &Key) -> Option<ProcessSeen> {
    let subject = BTreeMap::from([(key.clone(), ground.context.instance(key))]);
    let found = ground.kind(key).ok()?.observe(ground.context, &subject).await;
    found.get(key).and_then(Observed::process)
}

/// Has those know who act by themselves that a member is about to be stopped.
pub(in super::super) async fn claim(
    context: &Context,
    role: &dyn Role,
    group: &str,
    member: &str,
) -> Result<Option<Claim>, NotSafe> {
    let members = context.made_members(group);
    match members.iter().find(|facts| facts.node == member) {
        Some(facts) => role.claim(context.wire(), facts).await,
        None => Ok(None),
    }
}

/// The groups that the members of this one need.
pub(super) fn needed<'a>(ground: Ground<'a>, group: &str) -> Vec<&'a str> {
    let members = ground.stack.groups.get(group).map(|group| &group.members).into_iter().flatten();
    // A recorded stack knows of a needed group by its members only.
    let needs: BTreeSet<Key> = members.flat_map(|member| direct_needs(ground.stack, member)).collect();
    let others = ground.stack.groups.iter().filter(|(name, _)| *name != group);
    others.filter(|(_, other)| !other.members.is_disjoint(&needs)).map(|(name, _)| name.as_str()).collect()
}

/// Those of these groups that aren't healthy, with what they lack.
async fn unhealthy(ground: Ground<'_>, groups: &[&str]) -> BTreeMap<String, String> {
    let mut lacking = BTreeMap::new();
    for group in groups {
        let health = resource::health(ground.context, group).await;
        let health = health.unwrap_or_else(|| Health::Unhealthy("it could not be asked".into()));
        if let Some(reason) = health.lacks() {
            lacking.insert((*group).to_owned(), reason);
        }
    }
    lacking
}

/// Another host that is changed as a whole and of which the last change is on trial, or may be.
pub(super) async fn unconfirmed_beside(ground: Ground<'_>, host: &Key) -> Option<NotSafe> {
    for (key, declared) in &ground.stack.resources {
        let Ok(kind) = ground.kind(key) else { continue };
        if key == host || ground.left_out.contains(key) || !kind.changes_whole(&declared.inputs) {
            continue;
        }
        let why = match kind.unconfirmed(ground.context, key).await {
            Ok(false) => continue,
            Ok(true) => None,
            Err(error) => Some(with_causes(&error)),
        };
        return Some(NotSafe::Unconfirmed { host: key.name.clone(), why });
    }
    None
}
