//! Which broker may be stopped next, and whether one may be at all. Pure.

use super::seen::{cluster, consented, decided, id_of, is_unregistered, quiet, scarce, serving};
use crate::kafka::LocatedPartition;
use crate::role::roll::starts;
use crate::role::{GroupView, Next, NotSafe, Roll};
use std::collections::BTreeSet;

/// See [`Role::next`](crate::role::Role::next).
pub(super) fn next(roll: &Roll<'_>, view: &GroupView) -> Next {
    if let Some(name) = roll.without_process() {
        return Next::Do(name.to_owned());
    }
    let may_disrupt = |name: &str| may_disrupt(name, roll.interrupts, view);
    // Alone, nobody could tell that it is out but itself.
    if view.members.len() == 1
        && let Some(name) = roll.pending.keys().next()
    {
        let waits = !view.is_up(name) && roll.is_starting(name, view);
        return if waits { Next::Wait(starts(name)) } else { Next::Do((*name).to_owned()) };
    }
    let Some(cluster) = cluster(view) else {
        let still = roll.still(|name| is_unregistered(name, view));
        return still.unwrap_or(Next::Wait(NotSafe::NobodyAnswers));
    };
    if let Some(next) = roll.out(view) {
        return next;
    }
    if let Err(reason) = decided(cluster, None) {
        return Next::Wait(reason);
    }
    if let Some(next) = roll.silent(view, may_disrupt) {
        return next;
    }
    let away = view.away();
    if !away.is_empty() {
        let members = away.into_iter().map(str::to_owned).collect();
        let breaks = |name: &&str| match may_disrupt(name) {
            Err(reason @ NotSafe::WouldBreakMinIsr { .. }) => Some(Box::new(reason)),
            _ => None,
        };
        return Next::Wait(NotSafe::MembersAway { members, so: roll.pending.keys().find_map(breaks) });
    }
    if let Err(reason) = quiet(cluster) {
        return Next::Wait(reason);
    }
    if let Err(reason) = consented(scarce(view, |name| roll.is_pending(name)), roll.interrupts) {
        return Next::Refuse(reason);
    }
    // The controller last: each change of controller delays elections.
    roll.leader_last(view.leader(), may_disrupt)
}

/// See [`Role::may_disrupt`](crate::role::Role::may_disrupt).
pub(super) fn may_disrupt(
    node: &str,
    interrupts: &BTreeSet<String>,
    view: &GroupView,
) -> Result<(), NotSafe> {
    // A cluster of one has nobody to take over; that it stops is told in the preview.
    if view.members.len() == 1 {
        return Ok(());
    }
    let Some(cluster) = cluster(view) else { return Err(NotSafe::NobodyAnswers) };
    let Some(id) = id_of(node, view) else { return Ok(()) };
    consented(scarce(view, |name| name == node), interrupts)?;
    // One that is registered and silent may have died, and one that stands still takes no record.
    let serving = serving(cluster);
    let counts = |one: &&i32| **one != id && serving.contains(one);
    let left = |held: &LocatedPartition<'_>| held.state.isr.iter().filter(counts).count();
    // Where it isn't in sync, nobody waits for it.
    let falls_short = |held: &LocatedPartition<'_>| {
        held.state.isr.contains(&id) && left(held) < held.min_insync_replicas as usize
    };
    let spare = cluster.replicas_on(id).filter(LocatedPartition::has_spare);
    let broken: Vec<_> = spare.filter(falls_short).collect();
    match broken.first() {
        None => Ok(()),
        Some(first) => Err(NotSafe::WouldBreakMinIsr {
            topic: first.topic.to_owned(),
            partition: first.partition,
            broker: id,
            isr: first.state.isr.clone(),
            min_insync: first.min_insync_replicas,
            others: broken.len() - 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::Seen;
    use super::super::{Broker, MIN_INSYNC};
    use super::*;
    use crate::kafka::{
        BrokerAnswer, BrokerView, ClusterView, KafkaError, PartitionView, TopicPartition, TopicView,
    };
    use crate::model::{FACTS_VERSION, HostFacts, Member, NodeFacts, Output, ProcessSeen, Software, Source};
    use crate::role::{Role as _, Standing};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// A broker as it answers.
    #[derive(Clone, Copy)]
    enum Says {
        /// What the controller 1 says.
        Same,
        /// That another is the controller.
        Controller(i32),
        /// That t-0 has another leader.
        Otherwise,
        Nothing,
        /// That nobody listens, by its host.
        Closed,
    }

    fn facts(id: i32) -> Arc<Member> {
        let (node, host) = (format!("broker-{id}"), format!("10.0.0.{id}"));
        let host = HostFacts { name: host.clone(), address: host.into(), zone: None, machine: None };
        let source = Source::Jars { digest: "d".into() };
        let software = Software { name: "kafka".into(), version: "3.9.2".into(), source };
        Arc::new(Member::from(NodeFacts {
            version: FACTS_VERSION,
            stack: "s".into(),
            node,
            role: Broker::NAME.into(),
            group: "kafka".into(),
            id,
            host,
            ports: [("client".to_owned(), 9092)].into(),
            software,
            settings: BTreeMap::new(),
            fence: true,
            watchdog: true,
            jvm: None,
        }))
    }

    /// Brokers 1, 2, … that say this, with t-0 on all of them.
    fn view(says: &[Says], isr: &[i32], registered: &[i32]) -> GroupView {
        let ids = || 1..=i32::try_from(says.len()).unwrap();
        let members: Vec<_> = ids().map(facts).collect();
        let asked: Vec<String> = members.iter().filter_map(|facts| facts.endpoint("client")).collect();
        let partition = PartitionView {
            leader: isr.first().copied(),
            replicas: ids().collect(),
            isr: isr.to_vec(),
            offline: vec![],
        };
        let topic = TopicView {
            id: None,
            internal: false,
            partitions: [(0, partition)].into(),
            min_insync_replicas: 2,
            configs: BTreeMap::new(),
        };
        let answer = |id: i32, says: Says| match says {
            Says::Nothing => BrokerAnswer::Silent { why: "no answer".into(), closed: false },
            Says::Closed => BrokerAnswer::Silent { why: "connection refused".into(), closed: true },
            Says::Same | Says::Controller(_) | Says::Otherwise => BrokerAnswer::Answered {
                id: Some(id),
                controller: Some(if let Says::Controller(other) = says { other } else { 1 }),
                alive: Arc::new(registered.iter().copied().chain([id]).collect()),
                differing: match says {
                    Says::Otherwise => [TopicPartition::new("t", 0)].into(),
                    _ => BTreeSet::new(),
                },
            },
        };
        let cluster = ClusterView {
            cluster_id: Some("c".into()),
            controller: Some(1),
            seen_by: Some(1),
            brokers: registered
                .iter()
                .map(|id| (*id, BrokerView { host: format!("10.0.0.{id}"), port: 9092, rack: None }))
                .collect(),
            topics: [("t".to_owned(), topic)].into(),
            reassignments: Some(vec![]),
            answers: ids()
                .zip(says)
                .map(|(id, says)| (format!("10.0.0.{id}:9092"), answer(id, *says)))
                .collect(),
        };
        Seen { cluster: Some(cluster), closed: BTreeSet::new(), registered: None, why: None, asked, members }
            .view()
    }

    fn next(view: &GroupView, pending: &[(&str, Option<ProcessSeen>)]) -> Next {
        let (pending, interrupts) = (pending.iter().copied().collect(), BTreeSet::new());
        Broker.next(&Roll { pending: &pending, interrupts: &interrupts }, view)
    }

    const RUNS: Option<ProcessSeen> = Some(ProcessSeen::Runs);

    #[test]
    fn a_silent_broker_is_changed_where_those_who_answer_do_without_it() {
        let view_of =
            |isr: &[i32]| view(&[Says::Same, Says::Nothing, Says::Same, Says::Same], isr, &[1, 2, 3, 4]);
        let silent = [("broker-2", RUNS)];
        assert_eq!(next(&view_of(&[1, 2, 3]), &silent), Next::Do("broker-2".into()));
        assert!(matches!(next(&view_of(&[1, 2]), &silent), Next::Wait(NotSafe::MembersAway { .. })));
        // Two are silent: they count neither for each other nor against.
        let two = view(&[Says::Same, Says::Nothing, Says::Nothing, Says::Same], &[1, 2, 3], &[1, 2, 3, 4]);
        assert!(matches!(next(&two, &silent), Next::Wait(NotSafe::MembersAway { .. })));
        assert!(matches!(
            Broker.may_disrupt("broker-2", &BTreeSet::new(), &two),
            Err(NotSafe::WouldBreakMinIsr { .. })
        ));
    }

    #[test]
    fn nobody_waits_for_a_silent_broker_that_is_not_in_sync() {
        // Two hang, and the one in sync is under min.insync.replicas already.
        let seen = view(&[Says::Same, Says::Nothing, Says::Nothing], &[1], &[1, 2, 3]);
        assert_eq!(next(&seen, &[("broker-2", RUNS)]), Next::Do("broker-2".into()));
        assert!(matches!(
            Broker.may_disrupt("broker-1", &BTreeSet::new(), &seen),
            Err(NotSafe::WouldBreakMinIsr { .. })
        ));
    }

    /// Nobody of two brokers answers; these are registered in ZooKeeper, as far as that could be asked.
    fn nobody_answers(registered: Option<&[i32]>) -> GroupView {
        let registered = registered.map(|ids| ids.iter().copied().collect());
        let attempts = Vec::new();
        Broker::view(&[facts(1), facts(2)], Err(KafkaError::NobodyAnswered { attempts, registered }))
    }

    #[test]
    fn one_that_stands_still_where_nobody_answers_is_changed_once_its_session_is_over() {
        let still = [("broker-1", Some(ProcessSeen::Still)), ("broker-2", RUNS)];
        assert_eq!(next(&nobody_answers(Some(&[2])), &still), Next::Do("broker-1".into()));
        // It may lead on, should it go on.
        for registered in [None, Some(&[1, 2][..])] {
            assert_eq!(next(&nobody_answers(registered), &still), Next::Wait(NotSafe::NobodyAnswers));
        }
        assert_eq!(next(&nobody_answers(Some(&[])), &still[1..]), Next::Wait(NotSafe::NobodyAnswers));
    }

    #[test]
    fn a_broker_without_a_process_goes_first_whatever_is_known() {
        let nobody = nobody_answers(None);
        let gone = [("broker-1", RUNS), ("broker-2", Some(ProcessSeen::Gone))];
        assert_eq!(next(&nobody, &gone), Next::Do("broker-2".into()));
        // Where nobody can be asked, nothing says that the other is not needed.
        assert_eq!(next(&nobody, &gone[..1]), Next::Wait(NotSafe::NobodyAnswers));
        assert_eq!(next(&nobody, &[("broker-1", None)]), Next::Wait(NotSafe::NobodyAnswers));
    }

    #[test]
    fn a_broker_is_out_only_by_the_word_of_a_controller_on_whom_all_others_agree() {
        let standing = |says: [Says; 4]| view(&says, &[1, 3], &[1, 3, 4]).standing("broker-2");
        for own in [Says::Nothing, Says::Otherwise, Says::Controller(2)] {
            assert_eq!(standing([Says::Same, own, Says::Same, Says::Same]), Some(Standing::Out));
        }
        for other in [Says::Otherwise, Says::Controller(3)] {
            assert_eq!(standing([Says::Same, Says::Nothing, other, Says::Same]), Some(Standing::Silent));
        }
    }

    #[test]
    fn brokers_that_lost_their_sessions_and_live_on_have_no_say() {
        // Both believe what was so before, and neither hears of the other's end.
        let two = view(&[Says::Same, Says::Otherwise, Says::Otherwise, Says::Same], &[1, 4], &[1, 4]);
        for broker in ["broker-2", "broker-3"] {
            assert_eq!(two.standing(broker), Some(Standing::Out));
            assert_eq!(next(&two, &[(broker, RUNS)]), Next::Do(broker.into()));
        }
        // One that follows another controller may be right.
        let other = view(&[Says::Same, Says::Nothing, Says::Controller(3), Says::Same], &[1, 4], &[1, 4]);
        assert_eq!(other.standing("broker-2"), Some(Standing::Silent));
    }

    #[test]
    fn a_broker_that_listens_to_nobody_yet_is_reading_its_data() {
        let starting = Next::Wait(NotSafe::Starting { member: "broker-2".into() });
        let [out, registered] = [&[1, 3, 4][..], &[1, 2, 3, 4]].map(|registered| {
            view(&[Says::Same, Says::Closed, Says::Same, Says::Same], &[1, 3, 4], registered)
        });
        for seen in [&out, &registered] {
            assert_eq!(next(seen, &[("broker-2", RUNS)]), starting);
            assert_eq!(next(seen, &[("broker-2", Some(ProcessSeen::Gone))]), Next::Do("broker-2".into()));
        }
        // Where its host can't be asked it may be so as well.
        assert_eq!(next(&out, &[("broker-2", None)]), starting);
        // Alone too. One that hears and says nothing hangs.
        let alone = |closed: &[&str]| {
            let closed = closed.iter().map(ToString::to_string).collect();
            Seen {
                cluster: None,
                closed,
                registered: None,
                why: None,
                asked: vec![],
                members: vec![facts(2)],
            }
            .view()
        };
        assert_eq!(next(&alone(&["10.0.0.2:9092"]), &[("broker-2", RUNS)]), starting);
        assert_eq!(next(&alone(&[]), &[("broker-2", RUNS)]), Next::Do("broker-2".into()));
        assert_eq!(Broker.may_disrupt("broker-2", &BTreeSet::new(), &alone(&[])), Ok(()));
    }

    #[test]
    fn a_broker_that_is_out_and_young_may_be_on_its_way() {
        let out = view(&[Says::Same, Says::Nothing, Says::Same, Says::Same], &[1, 3], &[1, 3, 4]);
        let young = [("broker-2", Some(ProcessSeen::Young))];
        assert_eq!(next(&out, &young), Next::Wait(NotSafe::Starting { member: "broker-2".into() }));
        for process in [RUNS, Some(ProcessSeen::Still), None] {
            assert_eq!(next(&out, &[("broker-2", process)]), Next::Do("broker-2".into()));
        }
    }

    #[test]
    fn nobody_is_stopped_while_brokers_know_different_things() {
        let all = [("broker-2", RUNS)];
        let quiet = view(&[Says::Same; 4], &[1, 2, 3, 4], &[1, 2, 3, 4]);
        assert_eq!(next(&quiet, &all), Next::Do("broker-2".into()));
        let told = view(&[Says::Same, Says::Same, Says::Otherwise, Says::Same], &[1, 2, 3, 4], &[1, 2, 3, 4]);
        assert!(matches!(next(&told, &all), Next::Wait(NotSafe::ToldDifferently { .. })));
        let disputed =
            view(&[Says::Same, Says::Same, Says::Controller(3), Says::Same], &[1, 2, 3, 4], &[1, 2, 3, 4]);
        assert_eq!(next(&disputed, &all), Next::Wait(NotSafe::NoSingleLeader));
    }

    #[test]
    fn a_roll_is_judged_by_how_many_in_sync_it_has_brokers_ask_for() {
        let seen = view(&[Says::Same; 3], &[1, 2, 3], &[1, 2, 3]);
        let all: BTreeSet<String> = (1..=3).map(|id| format!("broker-{id}")).collect();
        let mut after = NodeFacts::clone(&facts(1));
        after.settings.insert(MIN_INSYNC.to_owned(), Output::from("3".to_owned()));
        let judged = Broker.once_changed(&[after], &seen);
        assert_eq!(Broker.interrupted(&all, &seen), BTreeSet::new());
        assert_eq!(Broker.interrupted(&all, &judged), BTreeSet::from(["t".to_owned()]));
    }
}
