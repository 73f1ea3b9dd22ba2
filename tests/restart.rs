//! Restarts of what doesn't change: a roll like any other.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::{Action, Event};
use simulation::{Ended, Simulation, THREE_AND_THREE, Terms};

#[test]
fn what_is_to_be_restarted_is_rolled_once_and_changes_nothing() {
    let simulation =
        Simulation::of("program = \"ha\"\nhosts.backend = \"fake\"\n[topics.t]\npartitions = 5\n");
    simulation.up().unwrap();
    let declared = simulation.declare().unwrap();
    assert!(simulation.plan_of(&declared).unwrap().steps.is_empty());
    let before = simulation.state();
    simulation.take_events();

    let terms = Terms::roll(&["@broker".into()]);
    let plan = simulation.plan_for(&declared, &simulation.intent(&declared, &terms).unwrap()).unwrap();
    let rolls: Vec<_> = plan.steps.iter().filter(|step| matches!(step.action, Action::Roll { .. })).collect();
    let Action::Roll { members, predicted, .. } = &rolls[0].action else { panic!("{plan:?}") };
    assert_eq!((rolls.len(), members.len(), predicted.len()), (1, 5, 5));
    assert!(
        members.values().all(|change| change.changes.is_empty() && change.reason == "a restart is asked for")
    );

    assert!(matches!(simulation.change_on(&declared, &terms, |_, _| {}).unwrap(), Ended::Changed));
    let turns = simulation.take_events().into_iter().filter(
        |event| matches!(event, Event::StepMessage { message, .. } if message.starts_with("changing broker-")),
    );
    assert_eq!(turns.count(), 5);
    let inputs = |state: &octad::engine::State| {
        state
            .resources
            .iter()
            .map(|(key, recorded)| (key.clone(), recorded.inputs.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(inputs(&simulation.state()), inputs(&before));
    assert!(simulation.plan_of(&declared).unwrap().steps.is_empty(), "it was for once");
}

#[test]
fn how_long_a_node_is_up_its_host_says_by_its_own_clock() {
    let simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    let (stack, state) = (simulation.declare().unwrap(), simulation.state());
    let inventory = simulation.observe(&stack, &state);
    let status = octad::output::StackStatus::of(&simulation.registry, &state, &inventory);
    // Of the time of day these hosts say that it is 1970.
    let long = |up: Option<u64>| up.is_none_or(|seconds| seconds > 86_400);
    assert!(!status.nodes.iter().any(|node| long(node.up_seconds)), "{:?}", status.nodes);
}
