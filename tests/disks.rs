//! What lies on disks goes only with consent, and only where nobody counts on it any more: what a plan's steps wait for,
//! and what is looked at again before they act.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::{Action, Checked, Plan};
use octad::model::Key;
use simulation::{Simulation, THREE_AND_THREE};

/// The number of the step that does something with a resource.
fn step_of(plan: &Plan<Checked>, name: &str) -> usize {
    let key: Key = name.parse().unwrap();
    let of = |action: &Action| match action {
        Action::Create { key: found, .. } | Action::Delete { key: found, .. } => *found == key,
        Action::Update(change) => change.key == key,
        _ => false,
    };
    plan.steps.iter().position(|step| of(&step.action)).unwrap_or_else(|| panic!("no step for {name}"))
}

#[test]
fn what_is_made_in_a_group_waits_for_the_members_that_leave_it() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.set("kafka.brokers", Some(4.into()));
    simulation.up().unwrap();
    simulation.unprotect("node/broker-4");
    simulation.set("kafka.brokers", Some(3.into()));
    simulation.set("topics.late.partitions", Some(4.into()));
    simulation.set("topics.activity.partitions", Some(6.into()));
    let plan = simulation.preview().unwrap();
    let leaves = step_of(&plan, "node/broker-4");
    for made in ["topic/late", "topic/activity"] {
        let after = &plan.steps[step_of(&plan, made)].after;
        assert!(after.contains(&leaves), "{made} waits for {after:?}, and not for {leaves}");
    }
    simulation.parallel = 16;
    simulation.up().unwrap();
    assert_eq!(simulation.world.own_breaches(), []);
}
