//! What reads text that others wrote, each with what is done to it next: whatever the text, none of it panics, and what
//! was read is the same once written and read again. Fuzz targets (`fuzz/`) and `tests/parsers.rs` call these.

#![allow(unreachable_pub, reason = "shared by crates")]

use octad::engine::{self, Draft, Intent, Inventory, Plan, State};
use octad::host::FakeWorld;
use octad::model::{Layout, NodeFacts};
use octad::output::preview_text;
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::stack::ValidStack;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// A stack, and what is needed to plan it.
struct Setting {
    registry: Registry,
    stack: ValidStack,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let world = FakeWorld::new();
    let registry = Registry::empty(Arc::new(world.clone())).standard_roles().backend(world.backend());
    let stack = declared("program = \"minimal\"\nhosts.backend = \"fake\"", &registry).unwrap();
    Setting { registry, stack }
});

fn declared(text: &str, registry: &Registry) -> Option<ValidStack> {
    let file = StackFile::of_text("fuzzed".parse().ok()?, text);
    file.declare(&Programs::standard(), registry).ok()
}

/// Reads JSON; what was read is still the same when it has been written.
fn json<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(text).ok()?;
    let again = serde_json::from_slice(&serde_json::to_vec(&read).unwrap()).unwrap();
    assert_eq!(read, again);
    Some(read)
}

/// A stack file. Returns whether it was taken, as all of these do.
pub fn stack_file(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    declared(text, &SETTING.registry).is_some()
}

/// A snapshot of the state, with which a stack is then planned.
pub fn state(text: &[u8]) -> bool {
    let Ok(state) = State::parse(text, "fuzzed", Path::new("state.json")) else { return false };
    assert_eq!(json::<State>(text).as_ref(), Some(&state));
    planned(&state);
    true
}

/// A journal, and the state that it leads to.
pub fn journal(text: &[u8]) -> bool {
    let mut state = State::new("fuzzed");
    if state.replay(text, Path::new("journal.ndjson")).is_err() {
        return false;
    }
    json::<State>(&serde_json::to_vec(&state).unwrap()).unwrap();
    planned(&state);
    true
}

fn planned(state: &State) {
    let Setting { registry, stack } = &*SETTING;
    let _ = octad::output::resolved_outputs(state);
    let plan = engine::plan(registry, stack, &Intent::default(), state, &Inventory::default());
    if let Ok(plan) = engine::check(plan, registry, stack, &Intent::default(), &Inventory::default()) {
        let _ = preview_text(&plan, &[]);
    }
}

/// A saved plan, which is then checked.
pub fn plan(text: &[u8]) -> bool {
    let Setting { registry, stack } = &*SETTING;
    let Some(plan) = json::<Plan<Draft>>(text) else { return false };
    if let Ok(plan) = engine::check(plan, registry, stack, &Intent::default(), &Inventory::default()) {
        let _ = preview_text(&plan, &[]);
    }
    true
}

/// A node's facts, whose files are then rendered.
pub fn facts(text: &[u8]) -> bool {
    let Some(facts) = json::<NodeFacts>(text) else { return false };
    let _ = facts.endpoint("client");
    let Some(role) = SETTING.registry.role_named(&facts.role) else { return true };
    let layout =
        Layout { config: "/c".into(), data: "/d".into(), runtime: "/r".into(), software: "/s".into() };
    let _ = role.data_files(&facts, true);
    role.deployment(facts).files.values().for_each(|file| drop(layout.file(file)));
    true
}

/// What reads a text, and returns whether it took it.
pub type Reader = fn(&[u8]) -> bool;

/// A good example of each, from which mutations begin: the target's name, what reads it, and the text.
pub fn seeds() -> Vec<(&'static str, Reader, Vec<u8>)> {
    use engine::{Outcome, Record};
    let Setting { registry, stack } = &*SETTING;
    let plan =
        engine::plan(registry, stack, &Intent::default(), &State::new("fuzzed"), &Inventory::default());
    let mut made = State::new("fuzzed");
    let mut lines = Vec::new();
    let mut note = |record: Record| {
        let mut line = serde_json::to_value(&record).unwrap();
        line["serial"] = (made.serial + 1).into();
        lines.extend(line.to_string().into_bytes());
        lines.push(b'\n');
        made.fold(made.serial + 1, record);
    };
    note(Record::Stack { groups: stack.groups.clone(), outputs: stack.outputs.clone() });
    for (key, declared) in &stack.resources {
        let (key, inputs, needs) = (key.clone(), declared.inputs.clone(), [].into());
        note(Record::Begin {
            key: key.clone(),
            moved_from: None,
            inputs: inputs.clone(),
            needs,
            renews: false,
        });
        let outputs = serde_json::json!({ "address": "10.0.0.1" });
        note(Record::End { key, outcome: Outcome::Applied { inputs, outputs, needs: [].into() } });
    }
    let facts = stack.resources.iter().find(|(key, _)| key.kind == "node").unwrap().1.inputs.clone();
    vec![
        ("stack_file", stack_file, include_str!("../../stacks/ha.toml").replace("local", "fake").into()),
        ("state", state, serde_json::to_vec(&made).unwrap()),
        ("journal", journal, lines),
        ("plan", self::plan, serde_json::to_vec(&plan).unwrap()),
        ("facts", self::facts, serde_json::to_vec(&facts).unwrap()),
    ]
}
