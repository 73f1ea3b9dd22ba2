//! `--parallel`: as many steps at once as were allowed, and no more.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::Event;
use simulation::Simulation;
use std::time::Duration;

/// The most steps that an `up` of 16 resources has under way at once.
fn most_at_once(parallel: usize) -> usize {
    let mut simulation = Simulation::of("program = \"ha\"\nhosts.backend = \"fake\"\nkafka.brokers = 5\n");
    simulation.parallel = parallel;
    simulation.gate_timeout = Duration::from_secs(60);
    simulation.world.set_deed_duration(Duration::from_millis(10));
    simulation.up().unwrap();
    let (mut now, mut most) = (0, 0);
    for event in simulation.take_events() {
        match event {
            Event::StepStarted { .. } => now += 1,
            Event::StepFinished { .. } => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    assert_eq!(now, 0, "each step that began has ended");
    most
}

#[test]
fn as_many_steps_as_allowed_are_under_way_at_once() {
    for parallel in [1, 2, 5] {
        assert_eq!(most_at_once(parallel), parallel);
    }
    // All eight hosts are independent of each other, and nothing else can begin before them.
    assert_eq!(most_at_once(64), 8);
}
