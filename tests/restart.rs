//! Restarts of what doesn't change: a roll like any other.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::{Action, Event};
use simulation::{Ended, Simulation, Terms};

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
