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
use octad::host::fake::Cut;
use octad::model::{
    Deployment, File, HealthCheck, HostFacts, Key, NodeFacts, Output, Process, Reference, Software, Source,
};
use octad::output::{failure_text, preview_text};
use octad::program::{Ha, HostsConfig, KafkaConfig, TopicConfig, ZookeeperConfig, ha};
use octad::report::Invocation;
use octad::role::Role;
use octad::stack::Stack;
use schemars::JsonSchema;
use serde::Deserialize;
use simulation::{Ended, Simulation, Terms};
use std::collections::BTreeMap;
use std::time::Duration;

fn three(role: impl Role + 'static) -> Simulation {
    let simulation = declared(role);
    simulation.up().unwrap();
    simulation
}

fn declared(role: impl Role + 'static) -> Simulation {
    let mut simulation = Simulation::of("program = \"canary\"\nhosts.backend = \"fake\"\ncanaries = 3\n");
    simulation.registry = simulation.registry.role(role);
    simulation.programs = simulation.programs.program("canary", canary::program);
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

/// The canary as another build of the program has it.
#[derive(Clone, Copy)]
struct Built {
    script: &'static str,
    argument: &'static str,
    path: &'static str,
}

impl Role for Built {
    fn name(&self) -> &'static str {
        Canary::NAME
    }
    fn files(&self, facts: &NodeFacts) -> BTreeMap<String, File> {
        let files = Canary.files(facts).into_iter();
        files.map(|(name, file)| (name, File::text(file.text + self.script))).collect()
    }
    fn process(&self, facts: &NodeFacts) -> Process {
        let Process::Program { executable, mut arguments, environment } = Canary.process(facts) else {
            unreachable!("it is a script");
        };
        arguments.extend((!self.argument.is_empty()).then(|| self.argument.to_owned()));
        Process::Program { executable, arguments, environment }
    }
    fn check(&self, _: &NodeFacts) -> Option<HealthCheck> {
        Some(HealthCheck::http("health", self.path))
    }
    fn stateless(&self) -> bool {
        true
    }
}

const FIRST: Built = Built { script: "", argument: "", path: "/health" };
const OTHER_SCRIPT: Built = Built { script: "# of the next build\n", ..FIRST };
const OTHER_ARGUMENT: Built = Built { argument: "--quiet", ..FIRST };
const OTHER_PATH: Built = Built { path: "/ready", ..FIRST };

/// Has the program be built anew.
fn build(simulation: &mut Simulation, role: impl Role + 'static) {
    simulation.registry = simulation.registry.clone().role(role);
}

/// The documents that are recorded of the canaries.
fn documents(simulation: &Simulation) -> Vec<Deployment> {
    let resources = simulation.state().resources.into_iter();
    let canaries = resources.filter(|(key, _)| key.kind == "node" && key.name.starts_with("canary"));
    canaries.map(|(_, recorded)| Deployment::of(&recorded.inputs).unwrap().unwrap()).collect()
}

#[test]
fn another_file_argument_or_check_for_the_same_facts_is_a_change_and_tells_which() {
    for (next, told) in [
        (OTHER_SCRIPT, "files.canary.py.text: -0 of its lines, +1 (`preview --diff` shows them)"),
        (OTHER_ARGUMENT, "process.program.arguments: "),
        (OTHER_PATH, "check.http.path: /health → /ready"),
    ] {
        let mut simulation = three(FIRST);
        build(&mut simulation, next);
        assert!(simulation.status().healthy, "each is asked for what it was made to answer");
        simulation.take_events();
        let plan = simulation.preview().unwrap();
        let shown = preview_text(&plan, &[]);
        assert!(shown.contains("3 restart one at a time: canary-1, canary-2, canary-3"), "{shown}");
        assert!(shown.contains(told), "{shown}");
        assert!(!shown.contains("settings."), "{shown}");
        simulation.up().unwrap();
        assert_eq!(turns(&simulation), ["canary-1", "canary-2", "canary-3"]);
        assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
    }
}

#[test]
fn a_first_build_that_asks_for_what_its_members_never_answer_is_mended_by_the_next_one() {
    let mut simulation = declared(OTHER_PATH);
    for name in ["canary-1", "canary-2", "canary-3"] {
        simulation.world.knows_path(name, "/health");
    }
    simulation.gate_timeout = Duration::from_secs(2);
    let told = with_causes(&simulation.up().unwrap_err());
    assert!(told.contains("canary is not healthy after 2 s"), "the detector: {told}");
    build(&mut simulation, FIRST);
    let up = simulation.up();
    assert!(up.is_ok(), "{}", with_causes(&up.unwrap_err()));
    assert!(simulation.status().healthy && matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn another_file_is_told_beside_a_setting_and_what_follows_from_that_is_not() {
    let mut simulation = three(FIRST);
    set(&mut simulation, "pause", 2);
    let changed = |simulation: &Simulation| -> Vec<String> {
        let plan = simulation.preview().unwrap();
        let restarts = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Roll { members, .. } => members.get("canary-1"),
            _ => None,
        });
        restarts.flat_map(|change| change.changes.iter().map(|change| change.path.clone())).collect()
    };
    assert_eq!(changed(&simulation), ["settings.pause"]);
    build(&mut simulation, OTHER_SCRIPT);
    assert_eq!(changed(&simulation), ["settings.pause", "files.canary.py.text"]);
}

#[test]
fn neither_a_roll_nor_a_start_brings_what_another_build_makes() {
    let mut simulation = three(FIRST);
    let before = documents(&simulation);
    build(&mut simulation, OTHER_SCRIPT);
    let spawns = simulation.world.spawns();
    let terms = Terms::roll(&["@canary".to_owned()]);
    simulation.change_on(&simulation.recorded(), &terms, |_, _| {}).unwrap();
    assert_eq!(
        simulation.world.spawns()["canary-1"],
        spawns["canary-1"] + 1,
        "the detector: it was restarted"
    );
    assert_eq!(documents(&simulation), before);
    simulation.world.stop_by_hand("canary-2");
    let stop_is_seen = simulation.recorded();
    simulation.change_on(&stop_is_seen, &Terms::default(), |_, _| {}).unwrap();
    assert!(simulation.is_running("canary-2"));
    assert_eq!(documents(&simulation), before);
    // What lies on the hosts is that too: the build that made it finds nothing to change.
    build(&mut simulation, FIRST);
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn what_a_failed_change_is_put_back_to_is_what_ran_and_not_what_this_build_makes_of_it() {
    let mut simulation = three(FIRST);
    let before = documents(&simulation);
    build(&mut simulation, OTHER_SCRIPT);
    simulation.world.fatal_setting("canary.py", "# of the next build");
    let told = with_causes(&simulation.up().unwrap_err());
    assert!(told.contains("canary-1 did not become healthy with its change and was put back"), "{told}");
    assert!(simulation.status().healthy, "{:?}", simulation.status());
    assert_eq!(documents(&simulation), before);
    build(&mut simulation, FIRST);
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing), "its host has it too");
}

#[test]
fn one_that_says_of_itself_that_it_does_not_serve_with_its_change_is_put_back_too() {
    let mut simulation = three(FIRST);
    let before = documents(&simulation);
    simulation.world.knows_path("canary-1", "/health");
    simulation.gate_timeout = Duration::from_secs(2);
    build(&mut simulation, OTHER_PATH);
    let told = with_causes(&simulation.up().unwrap_err());
    assert!(told.contains("canary-1 did not become healthy with its change and was put back"), "{told}");
    assert!(told.contains("answers 404 instead of 200"), "{told}");
    assert!(simulation.status().healthy && documents(&simulation) == before);
}

#[test]
fn a_roll_to_another_build_that_is_cut_off_anywhere_is_gone_on_with() {
    for at in 1.. {
        let mut simulation = three(FIRST);
        build(&mut simulation, OTHER_SCRIPT);
        simulation.world.cut_at(at, Cut::KilledAfter);
        let ended = simulation.up().unwrap();
        if matches!(ended, Ended::Killed) {
            simulation.up().unwrap();
        } else {
            assert!(at > 6, "the detector: at {at}");
        }
        let scripts = documents(&simulation).into_iter().map(|one| one.files["canary.py"].text.clone());
        let all: Vec<String> = scripts.collect();
        assert!(all.iter().all(|text| text.ends_with(OTHER_SCRIPT.script)) && all.len() == 3, "at {at}");
        assert!(simulation.status().healthy, "at {at}");
        assert!(matches!(simulation.up().unwrap(), Ended::Nothing), "at {at}");
        if matches!(ended, Ended::Changed) {
            return;
        }
    }
}

#[test]
fn others_on_a_host_that_is_changed_as_a_whole_stay_what_they_are() {
    let file = "program = \"beside\"\npause = 1\nhosts.backend = \"fake\"\nhosts.options.whole = true\n\
                topics.activity.partitions = 3\n";
    let mut simulation = Simulation::of(file);
    simulation.programs = simulation.programs.program("beside", beside_brokers);
    build(&mut simulation, FIRST);
    simulation.up().unwrap();
    simulation.world.settle();
    let before = documents(&simulation);
    build(&mut simulation, OTHER_SCRIPT);
    let terms = Terms::roll(&["broker-1".to_owned()]);
    simulation.change_on(&simulation.recorded(), &terms, |_, _| {}).unwrap();
    assert_eq!(documents(&simulation), before);
    build(&mut simulation, FIRST);
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing), "its host has it too");
}

/// Asks for its health at a port that nobody declares.
struct Elsewhere;

impl Role for Elsewhere {
    fn name(&self) -> &'static str {
        Canary::NAME
    }
    fn process(&self, facts: &NodeFacts) -> Process {
        Canary.process(facts)
    }
    fn check(&self, _: &NodeFacts) -> Option<HealthCheck> {
        Some(HealthCheck::http("admin", "/health"))
    }
}

#[test]
fn a_health_check_at_a_port_that_is_not_declared_is_refused() {
    let mut simulation = three(Canary);
    assert!(simulation.declare().is_ok(), "the detector");
    build(&mut simulation, Elsewhere);
    let told = failure_text(&simulation.declare().unwrap_err().report(&Invocation::default()));
    for part in ["canary-1", "the role canary asks for its health at the port `admin`", "only `health`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_status_has_an_address_whatever_the_port_is_called() {
    let status = three(Canary).status();
    let address = |name: &str| status.nodes.iter().find(|node| node.node == name).unwrap().address.clone();
    assert!(address("canary-1").unwrap().ends_with(":8080"), "{status:?}");
    assert!(address("broker-1").unwrap().ends_with(":9092"), "{status:?}");
}

/// The canary as a build has it that is asked for its health at another port.
struct AtAdmin;

impl Role for AtAdmin {
    fn name(&self) -> &'static str {
        Canary::NAME
    }
    fn files(&self, facts: &NodeFacts) -> BTreeMap<String, File> {
        Canary.files(facts)
    }
    fn process(&self, facts: &NodeFacts) -> Process {
        Canary.process(facts)
    }
    fn check(&self, _: &NodeFacts) -> Option<HealthCheck> {
        Some(HealthCheck::http("admin", "/health"))
    }
    fn stateless(&self) -> bool {
        true
    }
}

fn with_admin(stack: &mut Stack, config: Beside) {
    beside(stack, config, &["health", "admin"]);
}

#[test]
fn a_build_that_asks_for_health_at_a_port_of_its_own_changes_members_one_at_a_time() {
    let file = "program = \"beside\"\npause = 1\nhosts.backend = \"fake\"\ntopics.activity.partitions = 3\n";
    let mut simulation = Simulation::of(file);
    simulation.registry = simulation.registry.role(Canary);
    simulation.programs = simulation.programs.program("beside", beside_brokers);
    simulation.up().unwrap();
    simulation.world.settle();
    build(&mut simulation, AtAdmin);
    simulation.programs = simulation.programs.program("beside", with_admin);
    simulation.gate_timeout = Duration::from_secs(2);
    let up = simulation.up();
    assert!(up.is_ok(), "{}", with_causes(&up.unwrap_err()));
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
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
    beside(stack, config, &["health"]);
}

fn beside(stack: &mut Stack, config: Beside, ports: &[&str]) {
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
            ports: (8080..).zip(ports).map(|(port, purpose)| ((*purpose).to_owned(), port)).collect(),
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
