//! A service whose members are alike, keep no data and don't need each other, by a role that says little of itself: the
//! canaries of the example, in a simulated world.

#[path = "../examples/canary.rs"]
#[allow(dead_code, reason = "its main is for whoever runs it")]
mod canary;
#[path = "support/simulation.rs"]
mod simulation;

use canary::Canary;
use octad::causes::with_causes;
use octad::engine::{Action, Event};
use octad::model::{HostFacts, Key, NodeFacts, Output, Process, Reference, Software, Source};
use octad::program::{Ha, HostsConfig, KafkaConfig, TopicConfig, ZookeeperConfig, ha};
use octad::role::Role;
use octad::stack::Stack;
use schemars::JsonSchema;
use serde::Deserialize;
use simulation::{Ended, Simulation};
use std::collections::BTreeMap;
use std::time::Duration;

fn three(role: impl Role + 'static) -> Simulation {
    let mut simulation = Simulation::of("program = \"canary\"\nhosts.backend = \"fake\"\ncanaries = 3\n");
    simulation.registry = simulation.registry.role(role);
    simulation.programs = simulation.programs.program("canary", canary::program);
    simulation.up().unwrap();
    simulation
}

fn set(simulation: &mut Simulation, path: &str, value: i64) {
    simulation.set(path, Some(value.into()));
}

/// The members in the order in which a roll changed them.
fn turns(simulation: &Simulation) -> Vec<String> {
    let events = simulation.take_events().into_iter();
    let turns = events.filter_map(|event| match event {
        Event::StepMessage { message, .. } => {
            message.strip_prefix("changing ")?.split(' ').next().map(str::to_owned)
        }
        _ => None,
    });
    turns.collect()
}

#[test]
fn it_is_made_without_a_disk_and_a_second_up_changes_nothing() {
    let simulation = three(Canary);
    assert!(simulation.status().healthy);
    let formatted = simulation.world.deeds().into_iter().filter(|deed| deed.verb == "format");
    assert_eq!(formatted.filter(|deed| deed.subject.starts_with("canary")).count(), 3, "asked for");
    let formats = simulation.world.formats();
    assert!(formats.iter().all(|(node, count)| node.starts_with("canary") == (*count == 0)), "{formats:?}");
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn a_change_takes_one_member_after_the_other() {
    let mut simulation = three(Canary);
    simulation.take_events();
    set(&mut simulation, "pause", 2);
    let plan = simulation.preview().unwrap();
    let predicted = plan.steps.iter().find_map(|step| match &step.action {
        Action::Roll { predicted, .. } => Some(predicted.as_slice()),
        _ => None,
    });
    assert_eq!(predicted.unwrap(), ["canary-1", "canary-2", "canary-3"]);
    simulation.up().unwrap();
    assert_eq!(turns(&simulation), ["canary-1", "canary-2", "canary-3"]);
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn a_member_that_says_that_it_is_ill_holds_the_others_back_and_is_mended_first() {
    let mut simulation = three(Canary);
    simulation.world.answer("canary-2", Some(503));
    assert!(!simulation.status().healthy);
    simulation.take_events();
    set(&mut simulation, "pause", 2);
    assert!(simulation.up().is_err(), "it is still ill after its change");
    assert_eq!(turns(&simulation), ["canary-2"]);
    simulation.world.answer("canary-2", None);
    simulation.up().unwrap();
    assert_eq!(turns(&simulation), ["canary-1", "canary-3"]);
    assert!(simulation.status().healthy);
}

#[test]
fn a_member_that_stopped_is_started_and_one_that_is_gone_is_made_again() {
    let simulation = three(Canary);
    simulation.world.stop_by_hand("canary-1");
    simulation.up().unwrap();
    assert!(simulation.is_running("canary-1"));
    simulation.world.remove_by_hand("canary-2");
    let plan = simulation.preview().unwrap();
    let gone = plan.steps.iter().find(|step| step.reason == "it is gone");
    assert!(matches!(&gone.unwrap().action, Action::Create { key, .. } if key.name == "canary-2"));
    simulation.up().unwrap();
    assert!(simulation.status().healthy);
}

#[test]
fn members_leave_without_consent_since_they_hold_nothing() {
    let mut simulation = three(Canary);
    for left in [2, 0] {
        set(&mut simulation, "canaries", left);
        let plan = simulation.preview().unwrap();
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
        simulation.up().unwrap();
        let nodes = simulation.state().resources.into_keys().filter(|key| key.kind == "node");
        assert_eq!(nodes.filter(|key| key.name.starts_with("canary")).count() as i64, left);
        let status = simulation.status();
        assert!(status.healthy, "{left}: {status:?}");
    }
}

/// As the canary, but that it has a disk.
struct Keeper;

impl Role for Keeper {
    fn name(&self) -> &'static str {
        Canary::NAME
    }
    fn process(&self, facts: &NodeFacts) -> Process {
        Canary.process(facts)
    }
}

#[test]
fn a_member_that_keeps_data_leaves_only_with_the_whole_stack() {
    let mut simulation = three(Keeper);
    assert_eq!(simulation.world.formats()["canary-3"], 1);
    set(&mut simulation, "canaries", 2);
    let refusals = simulation.preview().unwrap().refusals;
    assert_eq!(refusals[0].key, Key::new("node", "canary-3"));
    assert_eq!(refusals[0].reason, "it keeps data, and the role canary can't tell that nobody needs it");
    simulation.destroy().unwrap();
    assert!(simulation.world.is_empty());
}

/// `ha` with canaries on the hosts of its first two brokers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Beside {
    hosts: HostsConfig,
    topics: BTreeMap<String, TopicConfig>,
    pause: u32,
}

fn beside_brokers(stack: &mut Stack, config: Beside) {
    let Beside { hosts, topics, pause } = config;
    ha(stack, Ha { hosts, topics, zookeeper: ZookeeperConfig::default(), kafka: KafkaConfig::default() });
    for id in 1..=2 {
        let broker = format!("broker-{id}");
        let resource = Key::new("host", &broker);
        let address = Output::Reference(Reference { resource, field: "address".into() });
        let host = HostFacts { name: broker, address, zone: None, machine: None };
        let source = Source::Installed { below: None };
        let python = Software { name: "python3".into(), version: "3.9".into(), source };
        let facts = NodeFacts {
            id,
            ports: [("health".to_owned(), 8080)].into(),
            settings: [("pause".to_owned(), pause.to_string().into())].into(),
            ..NodeFacts::new(stack.name().as_ref(), &format!("canary-{id}"), "canary", host, python)
        };
        stack.node(&facts, ["kafka".to_owned()]);
    }
}

#[test]
fn one_beside_a_broker_goes_when_the_brokers_say_so_where_their_host_is_changed_as_a_whole() {
    let file = "program = \"beside\"\npause = 1\nhosts.backend = \"fake\"\nhosts.options.whole = true\n\
                topics.activity.partitions = 3\n";
    let mut simulation = Simulation::of(file);
    simulation.registry = simulation.registry.role(Canary);
    simulation.programs = simulation.programs.program("beside", beside_brokers);
    simulation.up().unwrap();
    simulation.world.settle();
    let spawns = simulation.world.spawns();

    assert!((1..=5).any(|broker| simulation.world.shrink_isr("activity", 0, broker)));
    simulation.gate_timeout = Duration::from_secs(2);
    set(&mut simulation, "pause", 2);
    let told = with_causes(&simulation.up().unwrap_err());
    assert!(told.contains("the roll of kafka stopped after 0 of 2 members"), "{told}");
    assert_eq!(simulation.world.spawns(), spawns);

    simulation.world.catch_up();
    let up = simulation.up();
    assert!(up.is_ok(), "{}", with_causes(&up.unwrap_err()));
    let again = simulation.world.spawns();
    let begun = |node: &str| again[node] - spawns[node];
    assert_eq!(["canary-1", "canary-2", "broker-1", "broker-2"].map(begun), [1, 1, 0, 0]);
    let deeds = simulation.world.deeds();
    assert_eq!(deeds.iter().filter(|deed| deed.verb == "apply").count(), 2, "one for each host");
    assert!(simulation.world.on_trial().is_empty());
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}
