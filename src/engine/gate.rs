//! Waiting until a group is healthy as a whole, and saying for what.

use super::{Context, Interrupt};
use crate::model::{Key, NodeFacts};
use crate::resource::{Instance, Observed, Surroundings as _};
use crate::role::{GroupView, Health, MemberView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a gate asks at first; a healthy group is rarely more than this late.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How often it asks at most once it has waited for long.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long members may not know of any topic that is recorded, until it must have been removed by somebody else. A new
/// controller tells brokers of each other first and of topics later: until then nothing seems to be wrong.
const UNTOLD: Duration = Duration::from_secs(5);
/// How often the members' processes are looked at meanwhile.
pub(super) const LOOK_AT_MEMBERS: Duration = Duration::from_secs(1);

/// Why a gate did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Time is up.
    #[error("{group} is not healthy after {} s: {reason}", .after.as_secs())]
    TimedOut {
        /// The group.
        group: String,
        /// What was last waited for.
        reason: String,
        /// How long.
        after: Duration,
    },
    /// A member won't come up by itself.
    #[error("{group} can't become healthy: {member} does not run, since {reason}")]
    Broken {
        /// The group.
        group: String,
        /// The member.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It can't be healthy without members that were left out.
    #[error("{group} can't become healthy without {}, which {} left out: {reason}", .members.join(", "), are(.members))]
    LeftOut {
        /// The group.
        group: String,
        /// The members that are away.
        members: Vec<String>,
        /// What is lacking.
        reason: String,
    },
    /// Octad was asked to stop.
    #[error("stopped while waiting for {group}: {reason}")]
    Interrupted {
        /// The group.
        group: String,
        /// What was last waited for.
        reason: String,
    },
    /// Nobody here knows the group's role.
    #[error("the role of {group} is not known to this program")]
    UnknownRole {
        /// The group.
        group: String,
    },
}

fn are(members: &[String]) -> &'static str {
    if members.len() == 1 { "is" } else { "are" }
}

/// The members of a group as they were seen.
pub(super) type Members = Arc<BTreeMap<String, MemberView>>;

/// What a gate has to say while it waits.
pub(super) enum Told<'a> {
    /// A new reason for waiting.
    Reason(String),
    /// A member came or went.
    Member { name: &'a str, seen: &'a MemberView, after: Duration },
}

/// Waits until `group` is healthy, and returns how it was seen then. `tell` hears each new reason for waiting and each
/// member that is not as it was `known`.
///
/// All members are looked at each time: who falls away while one is changed is as like as not another one. Members that
/// are `left_out` of what is done and don't serve at the first look are not waited for, where the group does without them.
///
/// # Errors
/// Where it doesn't become healthy in `timeout`, can't by itself, can't without who is left out, or Octad is asked to stop.
pub(super) async fn wait_healthy(
    context: &Context,
    group: &str,
    known: &Members,
    left_out: &BTreeSet<Key>,
    timeout: Duration,
    interrupt: &Interrupt,
    tell: &(dyn Fn(Told<'_>) + Send + Sync),
) -> Result<GroupView, GateError> {
    let role = context.role_of(group).ok_or_else(|| GateError::UnknownRole { group: group.to_owned() })?;
    let held = context.made_within(group);
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    let mut seen = known.clone();
    let mut looked = begun;
    let mut out: Option<BTreeSet<String>> = None;
    let mut short_since: Option<Instant> = None;
    loop {
        let members = context.made_members(group);
        let view = role.observe(context.wire(), &members).await;
        let out = out.get_or_insert_with(|| {
            let away = view.away().into_iter();
            let is_out = |name: &&str| left_out.contains(&Key::new(NodeFacts::KIND, name));
            away.filter(is_out).map(str::to_owned).collect()
        });
        // One that came up by itself counts again.
        out.retain(|name| !view.is_up(name));
        if seen != view.members {
            let news = view.members.iter().filter(|(name, member)| seen.get(*name) != Some(member));
            news.for_each(|(name, seen)| tell(Told::Member { name, seen, after: begun.elapsed() }));
            seen = view.members.clone();
        }
        let health = role.health(&view, &members, out);
        short_since = matches!(health, Health::Short(_)).then(|| short_since.unwrap_or_else(Instant::now));
        let reason = match health {
            Health::Healthy
                if held.is_empty() || role.tells_any(&view, &held) || begun.elapsed() >= UNTOLD =>
            {
                return Ok(view);
            }
            Health::Healthy => "nobody has been told of its topics yet".into(),
            // Who was just elected may not have told of all yet.
            Health::Short(reason) if short_since.is_some_and(|since| since.elapsed() >= UNTOLD) => {
                let members = out.iter().cloned().collect();
                return Err(GateError::LeftOut { group: group.to_owned(), members, reason });
            }
            Health::Unhealthy(reason) | Health::Short(reason) => reason,
        };
        if reason != told {
            tell(Told::Reason(format!("waiting for {group}: {reason}")));
            told.clone_from(&reason);
        }
        if looked.elapsed() >= LOOK_AT_MEMBERS {
            looked = Instant::now();
            if let Some((member, reason)) = broken_member(context, group, out).await {
                return Err(GateError::Broken { group: group.to_owned(), member, reason });
            }
        }
        if begun.elapsed() >= timeout {
            return Err(GateError::TimedOut { group: group.to_owned(), reason, after: timeout });
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = interrupt.wait() => return Err(GateError::Interrupted { group: group.to_owned(), reason }),
        }
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

/// A member that won't come up by itself, and why; one that is `left_out` isn't looked for.
pub(super) async fn broken_member(
    context: &Context,
    group: &str,
    left_out: &BTreeSet<String>,
) -> Option<(String, String)> {
    let mut by_kind: BTreeMap<String, BTreeMap<Key, Instance>> = BTreeMap::new();
    let of_interest = |(key, _): &(Key, _)| !left_out.contains(&key.name);
    for (key, instance) in context.made_instances(group).into_iter().filter(of_interest) {
        by_kind.entry(key.kind.clone()).or_default().insert(key, instance);
    }
    for (kind, members) in by_kind {
        let found = context.registry().kind(&kind)?.observe(context, &members).await;
        for (key, observed) in found {
            if let Observed::Present { broken: Some(reason), .. } = observed {
                return Some((key.name, reason));
            }
        }
    }
    None
}
