//! What must hold for every shape of a cluster, every fault and every moment at which Octad may end: no roll takes a
//! partition under `min.insync.replicas` or the ensemble under its quorum, plans are deterministic, a second `up` finds
//! nothing to do, and an `up` that was cut off is gone on with by the next.

#[path = "support/simulation.rs"]
mod simulation;

use octad::cli::CliError;
use octad::engine::{self, Intent, Violation};
use octad::host::fake::{Cause, Cut, Loss, Moment};
use octad::kafka::TopicPartition;
use octad::resource::kafka;
use proptest::prelude::*;
use proptest::sample::Index;
use simulation::{Ended, Simulation, Terms, cases};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A stack as a stack file may describe it.
#[derive(Debug, Clone)]
struct Shape {
    brokers: u16,
    servers: u16,
    topics: Vec<Topic>,
    parallel: usize,
    lag: u64,
}

#[derive(Debug, Clone)]
struct Topic {
    partitions: u16,
    replicas: u16,
    min_insync: u16,
}

/// What goes wrong between two ups.
#[derive(Debug, Clone)]
enum Fault {
    Crash(Index),
    StopByHand(Index),
    LoseHost(Index),
    Kill(Index),
    AlterFile(Index),
    Shrink { topic: Index, partition: Index, broker: Index },
}

fn topic(brokers: u16) -> impl Strategy<Value = Topic> {
    (1..=4u16, 1..=brokers.min(4)).prop_flat_map(|(partitions, replicas)| {
        (1..=replicas).prop_map(move |min_insync| Topic { partitions, replicas, min_insync })
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..=7u16, prop::sample::select(vec![1u16, 3, 5]), prop::sample::select(vec![1usize, 4, 16]), 0..3u64)
        .prop_flat_map(|(brokers, servers, parallel, lag)| {
            prop::collection::vec(topic(brokers), 0..4).prop_map(move |topics| Shape {
                brokers,
                servers,
                topics,
                parallel,
                lag,
            })
        })
}

/// A shape all of whose topics have a replica more than they need, so that it can be rolled.
fn spare_shape() -> impl Strategy<Value = Shape> {
    shape().prop_map(|mut shape| {
        shape.brokers = shape.brokers.max(3);
        for topic in &mut shape.topics {
            topic.replicas = topic.replicas.max(2);
            topic.min_insync = topic.min_insync.min(topic.replicas - 1);
        }
        shape
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let any = any::<Index>;
    prop_oneof![
        3 => any().prop_map(Fault::Crash),
        3 => any().prop_map(Fault::StopByHand),
        1 => any().prop_map(Fault::Kill),
        2 => any().prop_map(Fault::AlterFile),
        2 => (any(), any(), any()).prop_map(|(topic, partition, broker)| Fault::Shrink {
            topic,
            partition,
            broker
        }),
    ]
}

fn outage() -> impl Strategy<Value = Fault> {
    let any = any::<Index>;
    prop_oneof![
        any().prop_map(Fault::Crash),
        any().prop_map(Fault::StopByHand),
        any().prop_map(Fault::LoseHost),
    ]
}

/// One look at a service whose answers fall short of the truth, or a process that stands still or goes on.
#[derive(Debug, Clone)]
enum Look {
    As(Moment),
    StandsStill(Index),
    GoesOn(Index),
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        6 => Just(Look::As(Moment::Truth)),
        2 => Just(Look::As(Moment::Nobody)),
        1 => any::<bool>().prop_map(|odd| Look::As(Moment::Half { odd })),
        2 => Just(Look::As(Moment::Old)),
        2 => Just(Look::As(Moment::OldController)),
        1 => Just(Look::As(Moment::Late)),
        1 => Just(Look::As(Moment::Untold)),
        1 => Just(Look::As(Moment::HostsSilent)),
        1 => Just(Look::As(Moment::LateStop)),
        2 => any::<Index>().prop_map(Look::StandsStill),
        2 => any::<Index>().prop_map(Look::GoesOn),
    ]
}

fn cut() -> impl Strategy<Value = Cut> {
    prop::sample::select(vec![Cut::Refused, Cut::AnswerLost, Cut::KilledBefore, Cut::KilledAfter])
}

impl Shape {
    fn simulation(&self) -> Simulation {
        let Self { brokers, servers, topics, parallel, lag } = self;
        let replication = 3.min(*brokers);
        let mut file = format!(
            "program = \"ha\"\nhosts.backend = \"fake\"\nzookeeper.servers = {servers}\n\
             kafka.brokers = {brokers}\nkafka.replication-factor = {replication}\n\
             kafka.min-insync-replicas = {}\n",
            replication.div_ceil(2)
        );
        for (number, Topic { partitions, replicas, min_insync }) in topics.iter().enumerate() {
            file.push_str(&format!(
                "[topics.t{number}]\npartitions = {partitions}\nreplication-factor = {replicas}\n\
                 configs = {{ \"min.insync.replicas\" = {min_insync} }}\n"
            ));
        }
        let mut simulation = Simulation::of(&file);
        simulation.parallel = *parallel;
        simulation.world.set_lag(*lag);
        simulation
    }

    fn nodes(&self) -> Vec<String> {
        let brokers = (1..=self.brokers).map(|id| format!("broker-{id}"));
        brokers.chain((1..=self.servers).map(|id| format!("zk-{id}"))).collect()
    }

    /// Declares some of the nodes by other names, and says so.
    fn rename(&self, simulation: &mut Simulation, renamed: &[Index]) {
        let nodes = self.nodes();
        let renamed: BTreeSet<&String> = renamed.iter().map(|index| index.get(&nodes)).collect();
        let mut moves: Vec<toml::Table> = Vec::new();
        for node in renamed {
            let name = format!("{node}-renamed");
            simulation.set(&format!("names.{node}"), Some(name.as_str().into()));
            let (from, to) = (format!("node/{node}"), format!("node/{name}"));
            moves.push(toml::Table::from_iter([
                ("from".to_owned(), from.into()),
                ("to".to_owned(), to.into()),
            ]));
        }
        simulation.set("moved", Some(moves.into()));
    }

    /// The topics that have no replica to spare.
    fn scarce(&self) -> BTreeSet<String> {
        let scarce = |(_, topic): &(usize, &Topic)| topic.replicas <= topic.min_insync;
        self.topics.iter().enumerate().filter(scarce).map(|(number, _)| format!("t{number}")).collect()
    }

    fn moment(&self, look: &Look) -> Moment {
        let node = |index: &Index| index.get(&self.nodes()).clone();
        match look {
            Look::As(moment) => moment.clone(),
            Look::StandsStill(index) => Moment::StandsStill(node(index)),
            Look::GoesOn(index) => Moment::GoesOn(node(index)),
        }
    }

    fn inflict(&self, simulation: &Simulation, fault: &Fault) {
        let (world, nodes) = (&simulation.world, self.nodes());
        let named = |index: &Index| nodes[index.index(nodes.len())].as_str();
        match fault {
            Fault::Crash(node) if simulation.is_running(named(node)) => world.crash(named(node)),
            Fault::StopByHand(node) => world.stop_by_hand(named(node)),
            Fault::LoseHost(host) => world.lose_host(named(host)),
            Fault::Kill(node) if simulation.is_running(named(node)) => world.kill(named(node)),
            Fault::AlterFile(node) => {
                let node = named(node);
                let file = if node.starts_with("zk") { "zoo.cfg" } else { "server.properties" };
                world.alter_file(node, file);
            }
            Fault::Shrink { topic, partition, broker } if !self.topics.is_empty() => {
                let number = topic.index(self.topics.len());
                let partition = partition.index(usize::from(self.topics[number].partitions));
                let broker = broker.index(usize::from(self.brokers)) + 1;
                world.shrink_isr(
                    &format!("t{number}"),
                    i32::try_from(partition).unwrap(),
                    i32::try_from(broker).unwrap(),
                );
            }
            _ => {}
        }
    }

    /// Cuts the `up` of a prepared change off at some deed, and asserts that those after it do no harm and come to what
    /// one comes to that nothing cut off.
    fn assert_gone_on_with(
        &self,
        prepared: impl Fn() -> Simulation,
        at: &Index,
        cut: Cut,
    ) -> Result<(), TestCaseError> {
        let whole = prepared();
        let before = whole.world.deed_count();
        whole.up().unwrap();
        let simulation = prepared();
        simulation.world.cut_at(at.index(whole.world.deed_count() - before) + 1, cut);
        let _ = simulation.up();
        simulation.world.fail_never();
        converge(&simulation)?;
        prop_assert_eq!(self.breaches(&simulation), Vec::<String>::new());
        // Each still has the disk that it was given first.
        prop_assert!(simulation.world.formats().values().all(|formats| *formats == 1));
        // The first process, the new one, and at most one more for the node that was being changed.
        let spawns = simulation.world.spawns();
        prop_assert!(spawns.values().sum::<u64>() <= 2 * spawns.len() as u64 + 1, "{spawns:?}");
        whole.world.settle();
        simulation.world.settle();
        prop_assert_eq!(simulation.world.portrait(), whole.world.portrait());
        prop_assert_eq!(
            simulation.state().resources.into_keys().collect::<Vec<_>>(),
            whole.state().resources.into_keys().collect::<Vec<_>>()
        );
        Ok(())
    }

    /// Breaches that Octad caused and may not. A service of one member can't keep a promise while it is changed.
    fn breaches(&self, simulation: &Simulation) -> Vec<String> {
        self.breaches_but(simulation, &BTreeSet::new())
    }

    /// The same, but for what consent to interrupt these topics allows.
    fn breaches_but(&self, simulation: &Simulation, consented: &BTreeSet<String>) -> Vec<String> {
        let own = simulation.world.breaches().into_iter().filter(|breach| match &breach.loss {
            Loss::Quorum { size, .. } => *size > 1,
            Loss::MinIsr { topic, .. } => self.brokers > 1 && !consented.contains(topic),
            Loss::Data { .. } => true,
        });
        own.filter(|breach| !matches!(breach.cause, Cause::Fault(_)))
            .map(|breach| breach.to_string())
            .collect()
    }
}

/// Mends what only a person can.
fn mend_all(simulation: &Simulation) {
    simulation.world.spawns().keys().for_each(|node| simulation.world.mend(node));
    simulation.world.settle();
    simulation.world.catch_up();
    simulation.world.settle();
}

/// Ups until nothing is left to do; a shrunk ISR may need time between them.
fn converge(simulation: &Simulation) -> Result<(), TestCaseError> {
    let mut ended = Vec::new();
    for _ in 0..4 {
        mend_all(simulation);
        match simulation.up() {
            Ok(Ended::Nothing) => return Ok(()),
            Ok(Ended::Changed) => ended.push("changed".to_owned()),
            Err(error @ CliError::Apply(_)) => ended.push(octad::causes::with_causes(&error)),
            Ok(Ended::Killed) => prop_assert!(false, "killed twice"),
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
    }
    let left = simulation.world.portrait();
    prop_assert!(false, "there is still something to do: {left}\nafter {}", ended.join("\nafter "));
    Ok(())
}

fn config() -> ProptestConfig {
    // PROPTEST_CASES asks for more.
    ProptestConfig { cases: cases(16), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    // A host that was down starts its nodes as they were; an `up` that was to change such a node stops and leaves it to
    // the next one (tests/scenarios/lost_host_changed.txt), so that lost hosts are on their own here.
    #[test]
    fn lost_hosts_come_back_without_harm(
        shape in shape(),
        faults in prop::collection::vec(outage(), 1..5),
    ) {
        let simulation = shape.simulation();
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        converge(&simulation)?;
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
    }

    #[test]
    fn no_change_breaks_a_promise(
        shape in shape(),
        faults in prop::collection::vec(fault(), 0..4),
        kafka in any::<bool>(),
        zookeeper in any::<bool>(),
    ) {
        let mut simulation = shape.simulation();
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        if kafka {
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        }
        if zookeeper {
            simulation.set("zookeeper.settings.maxClientCnxns", Some(90.into()));
        }
        match simulation.up() {
            Ok(_) | Err(CliError::Refused { .. } | CliError::Apply(_)) => {}
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
    }

    // Whatever a roll is told, in whichever turn, and whoever stands still at that: what it can't be sure of it waits for,
    // and it ends.
    #[test]
    fn no_answer_has_a_roll_break_a_promise(
        shape in spare_shape(),
        looks in prop::collection::vec(look(), 1..60),
        kafka in any::<bool>(),
        zookeeper in any::<bool>(),
    ) {
        let mut simulation = shape.simulation();
        simulation.up().unwrap();
        if kafka || !zookeeper {
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        }
        if zookeeper {
            simulation.set("zookeeper.settings.maxClientCnxns", Some(90.into()));
        }
        simulation.world.script(looks.iter().map(|look| shape.moment(look)));
        match simulation.up() {
            Ok(_) | Err(CliError::Refused { .. } | CliError::Prepare(_) | CliError::Apply(_)) => {}
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        simulation.world.truth();
        converge(&simulation)?;
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
    }

    // Consent to a topic that can spare a replica allows nothing.
    #[test]
    fn consent_interrupts_what_it_names_and_no_other(
        shape in shape(),
        faults in prop::collection::vec(fault(), 0..3),
        consented in prop::collection::btree_set(0..4usize, 0..5),
    ) {
        let mut simulation = shape.simulation();
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        let there = consented.into_iter().filter(|number| *number < shape.topics.len());
        let consented: BTreeSet<String> = there.map(|number| format!("t{number}")).collect();
        let terms = Terms { interrupt: consented.iter().cloned().collect(), ..Terms::default() };
        let result = simulation.change_on(&simulation.declare().unwrap(), &terms, |_, _| {});
        let scarce = shape.scarce();
        match result {
            Ok(_) | Err(CliError::Apply(_)) => {}
            Err(CliError::Refused { refusals }) => {
                let wanted = shape.brokers > 1 && !scarce.is_subset(&consented);
                prop_assert!(wanted, "refused without need: {refusals:?}");
            }
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
        prop_assert_eq!(shape.breaches_but(&simulation, &(&scarce & &consented)), Vec::<String>::new());
    }

    #[test]
    fn a_refill_loses_nothing(
        shape in shape(),
        faults in prop::collection::vec(fault(), 0..3),
        lost in prop::collection::btree_set(0..12usize, 1..3),
    ) {
        let simulation = shape.simulation();
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        let nodes = shape.nodes();
        let lost: BTreeSet<&String> = lost.iter().map(|place| &nodes[place % nodes.len()]).collect();
        lost.iter().for_each(|node| simulation.world.lose_data(node));
        let before = simulation.world.formats();
        let terms = Terms { refill: lost.iter().map(ToString::to_string).collect(), ..Terms::default() };
        let result = simulation.change_on(&simulation.declare().unwrap(), &terms, |_, _| {});
        match result {
            Ok(_) | Err(CliError::Apply(_)) => {}
            Err(CliError::Refused { .. }) => prop_assert_eq!(before, simulation.world.formats()),
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
    }

    #[test]
    fn a_part_of_a_change_breaks_no_promise_and_the_rest_can_follow(
        shape in spare_shape(),
        made in any::<bool>(),
        faults in prop::collection::vec(fault(), 0..3),
        names in prop::collection::vec(any::<Index>(), 1..3),
        exclude in any::<bool>(),
    ) {
        let mut simulation = shape.simulation();
        if made {
            simulation.up().unwrap();
            faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
            simulation.set("zookeeper.settings.maxClientCnxns", Some(90.into()));
        }
        let mut known = shape.nodes();
        known.extend(["@broker".to_owned(), "@zookeeper".to_owned(), "host/zk-1".to_owned()]);
        let names = names.iter().map(|name| name.get(&known).clone()).collect();
        let terms = match exclude {
            true => Terms { exclude: names, ..Terms::default() },
            false => Terms { target: names, ..Terms::default() },
        };
        let stack = simulation.declare().unwrap();
        match simulation.change_on(&stack, &terms, |_, _| {}) {
            Ok(_) | Err(CliError::Refused { .. } | CliError::Apply(_)) => {}
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
        if made {
            converge(&simulation)?;
        } else {
            let rest = simulation.up();
            prop_assert!(rest.is_ok(), "{}", octad::causes::with_causes(&rest.unwrap_err()));
            prop_assert!(matches!(simulation.up(), Ok(Ended::Nothing)));
        }
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
    }

    #[test]
    fn what_can_be_spared_converges(
        shape in spare_shape(),
        faults in prop::collection::vec(fault(), 0..4),
    ) {
        let mut simulation = shape.simulation();
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        converge(&simulation)?;
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        let fresh = shape.simulation_of(&simulation);
        fresh.up().unwrap();
        fresh.world.settle();
        simulation.world.settle();
        prop_assert_eq!(simulation.world.portrait(), fresh.world.portrait());
    }

    #[test]
    fn a_plan_depends_on_nothing_but_its_inputs(
        shape in shape(),
        faults in prop::collection::vec(fault(), 0..4),
    ) {
        let mut simulation = shape.simulation();
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        let (stack, state) = (simulation.declare().unwrap(), simulation.state());
        let inventory = simulation.observe(&stack, &state);
        let plan = || engine::plan(&simulation.registry, &stack, &Intent::default(), &state, &inventory);
        prop_assert_eq!(plan(), plan());
    }

    #[test]
    fn after_an_up_there_is_nothing_to_do(shape in shape()) {
        let simulation = shape.simulation();
        prop_assert!(matches!(simulation.up(), Ok(Ended::Changed)));
        let deeds = simulation.world.deed_count();
        let plan = simulation.preview().unwrap();
        prop_assert!(plan.is_empty(), "{plan:?}");
        prop_assert!(matches!(simulation.up(), Ok(Ended::Nothing)));
        prop_assert_eq!(simulation.world.deed_count(), deeds);
    }

    #[test]
    fn a_first_up_that_was_cut_off_is_gone_on_with(
        shape in shape(),
        at in any::<Index>(),
        cut in cut(),
    ) {
        let whole = shape.simulation();
        whole.up().unwrap();
        let simulation = shape.simulation();
        simulation.world.cut_at(at.index(whole.world.deed_count()) + 1, cut);
        let first = simulation.up();
        prop_assert!(matches!(first, Ok(Ended::Killed) | Err(CliError::Apply(_))), "{first:?}");
        let second = simulation.up();
        prop_assert!(second.is_ok(), "{}", octad::causes::with_causes(&second.unwrap_err()));
        prop_assert!(matches!(simulation.up(), Ok(Ended::Nothing)));
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        // A node whose answer got lost runs already, and its disk is prepared already.
        prop_assert!(simulation.world.spawns().values().all(|spawns| *spawns == 1));
        prop_assert!(simulation.world.formats().values().all(|formats| *formats == 1));
        whole.world.settle();
        simulation.world.settle();
        prop_assert_eq!(simulation.world.portrait(), whole.world.portrait());
    }

    #[test]
    fn a_roll_that_was_cut_off_is_gone_on_with(
        shape in spare_shape(),
        at in any::<Index>(),
        cut in cut(),
    ) {
        let prepared = || {
            let mut simulation = shape.simulation();
            simulation.up().unwrap();
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
            simulation.set("zookeeper.settings.maxClientCnxns", Some(90.into()));
            simulation
        };
        shape.assert_gone_on_with(prepared, &at, cut)?;
    }

    #[test]
    fn no_rename_breaks_a_promise(
        shape in spare_shape(),
        faults in prop::collection::vec(fault(), 0..3),
        renamed in prop::collection::vec(any::<Index>(), 1..4),
        setting in any::<bool>(),
    ) {
        let mut simulation = shape.simulation();
        simulation.set("program", Some("named".into()));
        simulation.up().unwrap();
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        shape.rename(&mut simulation, &renamed);
        if setting {
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        }
        converge(&simulation)?;
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        prop_assert!(simulation.world.formats().values().all(|formats| *formats == 1));
    }

    #[test]
    fn a_rename_that_was_cut_off_is_gone_on_with(
        shape in spare_shape(),
        renamed in prop::collection::vec(any::<Index>(), 1..4),
        at in any::<Index>(),
        cut in cut(),
    ) {
        let prepared = || {
            let mut simulation = shape.simulation();
            simulation.set("program", Some("named".into()));
            simulation.up().unwrap();
            shape.rename(&mut simulation, &renamed);
            simulation
        };
        shape.assert_gone_on_with(prepared, &at, cut)?;
    }

    #[test]
    fn a_destroy_that_was_cut_off_is_gone_on_with(shape in shape(), at in any::<Index>()) {
        let simulation = shape.simulation();
        simulation.up().unwrap();
        simulation.world.cut_at(at.index(shape.nodes().len() * 3) + 1, Cut::KilledAfter);
        let _ = simulation.destroy();
        simulation.world.fail_never();
        prop_assert!(simulation.destroy().is_ok());
        prop_assert!(simulation.world.is_empty(), "{}", simulation.world.portrait());
        prop_assert!(simulation.state().is_empty());
    }
}

proptest! {
    #![proptest_config(config())]

    // Two groups whose members share hosts: a turn is of both, whichever of them is changed.
    #[test]
    fn of_hosts_that_are_changed_as_a_whole_one_is_away_at_a_time(
        shape in spare_shape(),
        kafka in any::<bool>(),
        zookeeper in any::<bool>(),
    ) {
        // Else nobody is ever seen away.
        let shape = Shape { lag: shape.lag.max(1), ..shape };
        let simulation = shape.on_whole_hosts(kafka, zookeeper);
        let most = watched(&simulation);
        prop_assert!(matches!(simulation.up(), Ok(Ended::Changed)));
        let Most { away, on_trial } = most.lock().unwrap().clone();
        prop_assert_eq!((away, on_trial), (1, 1));
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        prop_assert!(matches!(simulation.up(), Ok(Ended::Nothing)));
    }

    #[test]
    fn no_fault_and_no_answer_has_a_change_of_whole_hosts_break_a_promise(
        shape in spare_shape(),
        faults in prop::collection::vec(fault(), 0..4),
        lost in prop::option::of(any::<Index>()),
        looks in prop::collection::vec(look(), 0..40),
        kafka in any::<bool>(),
        zookeeper in any::<bool>(),
    ) {
        let simulation = shape.on_whole_hosts(kafka, zookeeper);
        faults.iter().for_each(|fault| shape.inflict(&simulation, fault));
        if let Some(host) = lost {
            simulation.world.lose_host(&format!("broker-{}", host.index(usize::from(shape.brokers)) + 1));
        }
        let most = watched(&simulation);
        simulation.world.script(looks.iter().map(|look| shape.moment(look)));
        match simulation.up() {
            Ok(_)
            | Err(
                CliError::Refused { .. }
                | CliError::Prepare(_)
                | CliError::Apply(_)
                | CliError::Phase { .. }
                | CliError::NotForeseen(_),
            ) => {}
            Err(error) => prop_assert!(false, "{}", octad::causes::with_causes(&error)),
        }
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        simulation.world.truth();
        converge(&simulation)?;
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        prop_assert!(most.lock().unwrap().on_trial <= 1);
        prop_assert!(simulation.world.on_trial().is_empty());
    }

    #[test]
    fn a_change_of_whole_hosts_that_was_cut_off_is_gone_on_with(
        shape in spare_shape(),
        at in any::<Index>(),
        cut in cut(),
        // What is on trial then goes back by itself.
        ends in any::<bool>(),
    ) {
        let whole = shape.on_whole_hosts(true, true);
        let before = whole.world.deed_count();
        whole.up().unwrap();
        let simulation = shape.on_whole_hosts(true, true);
        let most = watched(&simulation);
        simulation.world.cut_at(at.index(whole.world.deed_count() - before) + 1, cut);
        let _ = simulation.up();
        simulation.world.fail_never();
        if ends {
            simulation.world.on_trial().iter().for_each(|host| simulation.world.trial_ends(host));
        }
        converge(&simulation)?;
        prop_assert_eq!(shape.breaches(&simulation), Vec::<String>::new());
        prop_assert!(most.lock().unwrap().on_trial <= 1);
        prop_assert!(simulation.world.on_trial().is_empty());
        prop_assert!(simulation.world.formats().values().all(|formats| *formats == 1));
        // The first process, the new one, and those of one host as it went back and was changed again.
        let spawns = simulation.world.spawns();
        prop_assert!(spawns.values().sum::<u64>() <= 2 * spawns.len() as u64 + 4, "{spawns:?}");
        whole.world.settle();
        simulation.world.settle();
        prop_assert_eq!(simulation.world.portrait(), whole.world.portrait());
    }
}

/// The most that was seen at once, at each deed.
#[derive(Debug, Clone, Default)]
struct Most {
    /// Hosts on which members of one group are away.
    away: usize,
    /// Hosts with a change on trial.
    on_trial: usize,
}

fn watched(simulation: &Simulation) -> Arc<Mutex<Most>> {
    let most = Arc::new(Mutex::new(Most::default()));
    let (world, seen) = (simulation.world.clone(), most.clone());
    simulation.world.watch(move || {
        let mut most = seen.lock().unwrap();
        most.away = world.away().values().map(BTreeSet::len).fold(most.away, usize::max);
        most.on_trial = most.on_trial.max(world.on_trial().len());
    });
    most
}

impl Shape {
    /// A stack that is up, on hosts that are changed as a whole and that brokers share with servers; one of the settings at
    /// least is to be another.
    fn on_whole_hosts(&self, kafka: bool, zookeeper: bool) -> Simulation {
        let mut simulation = self.simulation();
        simulation.set("program", Some("shared".into()));
        simulation.set("hosts.options", Some(toml::toml! { whole = true }.into()));
        simulation.up().unwrap();
        simulation.world.settle();
        if kafka || !zookeeper {
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
        }
        if zookeeper {
            simulation.set("zookeeper.settings.maxClientCnxns", Some(90.into()));
        }
        simulation
    }

    /// The same stack as another simulation has it now, in a fresh world.
    fn simulation_of(&self, other: &Simulation) -> Simulation {
        let mut fresh = self.simulation();
        fresh.file.clone_from(&other.file);
        fresh
    }
}

/// The properties above are worth as much as the detector that they ask.
mod detector {
    use super::*;

    fn three_brokers() -> (Shape, Simulation) {
        let topics = vec![Topic { partitions: 1, replicas: 3, min_insync: 2 }];
        let shape = Shape { brokers: 3, servers: 3, topics, parallel: 1, lag: 1 };
        let simulation = shape.simulation();
        simulation.up().unwrap();
        (shape, simulation)
    }

    #[test]
    fn a_partition_under_min_isr_is_seen() {
        let (shape, simulation) = three_brokers();
        simulation.world.stop_by_hand("broker-1");
        assert_eq!(simulation.world.breaches(), []);
        simulation.world.stop_by_hand("broker-2");
        let breaches = simulation.world.breaches();
        assert_eq!(breaches[0].to_string(), "stop broker-2: t0-0 has [3] in sync and needs 2");
        assert_eq!(shape.breaches(&simulation), Vec::<String>::new(), "a fault is not Octad's");
    }

    #[test]
    fn hosts_that_are_away_at_once_are_seen() {
        let (_, simulation) = three_brokers();
        let most = watched(&simulation);
        simulation.stop().unwrap();
        assert_eq!(most.lock().unwrap().away, 3);
    }

    #[test]
    fn an_ensemble_without_quorum_is_seen() {
        let (_, simulation) = three_brokers();
        simulation.world.stop_by_hand("zk-1");
        assert_eq!(simulation.world.breaches(), []);
        simulation.world.stop_by_hand("zk-3");
        let breaches = simulation.world.breaches();
        assert_eq!(breaches[0].to_string(), "stop zk-3: zookeeper has no quorum (1 of 3 vote)");
    }

    #[test]
    fn what_octad_itself_breaks_is_seen_as_its_own() {
        let (shape, simulation) = three_brokers();
        simulation.stop().unwrap();
        let breaches = shape.breaches(&simulation);
        assert!(breaches.contains(&"octad's stop broker-2: t0-0 has [3] in sync and needs 2".to_owned()));
        assert!(breaches.contains(&"octad's stop zk-2: zookeeper has no quorum (1 of 3 vote)".to_owned()));
    }

    #[test]
    fn a_plan_that_interrupts_without_consent_is_not_proved() {
        let topics = vec![Topic { partitions: 1, replicas: 1, min_insync: 1 }];
        let simulation = Shape { brokers: 3, servers: 1, topics, parallel: 1, lag: 0 }.simulation();
        simulation.up().unwrap();
        let (stack, state) = (simulation.recorded(), simulation.state());
        let inventory = simulation.observe(&stack, &state);
        let intent = |interrupt| {
            let terms = Terms { interrupt, ..Terms::roll(&["@broker".to_owned()]) };
            simulation.intent(&stack, &terms).unwrap()
        };
        let (bare, consented) = (intent(vec![]), intent(vec!["t0".to_owned()]));
        let plan = engine::plan(&simulation.registry, &stack, &consented, &state, &inventory);
        let proved = |intent| engine::check(plan.clone(), &simulation.registry, &stack, intent, &inventory);
        assert!(proved(&consented).is_ok());
        let refused = proved(&bare).unwrap_err();
        assert_eq!(refused, Violation::NoConsent { group: "kafka".into(), name: "t0".into() });
    }

    /// One that was rolled already asks for more than the controller, which goes last, and any of them may lead: a refusal
    /// that comes between two turns is one that was to be foreseen.
    #[test]
    fn a_roll_that_raises_min_insync_replicas_is_refused_before_its_first_turn() {
        let mut simulation = Simulation::of(
            "program = \"ha\"\nhosts.backend = \"fake\"\nkafka.brokers = 4\nkafka.min-insync-replicas = 1\n\
             [topics.t0]\npartitions = 8\nreplication-factor = 2\n",
        );
        simulation.up().unwrap();
        simulation.set("kafka.min-insync-replicas", Some(2.into()));
        let refused = simulation.up().unwrap_err();
        let told = octad::causes::with_causes(&refused);
        assert!(told.contains("safely"), "{told}");
        assert_eq!(simulation.world.own_breaches(), []);
        assert_eq!(simulation.world.spawns().values().sum::<u64>(), 4 + 3, "nobody was restarted");
    }

    /// Nobody but itself could tell that it is out, or of its topics.
    #[test]
    fn the_only_broker_that_hangs_is_mended() {
        for topics in ["", "topics.t0.partitions = 1\n"] {
            let mut simulation = Simulation::of(&format!(
                "program = \"ha\"\nhosts.backend = \"fake\"\nkafka.brokers = 1\nkafka.replication-factor = 1\n\
                 kafka.min-insync-replicas = 1\nzookeeper.servers = 1\n{topics}"
            ));
            simulation.up().unwrap();
            simulation.world.stand_still("broker-1");
            simulation.set("kafka.settings.num.io.threads", Some(8.into()));
            let result = simulation.up();
            assert!(result.is_ok(), "{}", octad::causes::with_causes(&result.unwrap_err()));
        }
    }

    #[test]
    fn replicas_on_the_move_are_seen_until_they_arrived() {
        let topics = vec![Topic { partitions: 1, replicas: 2, min_insync: 1 }];
        let simulation = Shape { brokers: 4, servers: 3, topics, parallel: 1, lag: 3 }.simulation();
        simulation.up().unwrap();
        let stack = simulation.declare().unwrap();
        let kafka = kafka(simulation.context(&stack, &simulation.state()).as_ref(), "kafka").unwrap();
        simulation.wait(async {
            let partition = TopicPartition::new("t0", 0);
            kafka.reassign(&[(partition.clone(), vec![4, 3])].into()).await.unwrap();
            let moving = kafka.list_reassignments().await.unwrap();
            assert_eq!((moving[0].adding.clone(), moving[0].removing.clone()), (vec![4, 3], vec![1, 2]));
            let mut view = kafka.describe().await.unwrap();
            while view.reassignments != Some(vec![]) {
                view = kafka.describe().await.unwrap();
            }
            let moved = &view.topics["t0"].partitions[&0];
            assert_eq!(
                (moved.replicas.clone(), moved.isr.clone(), moved.leader),
                (vec![4, 3], vec![4, 3], Some(4))
            );
        });
    }

    /// What would be lost if an empty disk were taken for the one that it replaces.
    #[test]
    fn an_empty_disk_for_the_last_one_in_sync_is_seen_as_a_loss() {
        let (shape, simulation) = three_brokers();
        simulation.world.stop_by_hand("broker-1");
        simulation.world.stop_by_hand("broker-2");
        simulation.world.replace_disk("broker-3");
        let _ = simulation.up();
        let breaches = shape.breaches(&simulation);
        let lost = "t0-0: in sync on broker 3, which came back empty";
        assert!(breaches.iter().any(|breach| breach.contains(lost)), "{breaches:?}");
    }

    #[test]
    fn a_partition_whose_last_replica_is_removed_is_seen_as_lost() {
        let (_, simulation) = three_brokers();
        // The last one in sync is gone for good.
        simulation.world.stop_by_hand("broker-1");
        simulation.world.stop_by_hand("broker-2");
        simulation.destroy().unwrap();
        let lost = |loss: &Loss| matches!(loss, Loss::Data { .. });
        assert!(simulation.world.own_breaches().iter().any(|breach| lost(&breach.loss)));
    }
}
