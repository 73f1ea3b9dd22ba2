//! How long the stages take for large stacks. Figures, no judgement: run it by hand, optimised.
//!
//! `cargo test --release --test scale -- --ignored --nocapture`; `OCTAD_SCALE=100,1000` chooses the numbers of nodes.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::{self, Event};
use simulation::Simulation;
use std::time::{Duration, Instant};

fn timed<T>(what: &str, stage: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = stage();
    println!("  {what:<22} {:>9.1} ms", begun.elapsed().as_secs_f64() * 1000.0);
    result
}

#[test]
#[ignore = "a measurement"]
fn stages_of_large_stacks() {
    let sizes = std::env::var("OCTAD_SCALE").unwrap_or_else(|_| "100,300,1000".into());
    for nodes in sizes.split(',').map(|size| size.parse::<usize>().unwrap()) {
        println!("{nodes} nodes");
        let file = format!(
            "program = \"ha\"\nhosts.backend = \"fake\"\nzookeeper.servers = 5\nkafka.brokers = {}\n\
             topics.activity.partitions = {nodes}\n",
            nodes - 5
        );
        let mut simulation = Simulation::of(&file);
        simulation.parallel = 64;
        simulation.gate_timeout = Duration::from_secs(3600);
        let stack = timed("declare and validate", || simulation.declare().unwrap());
        timed("first plan", || simulation.plan_of(&stack).unwrap());
        timed("first up", || simulation.up().unwrap());
        simulation.take_events();
        let state = timed("read the state", || simulation.state());
        let inventory = timed("observe", || simulation.observe(&stack, &state));
        let plan = || engine::plan(&simulation.registry, &stack, &state, &inventory);
        let plan = timed("plan, no change", plan);
        assert!(plan.is_empty());
        timed("check, no change", || engine::check(plan, &simulation.registry, &stack, &inventory).unwrap());
        simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        let stack = simulation.declare().unwrap();
        if nodes <= 300 {
            let plan = || engine::plan(&simulation.registry, &stack, &state, &inventory);
            let plan = timed("plan, roll of all", plan);
            timed("check, roll of all", || {
                engine::check(plan, &simulation.registry, &stack, &inventory).unwrap()
            });
        }
        assert!(simulation.take_events().iter().all(|event| matches!(event, Event::Progress { .. })));
    }
}
