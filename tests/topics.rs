//! Topics as they are declared, altered by other hands, and brought back by an Octad that may end at any moment: what
//! Octad set goes when it is no longer declared, what others set stays, and no topic is another one than before.

#[path = "support/simulation.rs"]
mod simulation;

use octad::cli::CliError;
use octad::engine::{self, SavedPlan, SavedPlanError};
use octad::host::FakeWorld;
use octad::host::fake::{Cut, Moment};
use octad::kafka::TopicView;
use octad::model::Key;
use octad::resource::kafka;
use octad::stack::ValidStack;
use proptest::prelude::*;
use simulation::{Ended, Simulation, THREE_AND_THREE, Terms, cases};
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

fn topics(simulation: &Simulation) -> BTreeMap<String, TopicView> {
    let stack = simulation.declare().unwrap();
    let context = simulation.context(&stack, &simulation.state());
    simulation.wait(kafka(context.as_ref(), "kafka").unwrap().describe()).unwrap().topics
}

/// How often a process of each broker was made.
fn broker_starts(simulation: &Simulation) -> Vec<u64> {
    let spawns = simulation.world.spawns().into_iter();
    spawns.filter(|(node, _)| node.starts_with("broker")).map(|(_, count)| count).collect()
}

#[test]
fn two_hundred_topics_cost_no_restart_beside_those_of_a_change_of_the_brokers() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.parallel = 16;
    simulation.world.set_lag(0);
    let partitions = |simulation: &mut Simulation, numbers: std::ops::Range<u16>| {
        for number in numbers {
            simulation.set(&format!("topics.t{number:03}.partitions"), Some(Value::Integer(1)));
        }
    };
    partitions(&mut simulation, 0..200);
    assert_eq!(simulation.preview().unwrap().change_count(), 213);
    simulation.up().unwrap();
    assert_eq!(topics(&simulation).len(), 201);
    assert_eq!(broker_starts(&simulation), [1, 1, 1]);
    // More of them, settings and partitions of others: nobody restarts.
    partitions(&mut simulation, 200..210);
    simulation.set("topics.t001.configs.max.message.bytes", Some(Value::Integer(2_000_000)));
    simulation.set("topics.t002.partitions", Some(Value::Integer(2)));
    assert_eq!(simulation.preview().unwrap().change_count(), 12);
    simulation.up().unwrap();
    assert_eq!(broker_starts(&simulation), [1, 1, 1]);
    // Beside a change of the brokers, each restarts once.
    simulation.set("kafka.settings.num.io.threads", Some(Value::Integer(9)));
    simulation.set("topics.t003.partitions", Some(Value::Integer(2)));
    simulation.up().unwrap();
    assert_eq!(broker_starts(&simulation), [2, 2, 2]);
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

/// Settings that are declared now and then, and one that only others set.
const DECLARED: [&str; 3] = ["max.message.bytes", "retention.ms", "segment.ms"];
const FOREIGN: &str = "leader.replication.throttled.replicas";

#[derive(Debug, Clone)]
enum Deed {
    Declare(usize, u32),
    Undeclare(usize),
    /// Another hand sets one that is Octad's, or its own.
    Alter(usize, u32),
    AlterForeign(bool),
    /// An `up` that may end at its first, second… deed.
    Up(Option<usize>),
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = 0..DECLARED.len();
    let value = 1000..1005u32;
    prop_oneof![
        3 => (which.clone(), value.clone()).prop_map(|(which, value)| Deed::Declare(which, value)),
        2 => which.clone().prop_map(Deed::Undeclare),
        1 => (which, value).prop_map(|(which, value)| Deed::Alter(which, value)),
        1 => any::<bool>().prop_map(Deed::AlterForeign),
        4 => prop::option::of(1..3usize).prop_map(Deed::Up),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(16), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_octad_set_goes_when_it_is_no_longer_declared_and_what_others_set_stays(
        deeds in prop::collection::vec(deed(), 1..12),
    ) {
        let mut simulation = Simulation::of(THREE_AND_THREE);
        simulation.world.set_lag(0);
        simulation.up().unwrap();
        let before = topics(&simulation)["activity"].id.clone();
        let consent = Terms { allow_loss: vec!["topic/activity".into()], ..Terms::default() };
        let up = |simulation: &Simulation| {
            simulation.change_on(&simulation.declare().unwrap(), &consent, |_, _| {})
        };
        let (mut declared, mut altered, mut foreign) = (BTreeMap::new(), BTreeSet::new(), false);
        for deed in deeds {
            match deed {
                Deed::Declare(which, value) => {
                    let path = format!("topics.activity.configs.{}", DECLARED[which]);
                    simulation.set(&path, Some(Value::Integer(value.into())));
                    declared.insert(DECLARED[which], value.to_string());
                }
                Deed::Undeclare(which) => {
                    simulation.set(&format!("topics.activity.configs.{}", DECLARED[which]), None);
                    declared.remove(DECLARED[which]);
                }
                Deed::Alter(which, value) => {
                    simulation.world.alter_topic("activity", DECLARED[which], Some(&value.to_string()));
                    altered.insert(DECLARED[which]);
                }
                Deed::AlterForeign(set) => {
                    simulation.world.alter_topic("activity", FOREIGN, set.then_some("*"));
                    foreign = set;
                }
                Deed::Up(end) => {
                    if let Some(at) = end {
                        simulation.world.cut_at(at, Cut::KilledAfter);
                    }
                    up(&simulation).unwrap();
                    simulation.world.fail_never();
                }
            }
        }
        up(&simulation).unwrap();
        let found = topics(&simulation)["activity"].clone();
        prop_assert_eq!(&found.id, &before);
        prop_assert_eq!(found.configs.contains_key(FOREIGN), foreign);
        for name in DECLARED {
            match declared.get(name) {
                Some(value) => prop_assert_eq!(found.configs.get(name), Some(value)),
                // One that another hand set may be its own.
                None if altered.contains(name) => {}
                None => prop_assert_eq!(found.configs.get(name), None, "{}", name),
            }
        }
        let again = up(&simulation).unwrap();
        prop_assert!(matches!(again, Ended::Nothing), "{:?}", again);
    }
}

fn refusals(result: Result<Ended, CliError>) -> Vec<String> {
    match result {
        Err(CliError::Refused { refusals }) => {
            refusals.into_iter().map(|one| format!("{}: {}", one.key, one.reason)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_that_an_old_look_lacks_is_neither_deleted_nor_forgotten() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.preview().unwrap();
    simulation.preview().unwrap();
    simulation.world.grow_topic("kafka", "orders", 1);
    simulation.set("topics.orders", Some(Value::Table("partitions = 1".parse().unwrap())));
    simulation.import("topic/orders").unwrap();
    simulation.set("topics.orders", None);
    // The controller isn't heard, and the others have not heard of the topic yet: it is protected all the same.
    simulation.world.script(vec![Moment::Old; 3]);
    let told = refusals(simulation.up());
    assert!(told.iter().any(|one| one.starts_with("topic/orders: it is protected")), "{told:?}");
    simulation.world.script(vec![Moment::Old; 3]);
    let state = simulation.state();
    let inventory = simulation.observe(&simulation.declare().unwrap(), &state);
    let refreshed = engine::refresh(&simulation.registry, &state, &inventory);
    assert_eq!(refreshed.records(&state), []);
}

#[test]
fn one_that_was_never_made_takes_none_with_it_that_another_hand_made_of_its_name() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.set("topics.orders.partitions", Some(Value::Integer(1)));
    simulation.world.cut_at(1, Cut::KilledBefore);
    assert!(matches!(simulation.up().unwrap(), Ended::Killed));
    simulation.world.fail_never();
    simulation.set("topics.orders", None);
    // The plan sees none. While the question waits, somebody makes one.
    let made = |_: &_| simulation.world.grow_topic("kafka", "orders", 1);
    let ended = simulation.change(&simulation.declare().unwrap(), made);
    assert!(topics(&simulation).contains_key("orders"), "{ended:?}");
}

/// Octad is cut off as it makes a topic; then this is no longer declared, and whoever plans its removal can't look.
fn removed_without_a_look(cut: Cut, meanwhile: impl FnOnce(&FakeWorld)) -> Simulation {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.set("topics.orders.partitions", Some(Value::Integer(2)));
    simulation.world.cut_at(1, cut);
    assert!(matches!(simulation.up().unwrap(), Ended::Killed));
    simulation.world.fail_never();
    meanwhile(&simulation.world);
    simulation.set("topics.orders", None);
    simulation.unprotect("topic/orders");
    let looks = |simulation: &Simulation| simulation.world.script(vec![Moment::Nobody; 2]);
    looks(&simulation);
    assert_eq!(simulation.preview().unwrap().change_count(), 1, "the detector: nothing speaks against it");
    looks(&simulation);
    // What comes of it is seen.
    let _ = simulation.up();
    simulation
}

#[test]
fn one_that_was_never_made_takes_none_with_it_where_the_plan_could_not_look() {
    let made = removed_without_a_look(Cut::KilledAfter, |_| {});
    assert!(!topics(&made).contains_key("orders"), "Octad made it itself");
    let anybodys = removed_without_a_look(Cut::KilledBefore, |world| world.grow_topic("kafka", "orders", 1));
    assert!(topics(&anybodys).contains_key("orders"));
}

#[test]
fn a_topic_is_not_forgotten_because_its_cluster_is_no_longer_declared() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.file = "program = \"none\"".parse().unwrap();
    let only = Terms { target: vec!["topic/activity".into()], ..Terms::default() };
    let told = refusals(simulation.change_on(&simulation.declare().unwrap(), &only, |_, _| {}));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("topic/activity: it is protected"), "{told:?}");
    assert!(simulation.state().resources.contains_key(&"topic/activity".parse().unwrap()));
}

#[test]
fn a_saved_plan_consents_to_no_loss_but_what_it_tells() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.set("kafka.settings.log.retention.hours", Some(Value::Integer(24)));
    let consent = Terms { allow_loss: vec!["group/kafka".into()], ..Terms::default() };
    let stack = simulation.declare().unwrap();
    let intent = simulation.intent(&stack, &consent).unwrap();
    let path = simulation.site().join("saved.plan");
    SavedPlan::write(&path, &simulation.plan_for(&stack, &intent).unwrap(), &[]).unwrap();
    // Whoever read the plan was told of time only.
    simulation.world.add_line("broker-1", "server.properties", "log.retention.bytes=-1");
    let terms = Terms { plan: Some(path), ..Terms::default() };
    let error = simulation.change_on(&simulation.declare().unwrap(), &terms, |_, _| {}).unwrap_err();
    assert!(matches!(error, CliError::SavedPlan(SavedPlanError::Stale { .. })), "{error:?}");
}

#[test]
fn a_saved_destroy_takes_nothing_with_it_that_it_did_not_tell() {
    let simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    let stack = ValidStack::empty("sim".parse().unwrap());
    let path = simulation.site().join("gone.plan");
    SavedPlan::write(&path, &simulation.plan_of(&stack).unwrap(), &[]).unwrap();
    simulation.world.grow_topic("kafka", "orders", 1);
    let terms = Terms { plan: Some(path), ..Terms::default() };
    let error = simulation.change_on(&stack, &terms, |_, _| {}).unwrap_err();
    assert!(matches!(error, CliError::SavedPlan(SavedPlanError::Stale { .. })), "{error:?}");
}

#[test]
fn consent_to_the_removal_of_a_topic_is_not_consent_to_that_of_the_next_one() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.set("topics.orders.partitions", Some(Value::Integer(1)));
    simulation.up().unwrap();
    simulation.unprotect("topic/orders");
    simulation.world.delete_topic("orders");
    simulation.up().unwrap();
    simulation.set("topics.orders", None);
    assert_eq!(refusals(simulation.up()).len(), 1);
    assert!(topics(&simulation).contains_key("orders"));
}

#[test]
fn what_lies_in_a_file_is_read_as_java_reads_it() {
    for line in [
        "log.retention.hours 720",
        "log.retention.hours\\\n  :720",
        "  log.retention.h\\u006Furs = 720",
        "log.retention.hours=7\\\n   20",
    ] {
        let simulation = Simulation::of(THREE_AND_THREE);
        simulation.up().unwrap();
        simulation.world.add_line("broker-1", "server.properties", line);
        let told = refusals(simulation.up());
        let lost = "group/kafka: the brokers' retention.ms 30days → 7days: records are deleted sooner";
        assert_eq!(told, [lost], "{line}");
    }
}

#[test]
fn consent_that_names_nothing_is_told() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.set("topics.activity.partitions", Some(Value::Integer(4)));
    let stack = simulation.declare().unwrap();
    let up = |terms: Terms| simulation.change_on(&stack, &terms, |_, _| {});
    let nearest = |result: Result<Ended, CliError>| match result {
        Err(CliError::UnknownName(error)) => (error.name, error.nearest),
        other => panic!("{other:?}"),
    };
    for (name, meant) in [
        ("topic/activty", "topic/activity"),
        ("group/kafak", "group/kafka"),
        ("node/broker-1", "node/broker-1"),
    ] {
        let (told, near) = nearest(up(Terms { allow_loss: vec![name.into()], ..Terms::default() }));
        assert_eq!(told, name);
        assert_eq!(near.as_deref(), Some(meant).filter(|meant| *meant != name), "{name}");
    }
    let typo = Terms { interrupt: vec!["activty".into()], ..Terms::default() };
    assert_eq!(nearest(up(typo)), ("activty".into(), Some("activity".into())));
    // One that nobody declared can be interrupted all the same.
    simulation.world.grow_topic("kafka", "orders", 1);
    up(Terms { interrupt: vec!["orders".into()], ..Terms::default() }).unwrap();
}

#[test]
fn a_bound_that_is_found_is_not_lowered_because_it_was_forgotten() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.set("kafka.disk-mib", Some(Value::Integer(100 * 1024)));
    simulation.up().unwrap();
    let bound = |simulation: &Simulation| topics(simulation)["activity"].configs["retention.bytes"].clone();
    let before = bound(&simulation);
    simulation.forget("topic/activity", false).unwrap();
    simulation.set("kafka.disk-mib", Some(Value::Integer(50 * 1024)));
    simulation.import("topic/activity").unwrap();
    simulation.up().unwrap();
    assert_eq!(bound(&simulation), before);
}

#[test]
fn settings_are_compared_in_the_form_in_which_kafka_tells_them() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    let configs = |simulation: &mut Simulation, values: [&str; 4]| {
        let names = ["cleanup.policy", "retention.ms", "unclean.leader.election.enable", "segment.ms"];
        for (name, value) in names.into_iter().zip(values) {
            let path = format!("topics.activity.configs.{name}");
            simulation.set(&path, Some(Value::String(value.into())));
        }
    };
    configs(&mut simulation, ["compact, delete", " 0604800000", "False ", "+604800000"]);
    simulation.up().unwrap();
    configs(&mut simulation, ["compact,delete", "604800000", "false", "604800000"]);
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn segments_of_any_size_are_reckoned_with() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.set("kafka.disk-mib", Some(Value::Integer(1024)));
    for topic in ["activity", "orders"] {
        simulation.set(&format!("topics.{topic}.partitions"), Some(Value::Integer(1)));
        simulation
            .set(&format!("topics.{topic}.configs.segment.bytes"), Some(Value::Integer(i32::MAX.into())));
    }
    assert_eq!(refusals(simulation.up()).len(), 2);
}

#[test]
fn a_topic_that_is_left_out_takes_its_room_all_the_same() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.set("kafka.disk-mib", Some(Value::Integer(10 * 1024)));
    let large = |simulation: &mut Simulation, topic: &str| {
        simulation.set(&format!("topics.{topic}.partitions"), Some(Value::Integer(1)));
        let path = format!("topics.{topic}.configs.retention.bytes");
        simulation.set(&path, Some(Value::Integer(5 << 30)));
    };
    large(&mut simulation, "orders");
    simulation.up().unwrap();
    simulation.set("topics.orders", None);
    large(&mut simulation, "purchases");
    let only = Terms { target: vec!["topic/purchases".into()], ..Terms::default() };
    let told = refusals(simulation.change_on(&simulation.declare().unwrap(), &only, |_, _| {}));
    assert!(told[0].contains("don't fit"), "{told:?}");
    // Where it goes, there is room.
    simulation.unprotect("topic/orders");
    simulation.up().unwrap();
}

#[test]
fn one_that_could_not_be_made_is_made_by_the_up_that_starts_its_cluster_again() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    simulation.set("topics.orders.partitions", Some(Value::Integer(1)));
    simulation.world.cut_at(1, Cut::KilledBefore);
    assert!(matches!(simulation.up().unwrap(), Ended::Killed));
    simulation.world.fail_never();
    simulation.stop().unwrap();
    simulation.up().unwrap();
    assert!(topics(&simulation).contains_key("orders"));
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn a_roll_of_what_was_recorded_then_puts_nothing_back() {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    // It waits for the lock, and another octad changes the stack meanwhile.
    let (roll, terms) = (simulation.recorded(), Terms::roll(&["broker-1".into()]));
    simulation.set("kafka.settings.num.io.threads", Some(Value::Integer(9)));
    simulation.up().unwrap();
    refusals(simulation.change_on(&roll, &terms, |_, _| {}));
    assert!(matches!(simulation.up().unwrap(), Ended::Nothing));
}

#[test]
fn a_bound_is_lower_however_java_reads_it() {
    for value in ["60000\u{1}", "\u{666}\u{660}\u{660}\u{660}\u{660}", "\u{0}60000 "] {
        for path in ["topics.activity.configs.retention.ms", "kafka.settings.log.retention.ms"] {
            let mut simulation = Simulation::of(THREE_AND_THREE);
            simulation.up().unwrap();
            simulation.set(path, Some(Value::String(value.into())));
            let told = refusals(simulation.up());
            assert!(told.iter().all(|one| one.contains("deleted sooner")), "{path}={value:?}: {told:?}");
        }
    }
}

/// What another hand, or somebody at the command line, does to three topics.
#[derive(Debug, Clone)]
enum Hostile {
    Declare(usize),
    Undeclare(usize),
    DeclareSetting(usize, usize, Option<u32>),
    DeclareOfBrokers(usize, Option<u32>),
    Make(usize),
    Remake(usize),
    Delete(usize),
    Alter(usize, usize, Option<u32>),
    Forget(usize),
    Import(usize),
    Unprotect(usize),
    Refresh,
    Stop,
    Up(Vec<Moment>, Option<(usize, Cut)>, Option<Raced>),
}

/// What another hand does while the question waits.
#[derive(Debug, Clone)]
enum Raced {
    Alter(usize, usize, u32),
    Make(usize),
    Remake(usize),
}

const NAMES: [&str; 3] = ["activity", "orders", "purchases"];

/// Settings of which the more is the safer, by their names for a topic and for a broker, with what holds where nobody
/// says more.
const KEEPS: [(&str, &str, u32); 3] = [
    ("retention.ms", "log.retention.ms", 604_800_000),
    ("retention.bytes", "log.retention.bytes", 1 << 30),
    ("min.insync.replicas", "min.insync.replicas", 2),
];

fn hostile() -> impl Strategy<Value = Hostile> {
    let (which, what) = (0..NAMES.len(), 0..KEEPS.len());
    // One less than what holds where nothing is said, just that, and one more.
    let value = || prop::option::of(0..3u32);
    let moment = prop_oneof![
        4 => Just(Moment::Truth),
        1 => Just(Moment::Nobody),
        1 => Just(Moment::Half { odd: false }),
        1 => Just(Moment::Half { odd: true }),
        1 => Just(Moment::Old),
        1 => Just(Moment::Late),
        1 => Just(Moment::HostsSilent),
    ];
    let cut = prop_oneof![
        Just(Cut::Refused),
        Just(Cut::AnswerLost),
        Just(Cut::KilledBefore),
        Just(Cut::KilledAfter)
    ];
    let raced = prop_oneof![
        (which.clone(), what.clone(), 0..3u32)
            .prop_map(|(which, what, value)| Raced::Alter(which, what, value)),
        which.clone().prop_map(Raced::Make),
        which.clone().prop_map(Raced::Remake),
    ];
    prop_oneof![
        2 => which.clone().prop_map(Hostile::Declare),
        2 => which.clone().prop_map(Hostile::Undeclare),
        3 => (which.clone(), what.clone(), value())
            .prop_map(|(which, what, value)| Hostile::DeclareSetting(which, what, value)),
        1 => (what.clone(), value()).prop_map(|(what, value)| Hostile::DeclareOfBrokers(what, value)),
        1 => which.clone().prop_map(Hostile::Make),
        2 => which.clone().prop_map(Hostile::Remake),
        1 => which.clone().prop_map(Hostile::Delete),
        2 => (which.clone(), what, value()).prop_map(|(which, what, value)| Hostile::Alter(which, what, value)),
        1 => which.clone().prop_map(Hostile::Forget),
        1 => which.clone().prop_map(Hostile::Import),
        1 => which.prop_map(Hostile::Unprotect),
        1 => Just(Hostile::Refresh),
        1 => Just(Hostile::Stop),
        8 => (
            prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(moment, 0..6)],
            prop::option::weighted(0.3, (1..4usize, cut)),
            prop::option::of(raced),
        )
            .prop_map(|(moments, cut, raced)| Hostile::Up(moments, cut, raced)),
    ]
}

/// The value that stands for one less than what holds where nothing is said, that, or one more.
fn value_of(what: usize, value: u32) -> u32 {
    KEEPS[what].2 + value - 1
}

/// The topics that there are, whoever can be asked: ids, names, and how much each keeps.
fn kept(world: &FakeWorld) -> BTreeMap<String, (String, [u64; KEEPS.len()])> {
    let world: serde_json::Value = serde_json::from_slice(&world.to_json()).unwrap();
    let brokers = world["nodes"].as_object().unwrap().values();
    let settings: Vec<_> = brokers
        .map(|node| &node["generation"]["facts"]["settings"])
        .filter(|settings| settings.get("broker.id").is_some())
        .collect();
    let number = |value: &serde_json::Value| value.as_str()?.parse::<u64>().ok();
    // What the least of the brokers does.
    let of_brokers = KEEPS.map(|(_, name, least)| {
        settings.iter().map(|all| number(&all[name]).unwrap_or(least.into())).min().unwrap()
    });
    let topics = world["clusters"]["kafka"]["topics"].as_object().into_iter().flatten();
    let of = |name: &String, topic: &serde_json::Value| {
        let keeps =
            std::array::from_fn(|what| number(&topic["configs"][KEEPS[what].0]).unwrap_or(of_brokers[what]));
        (topic["id"].as_str().unwrap().to_owned(), (name.clone(), keeps))
    };
    topics.map(|(name, topic)| of(name, topic)).collect()
}

fn exists(world: &FakeWorld, topic: &str) -> bool {
    kept(world).values().any(|(name, _)| name == topic)
}

/// What is done to topics from outside, where that can be.
fn befall(world: &FakeWorld, deed: &Hostile) {
    let there = |which: usize| exists(world, NAMES[which]);
    match deed {
        Hostile::Make(which) if !there(*which) => world.grow_topic("kafka", NAMES[*which], 1),
        Hostile::Remake(which) if there(*which) => world.remake_topic(NAMES[*which]),
        Hostile::Delete(which) if there(*which) => world.delete_topic(NAMES[*which]),
        Hostile::Alter(which, what, value) if there(*which) => {
            let value = value.map(|value| value_of(*what, value).to_string());
            world.alter_topic(NAMES[*which], KEEPS[*what].0, value.as_deref());
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_consent_no_topic_goes_and_none_keeps_less(deeds in prop::collection::vec(hostile(), 1..16)) {
        let mut simulation = Simulation::of(THREE_AND_THREE);
        simulation.world.set_lag(0);
        simulation.up().unwrap();
        // The ids of the topics whose removal somebody consented to.
        let mut consented = BTreeSet::new();
        for deed in deeds {
            let world = simulation.world.clone();
            match deed {
                Hostile::Declare(which) => {
                    let partitions = Value::Integer(if which == 0 { 3 } else { 1 });
                    simulation.set(&format!("topics.{}.partitions", NAMES[which]), Some(partitions));
                }
                Hostile::Undeclare(which) => simulation.set(&format!("topics.{}", NAMES[which]), None),
                Hostile::DeclareSetting(which, what, value) => {
                    let declared = simulation.file["topics"].as_table().is_some_and(|all| all.contains_key(NAMES[which]));
                    if declared {
                        let path = format!("topics.{}.configs.{}", NAMES[which], KEEPS[what].0);
                        let value = value.map(|value| Value::Integer(value_of(what, value).into()));
                        simulation.set(&path, value);
                    }
                }
                Hostile::DeclareOfBrokers(what, value) => {
                    let value = value.map(|value| Value::Integer(value_of(what, value).into()));
                    // The stack file has a line of its own for this one.
                    match KEEPS[what].1 {
                        "min.insync.replicas" => simulation.set("kafka.min-insync-replicas", value),
                        name => simulation.set(&format!("kafka.settings.{name}"), value),
                    }
                }
                Hostile::Make(_) | Hostile::Remake(_) | Hostile::Delete(_) | Hostile::Alter(..) => {
                    befall(&world, &deed);
                }
                Hostile::Forget(which) => {
                    let key = format!("topic/{}", NAMES[which]);
                    if simulation.state().resources.contains_key(&key.parse().unwrap()) {
                        // What is refused changes nothing.
                        let _ = simulation.forget(&key, false);
                    }
                }
                Hostile::Import(which) => {
                    let _ = simulation.import(&format!("topic/{}", NAMES[which]));
                }
                Hostile::Unprotect(which) => {
                    let key: Key = format!("topic/{}", NAMES[which]).parse().unwrap();
                    let known = simulation.state().resources.get(&key).cloned();
                    if let Some(id) = known.and_then(|known| Some(known.outputs.get("id")?.as_str()?.to_owned())) {
                        simulation.unprotect(&key.to_string());
                        consented.insert(id);
                    }
                }
                Hostile::Refresh => {
                    let state = simulation.state();
                    let inventory = simulation.observe(&simulation.declare().unwrap(), &state);
                    let records = engine::refresh(&simulation.registry, &state, &inventory).records(&state);
                    simulation.edit("refresh", String::new(), records);
                }
                Hostile::Stop => drop(simulation.stop()),
                Hostile::Up(moments, cut, raced) => {
                    // What is wrong with the file itself is told before anything is looked at.
                    let Ok(stack) = simulation.declare() else { continue };
                    if let Some((at, cut)) = cut {
                        world.cut_at(at, cut);
                    }
                    world.script(moments);
                    let mut before = kept(&world);
                    let ended = simulation.change_on(&stack, &Terms::default(), |_, _| {
                        match raced {
                            Some(Raced::Alter(which, what, value)) => {
                                befall(&world, &Hostile::Alter(which, what, Some(value)));
                            }
                            Some(Raced::Make(which)) => befall(&world, &Hostile::Make(which)),
                            Some(Raced::Remake(which)) => befall(&world, &Hostile::Remake(which)),
                            None => {}
                        }
                        before = kept(&world);
                    });
                    world.truth();
                    world.fail_never();
                    let after = kept(&world);
                    for (id, (name, bounds)) in before {
                        let Some((_, now)) = after.get(&id) else {
                            prop_assert!(consented.contains(&id), "{name} is gone, {ended:?}");
                            continue;
                        };
                        for (what, (bound, now)) in bounds.iter().zip(now).enumerate() {
                            prop_assert!(now >= bound, "{name}: {} {bound} → {now}, {ended:?}", KEEPS[what].0);
                        }
                    }
                }
            }
        }
    }
}
