//! Watchdogs, rolls, the controller and everything that fails around them, searched whole: what watchdogs and rolls do by
//! the rules that they really follow never takes a partition below `min.insync.replicas`, and never makes a leader of a
//! broker that lacks a record which a stopped one holds.
//!
//! `cargo test` searches what a few seconds allow; `cargo test --release --test model -- --ignored`, which `scripts/long`
//! runs, all of it.

mod broker;
mod roll;
mod search;
mod world;

use roll::{RollRule, Rolls};
use search::{Found, Search};
use std::time::Instant;
use world::{Condition, Fault, Harm, Rule, Step, World};

const EVERY: &[Fault] = &[
    Fault::Process,
    Fault::Host,
    Fault::StandStill,
    Fault::Sleep,
    Fault::Peers,
    Fault::Split,
    Fault::Link,
    Fault::Zookeeper,
    Fault::Session,
];

/// Two with all in sync, where the controller has no replica and where it leads; two with a replica out of sync.
fn beginnings() -> Vec<World> {
    let [whole, led] = [World::whole(1), World::whole(3)];
    vec![whole, led, whole.without(0, 2), led.without(1, 4)]
}

/// Everything that at most so many faults lead to.
fn all(rule: Rule, faults: &[Fault], at_most: u8) -> Search<'_> {
    Search { first: beginnings(), rule, faults, at_most, patient: false, rolls: None, wanted: |_| true }
}

fn run(search: &Search<'_>) -> Found {
    let begun = Instant::now();
    let found = search.run();
    let Search { rule, rolls, faults, at_most, .. } = search;
    let Found { worlds, stops, unclean, harm } = &found;
    println!(
        "{rule:?}, {rolls:?}, {at_most} of {faults:?}: {worlds} worlds, {stops} stops, {unclean} losses without us, {:.1?}",
        begun.elapsed()
    );
    if let Some((harm, way)) = harm {
        println!("  {harm:?} after {way:?}");
    }
    found
}

/// The brokers that are stopped on a way, the last of them to somebody's harm.
fn stopped(way: &[Step]) -> Vec<u8> {
    way.iter().filter_map(|step| if let Step::Stop(id) = step { Some(*id) } else { None }).collect()
}

/// The search finds what was wrong with counting registrations, and finds nothing wrong with the rule in the same world.
#[track_caller]
fn was_wrong(was: &Search<'_>) {
    assert!(matches!(run(was).harm, Some((Harm::TooFew { .. }, _))), "it isn't found");
    assert_eq!(run(&Search { rule: Rule::Present, ..was.clone() }).harm, None);
}

#[test]
fn counting_registrations_stops_the_survivor_of_lost_hosts() {
    was_wrong(&all(Rule::Registered, &[Fault::Host], 3));
}

#[test]
fn counting_registrations_takes_a_follower_that_a_partition_led_elsewhere_needs() {
    let wanted = |way: &[Step]| stopped(way).len() == 1;
    was_wrong(&Search { wanted, ..all(Rule::Registered, &[Fault::Split, Fault::Peers], 1) });
}

#[test]
#[ignore = "takes ten seconds: `scripts/long` asks for it"]
fn counting_registrations_stops_one_after_the_other_before_a_session_is_over() {
    let wanted = |way: &[Step]| {
        let over = way.iter().any(|step| matches!(step, Step::SessionEnds(_) | Step::Registers(_)));
        matches!(stopped(way)[..], [first, second] if first != second && !over)
    };
    was_wrong(&Search { wanted, ..all(Rule::RegisteredEverywhere, &[Fault::Peers], 2) });
}

#[test]
fn the_rule_harms_nobody_and_stops_who_is_cut_off_alone() {
    let found = run(&Search { patient: true, ..all(Rule::Present, EVERY, 1) });
    assert_eq!(found.harm, None);
    assert!(found.stops > 0);
}

#[test]
fn without_any_of_its_conditions_the_rule_does_harm() {
    let whole = || vec![World::whole(1)];
    // Broker 3 leads one partition, and is one of two in sync in the other.
    let needed = || vec![World::whole(1).without(1, 4)];
    // The controller stands still, and won't know that broker 2 comes back without the end of its log.
    let still = || vec![World::whole(3).struck(Fault::StandStill, 3).struck(Fault::Host, 2)];
    for (condition, first, faults, at_most) in [
        (Condition::Heard, whole(), &[Fault::Peers, Fault::StandStill][..], 2),
        (Condition::Reach, whole(), &[Fault::Peers, Fault::Link], 2),
        (Condition::EveryPartition, needed(), &[Fault::Peers], 1),
        (Condition::ControllerHeard, whole(), &[Fault::Peers, Fault::StandStill], 2),
        (Condition::Clock, whole(), &[Fault::Peers, Fault::Sleep], 3),
        (Condition::InSyncSince, still(), &[Fault::Peers], 1),
    ] {
        let found = run(&Search { first, ..all(Rule::Without(condition), faults, at_most) });
        assert!(found.harm.is_some(), "{condition:?} isn't needed");
    }
}

/// Rolls in one partition from here, with the watchdogs.
fn rolls(first: World, rule: RollRule, reach: bool) -> Search<'static> {
    let (first, rolls) = (vec![first.alone()], Some(Rolls { rule, reach }));
    Search { first, rolls, ..all(Rule::Present, &[], 0) }
}

/// What could not be asked is not away.
#[test]
fn a_roll_that_takes_the_unheard_for_gone_stops_one_after_the_other() {
    let from = |rule| rolls(World::whole(1), rule, false);
    let Some((Harm::TooFew { .. }, way)) = run(&from(RollRule::UnheardServesNobody)).harm else {
        panic!("it isn't found")
    };
    assert!(stopped(&way).is_empty(), "a watchdog had a part in it: {way:?}");
    assert_eq!(run(&from(RollRule::Present)).harm, None);
}

/// Each of the two deeds counts on the broker that the other one stops.
#[test]
fn a_roll_that_watchdogs_do_not_know_of_stops_who_has_vouched() {
    let cut_off = World::whole(1).struck(Fault::Peers, 3);
    let from = |rule| rolls(cut_off, rule, false);
    let Some((Harm::TooFew { .. }, way)) = run(&from(RollRule::Unclaimed)).harm else {
        panic!("it isn't found")
    };
    assert!(stopped(&way) == [3], "a roll did it alone: {way:?}");
    let found = run(&from(RollRule::Present));
    assert_eq!(found.harm, None);
    assert!(found.stops > 0);
}

/// Brokers that answer Octad may not reach each other.
#[test]
fn a_roll_does_not_look_at_the_links_between_brokers() {
    let cut_off = World::whole(1).struck(Fault::Peers, 4);
    let found = run(&rolls(cut_off, RollRule::Present, true));
    assert!(matches!(found.harm, Some((Harm::TooFew { .. }, _))));
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn rolls_and_watchdogs_harm_nobody_whatever_fails() {
    let rolls = Some(Rolls { rule: RollRule::Present, reach: false });
    assert_eq!(run(&Search { rolls, ..all(Rule::Present, EVERY, 1) }).harm, None);
    let first = beginnings().into_iter().map(World::alone).collect();
    assert_eq!(run(&Search { first, rolls, ..all(Rule::Present, EVERY, 2) }).harm, None);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn the_rule_harms_nobody_whatever_three_things_fail() {
    assert_eq!(run(&all(Rule::Present, EVERY, 3)).harm, None);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn the_rule_harms_nobody_in_one_partition_whatever_three_things_fail() {
    let first = beginnings().into_iter().map(World::alone).collect();
    assert_eq!(run(&Search { first, ..all(Rule::Present, EVERY, 3) }).harm, None);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn the_rule_harms_nobody_where_watchdogs_wait_for_those_who_are_not_heard_yet() {
    assert_eq!(run(&Search { patient: true, ..all(Rule::Present, EVERY, 2) }).harm, None);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn the_rule_harms_nobody_whatever_four_things_fail_of_those_that_lose_most() {
    for faults in
        [[Fault::Host, Fault::Peers], [Fault::Process, Fault::Split], [Fault::StandStill, Fault::Link]]
    {
        let first = vec![World::whole(1)];
        assert_eq!(run(&Search { first, ..all(Rule::Present, &faults, 4) }).harm, None);
    }
}
