//! How long the stages take for large stacks, and how much memory planning takes. Figures, no judgement: run it by
//! hand, optimised. docs/scale.md tells what came out.
//!
//! `cargo test --release --test scale -- --ignored --nocapture`; `OCTAD_SCALE=100,1000` chooses the numbers of nodes.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::{self, Event, Intent};
use rustix::time::{ClockId, clock_gettime};
use simulation::Simulation;
use std::time::{Duration, Instant};

/// Time on the processor that this thread, which does everything, has taken so far. Unlike a clock on the wall it is
/// the same whoever else uses the machine.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn timed<T>(what: &str, stage: impl FnOnce() -> T) -> T {
    let (begun, before) = (Instant::now(), processor_time());
    let result = stage();
    let (passed, work) = (begun.elapsed(), processor_time() - before);
    println!("  {what:<26} {:>9.1} ms, {:.1} ms of them on the processor", millis(passed), millis(work));
    result
}

/// Applies what the simulation declares; the time begins when the plan is made. Waits take no time here, so that all
/// that passes is work: the simulated world's own and, told apart from it, the engine's.
fn applied(what: &str, nodes: usize, simulation: &Simulation) {
    let now = || (Instant::now(), processor_time(), simulation.world.spent());
    let stack = simulation.declare().unwrap();
    let mut planned = now();
    simulation.change(&stack, |_| planned = now()).unwrap();
    let (begun, before, world_before) = planned;
    let passed = begun.elapsed();
    let world = simulation.world.spent() - world_before;
    let engine = processor_time() - before - world;
    println!(
        "  {what:<26} {:>9.1} ms; on the processor: engine {:.1} ms, {:.2} ms a node, world {:.1} ms",
        millis(passed),
        millis(engine),
        millis(engine) / nodes as f64,
        millis(world),
    );
}

/// The process's peak of memory in MB since it was last forgotten; `None` where the system doesn't tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024 / 1_000_000)
}

fn forget_peak_memory() {
    // Linux's word for it; where it isn't allowed, the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[test]
#[ignore = "a measurement"]
fn stages_of_large_stacks() {
    let sizes = std::env::var("OCTAD_SCALE").unwrap_or_else(|_| "100,300,1000,4000".into());
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
        // What takes no time is not waited for: each look beyond those that a turn can't do without would be waiting.
        simulation.world.set_lag(0);
        applied("first up", nodes, &simulation);
        simulation.take_events();

        forget_peak_memory();
        timed("planning, no change", || {
            let stack = timed("  declare and validate", || simulation.declare().unwrap());
            let state = timed("  read the state", || simulation.state());
            let inventory = timed("  observe", || simulation.observe(&stack, &state));
            let plan = timed("  plan", || {
                engine::plan(&simulation.registry, &stack, &Intent::default(), &state, &inventory)
            });
            assert!(plan.is_empty());
            timed("  check", || {
                engine::check(plan, &simulation.registry, &stack, &Intent::default(), &inventory).unwrap()
            });
        });
        let peak = peak_memory().map_or("unknown".into(), |peak| format!("{peak} MB"));
        println!("  {:<26} {peak}, the simulated world's own in it", "  peak memory");
        assert!(simulation.take_events().iter().all(|event| matches!(event, Event::Progress { .. })));

        simulation.stop().unwrap();
        simulation.set("kafka.settings.num.io.threads", Some(6.into()));
        applied("change at rest", nodes, &simulation);

        simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        let (stack, state) = (simulation.declare().unwrap(), simulation.state());
        let inventory = simulation.observe(&stack, &state);
        let plan = timed("plan, roll of all", || {
            engine::plan(&simulation.registry, &stack, &Intent::default(), &state, &inventory)
        });
        timed("check, roll of all", || {
            engine::check(plan, &simulation.registry, &stack, &Intent::default(), &inventory).unwrap()
        });
        // A turn looks at all, so that a roll of all grows with the square.
        if nodes <= 1000 {
            simulation.take_events();
            applied("roll of all", nodes, &simulation);
            println!("  {:<26} {}", "events of the roll", simulation.take_events().len());
        }
    }
}
