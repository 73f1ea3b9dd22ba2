//! A group whose members are all alike and don't need each other, such as proxies: what roles that say nothing else are
//! taken for. Pure but for [`observe`], which goes through the wire.

use super::{GroupView, Health, MemberView, Next, NotSafe, Roll, Standing};
use crate::model::{HealthCheck, Member, NodeFacts};
use crate::wire::{NotServing, Wire};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Asks each member by the check that it was made with, and by the role's own where that is another by now and it doesn't
/// answer the first: one that answers either serves. Nobody leads.
pub(super) async fn observe(
    wire: &dyn Wire,
    members: &[Arc<Member>],
    own: impl Fn(&NodeFacts) -> Option<HealthCheck>,
) -> GroupView {
    let own = &own;
    let asked = members.iter().map(|member| async move {
        let made_with = member.check.as_ref();
        let mut answer = ask(wire, member, made_with).await;
        let own = own(member).filter(|own| Some(own) != made_with);
        if let (Err(_), Some(own)) = (&answer, own) {
            answer = ask(wire, member, Some(&own)).await.or(answer);
        }
        (member.node.clone(), seen(answer))
    });
    let members = Arc::new(join_all(asked).await.into_iter().collect());
    GroupView { members, leaders: BTreeSet::new(), detail: Arc::new(()) }
}

async fn ask(wire: &dyn Wire, facts: &NodeFacts, check: Option<&HealthCheck>) -> Result<(), NotServing> {
    match check.and_then(|check| Some((facts.endpoint(check.port())?, check))) {
        Some((address, check)) => wire.ask(&address, check).await,
        None => Err(NotServing::Silent { why: "there is no port to ask at".into() }),
    }
}

/// A member that doesn't answer as it should may serve somebody all the same. That nobody listens is not taken for a start
/// that takes its time: one that is configured wrongly never would, and could not be mended.
fn seen(answer: Result<(), NotServing>) -> MemberView {
    let ill = matches!(answer, Err(NotServing::Status { .. }));
    let (standing, note) = match answer {
        Ok(()) => (Standing::Up, "serves".to_owned()),
        Err(why) => (Standing::Silent, why.to_string()),
    };
    MemberView { standing, closed: false, ill, note }
}

/// Well where all serve but those that may be away, and one of them at least.
pub(super) fn health(view: &GroupView, without: &BTreeSet<String>) -> Health {
    if !view.members.is_empty() && view.members.keys().all(|name| without.contains(name)) {
        return Health::Short("no member is left".into());
    }
    let away = view
        .members
        .iter()
        .find(|(name, member)| member.standing != Standing::Up && !without.contains(*name));
    match away {
        None => Health::Healthy,
        Some((name, member)) => Health::Unhealthy(format!("{name}: {}", member.note)),
    }
}

/// One at a time: those that nobody can miss first, the others once all serve that aren't to be changed.
pub(super) fn next(
    roll: &Roll<'_>,
    view: &GroupView,
    may_disrupt: impl Fn(&str) -> Result<(), NotSafe>,
) -> Next {
    if let Some(name) = roll.without_process() {
        return Next::Do(name.to_owned());
    }
    if let Some(next) = roll.out(view).or_else(|| roll.silent(view, &may_disrupt)) {
        return next;
    }
    let away = view.away();
    if !away.is_empty() {
        let members = away.into_iter().map(str::to_owned).collect();
        return Next::Wait(NotSafe::MembersAway { members, so: None });
    }
    roll.leader_last(view.leader(), may_disrupt)
}

/// Another one serves meanwhile. A group of one has nobody to take over; that it stops is told in the preview.
pub(super) fn may_disrupt(node: &str, view: &GroupView) -> Result<(), NotSafe> {
    let others = view.up_count() - usize::from(view.is_up(node));
    if view.members.len() == 1 || others > 0 {
        return Ok(());
    }
    Err(NotSafe::NobodyLeft { member: node.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProcessSeen;
    use std::collections::BTreeMap;

    const UP: Result<(), NotServing> = Ok(());
    const DOWN: Result<(), NotServing> = Err(NotServing::Status { found: 503, wanted: 200 });

    /// Members `1`, `2`, … that answer so.
    fn view(answers: &[Result<(), NotServing>]) -> GroupView {
        let members =
            (1..).zip(answers).map(|(number, answer): (i32, _)| (number.to_string(), seen(answer.clone())));
        GroupView { members: Arc::new(members.collect()), leaders: BTreeSet::new(), detail: Arc::new(()) }
    }

    fn next_of(view: &GroupView, pending: &[(&str, ProcessSeen)]) -> Next {
        let pending: BTreeMap<_, _> = pending.iter().map(|(name, seen)| (*name, Some(*seen))).collect();
        let roll = Roll { pending: &pending, interrupts: &BTreeSet::new() };
        next(&roll, view, |name| may_disrupt(name, view))
    }

    #[test]
    fn a_group_is_well_while_all_serve_that_are_to() {
        let without = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(health(&view(&[UP, UP]), &without(&[])), Health::Healthy);
        let told = Health::Unhealthy("2: answers 503 instead of 200".into());
        assert_eq!(health(&view(&[UP, DOWN]), &without(&[])), told);
        assert_eq!(health(&view(&[UP, DOWN]), &without(&["2"])), Health::Healthy);
        assert!(matches!(health(&view(&[DOWN]), &without(&["1"])), Health::Short(_)));
    }

    #[test]
    fn members_are_changed_one_at_a_time_and_never_the_last_that_serves() {
        use ProcessSeen::{Gone, Runs, Young};
        let all = [("1", Runs), ("2", Runs)];
        assert_eq!(next_of(&view(&[UP, UP]), &all), Next::Do("1".into()));
        assert_eq!(next_of(&view(&[UP]), &all[..1]), Next::Do("1".into()), "a lone one");
        assert_eq!(next_of(&view(&[UP, UP]), &[]), Next::Done);
        // The one that is ill goes first; the one that serves waits for it.
        assert_eq!(next_of(&view(&[UP, DOWN]), &all), Next::Do("2".into()));
        assert!(matches!(next_of(&view(&[UP, DOWN]), &all[..1]), Next::Wait(NotSafe::MembersAway { .. })));
        let starts = [("1", Runs), ("2", Young)];
        assert!(matches!(next_of(&view(&[UP, DOWN]), &starts), Next::Wait(NotSafe::Starting { .. })));
        // Nobody serves: each may be the one that is counted on, but for one without a process.
        assert!(matches!(next_of(&view(&[DOWN, DOWN]), &all), Next::Wait(_)));
        assert_eq!(next_of(&view(&[DOWN, DOWN]), &[("1", Runs), ("2", Gone)]), Next::Do("2".into()));
    }
}
