//! What is there and not known is taken over as it is, and nothing else: an empty checkout, and one that another has overtaken.

#[path = "support/simulation.rs"]
mod simulation;

use octad::engine::{self, Action, Intent, Plan, Record, State, Store};
use octad::host::FakeWorld;
use simulation::{Simulation, site};
use std::path::Path;

const FILE: &str = r#"
program = "ha"
hosts.backend = "fake"
hosts.subnet = "10.7.0.0/24"
hosts.options.image = "a"
kafka.brokers = 3
topics.activity.partitions = 3
"#;

/// What is found and planned over it, as verbs do that.
struct Found {
    adopted: Vec<String>,
    state: State,
    plan: Plan,
    records: Vec<Record>,
}

fn look(at: &Simulation) -> Found {
    let stack = at.declare().unwrap();
    let (mut state, mut records) = (at.state(), Vec::new());
    let anew = engine::unknown_groups(&stack, &state);
    let inventory = loop {
        let inventory = at.observe(&stack, &state);
        let found = engine::adopt(&at.registry, &stack, &state, &inventory, &anew);
        if found.is_empty() {
            break inventory;
        }
        found.iter().for_each(|record| state.fold(state.serial + 1, record.clone()));
        records.extend(found);
        assert!(records.len() < 100, "it finds no end: {records:#?}");
    };
    let plan = engine::plan(&at.registry, &stack, &Intent::default(), &state, &inventory);
    let key = |record: &Record| match record {
        Record::End { key, .. } => Some(key.to_string()),
        _ => None,
    };
    Found { adopted: records.iter().filter_map(key).collect(), state, plan, records }
}

/// Takes it over, as `up` does once nothing is refused.
fn take(at: &Simulation) {
    let mut store = Store::open(at.site(), "sim").unwrap();
    look(at).records.into_iter().for_each(|record| store.append(record).unwrap());
    store.fold().unwrap();
}

/// Two checkouts of one stack; the second knows nothing where it is to be `empty`.
fn two(file: &str, empty: bool) -> (Simulation, Simulation, [tempfile::TempDir; 2]) {
    let sites = [site(), site()];
    let world = FakeWorld::new();
    let first = Simulation::at(sites[0].path(), file, world.clone());
    first.up().unwrap();
    world.settle();
    if !empty {
        copy(sites[0].path(), sites[1].path());
    }
    let second = Simulation::at(sites[1].path(), file, world);
    (first, second, sites)
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn reasons(plan: &Plan) -> Vec<String> {
    plan.refusals.iter().map(|refusal| format!("{}: {}", refusal.key, refusal.reason)).collect()
}

#[test]
fn an_empty_checkout_knows_what_runs_and_has_nothing_to_do() {
    let (first, second, _sites) = two(FILE, true);
    let found = look(&second);
    // Six hosts, six nodes and a topic.
    assert_eq!(found.adopted.len(), 13, "{:?}", found.adopted);
    assert!(found.plan.steps.is_empty() && found.plan.refusals.is_empty(), "{:#?}", found.plan);
    assert_eq!(found.state.groups, first.state().groups);
    assert_eq!(first.state().resources.len(), 13);
    take(&second);
    second.up().unwrap();
    assert!(first.world.breaches().is_empty());
}

#[test]
fn what_another_checkout_has_changed_is_known_and_not_done_again() {
    let (mut first, mut second, _sites) = two(FILE, false);
    for checkout in [&mut first, &mut second] {
        checkout.set("kafka.settings.log.cleaner.threads", Some(2.into()));
    }
    second.up().unwrap();
    second.world.settle();
    let found = look(&first);
    assert_eq!(found.adopted, ["node/broker-1", "node/broker-2", "node/broker-3"]);
    assert!(found.plan.steps.is_empty(), "{:#?}", found.plan.steps);
}

#[test]
fn a_member_that_another_checkout_has_added_is_one_of_its_group() {
    let (mut first, mut second, _sites) = two(FILE, false);
    for checkout in [&mut first, &mut second] {
        checkout.set("kafka.brokers", Some(4.into()));
    }
    second.up().unwrap();
    second.world.settle();
    let found = look(&first);
    assert_eq!(found.adopted, ["host/broker-4", "node/broker-4"]);
    assert_eq!(found.state.groups, second.state().groups);
    assert!(found.plan.steps.is_empty(), "{:#?}", found.plan.steps);
}

#[test]
fn a_host_that_is_known_is_not_what_it_is_declared_to_be() {
    let mut known = Simulation::of(FILE);
    known.up().unwrap();
    known.world.settle();
    known.set("hosts.subnet", Some("10.8.0.0/24".into()));
    let found = look(&known);
    assert!(found.adopted.is_empty(), "{:?}", found.adopted);
    let reasons = reasons(&found.plan);
    assert!(reasons.iter().any(|reason| reason.contains("address can't change")), "{reasons:?}");
}

#[test]
fn hosts_are_renewed_as_before() {
    let mut known = Simulation::of(FILE);
    known.world.give_ids();
    known.up().unwrap();
    known.world.settle();
    known.set("hosts.options", Some(toml::toml! { image = "b" }.into()));
    let found = look(&known);
    assert!(found.adopted.is_empty(), "{:?}", found.adopted);
    let renews = found.plan.steps.iter().filter(|step| step.action.verb() == "renew").count();
    assert_eq!(renews, 6, "{:?}", found.plan.steps);
}

#[test]
fn a_rename_by_another_checkout_is_found() {
    let (mut first, mut second, _sites) = two(&FILE.replace("\"ha\"", "\"named\""), false);
    for checkout in [&mut first, &mut second] {
        checkout.set("names.broker-2", Some("broker-b".into()));
        let moved = toml::toml! { from = "node/broker-2" to = "node/broker-b" };
        checkout.set("moved", Some(toml::Value::Array(vec![moved.into()])));
    }
    second.up().unwrap();
    second.world.settle();
    take(&first);
    first.up().unwrap();
    let state = first.state();
    let names: Vec<&str> = state.resources.keys().map(|key| key.name.as_str()).collect();
    assert!(names.contains(&"broker-b"), "{names:?}");
    assert_eq!(state.resources.len(), second.state().resources.len());
}

#[test]
fn an_ensemble_of_which_the_data_is_away_is_not_begun_anew() {
    let (_first, second, _sites) = two(FILE, true);
    for node in ["zk-1", "zk-2", "zk-3"] {
        second.world.lose_data(node);
    }
    let found = look(&second);
    let made = found.plan.steps.iter().filter(|step| matches!(&step.action, Action::Create { key, .. } if key.name.starts_with("zk") && key.kind == "node"));
    assert_eq!(made.count(), 0, "{:?}", found.plan.steps);
    assert!(
        reasons(&found.plan).iter().any(|reason| reason.contains("no data of it")),
        "{:?}",
        reasons(&found.plan)
    );
}
