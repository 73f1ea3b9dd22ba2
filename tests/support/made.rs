//! A stack that counts as made, of which nothing exists.

use octad::engine::{Outcome, Record, Store};
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Records the stack that a stack file declares as made, with its state in `site`.
pub(super) fn made(site: &Path, name: &str, file: &str) {
    let stack = StackFile::of_text(name.parse().unwrap(), file);
    let stack = stack.declare(&Programs::standard(), &Registry::standard()).unwrap();
    fs::create_dir_all(site).unwrap();
    let mut store = Store::open(site, name).unwrap();
    let groups = stack.groups.clone();
    store.append(Record::Stack { groups, outputs: stack.outputs.clone() }).unwrap();
    for (key, declared) in &stack.resources {
        let (inputs, outputs, needs) = (declared.inputs.clone(), Value::Null, BTreeSet::new());
        let outcome = Outcome::Applied { inputs, outputs, needs };
        store.append(Record::End { key: key.clone(), outcome }).unwrap();
    }
}
