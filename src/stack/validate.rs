//! The checks on a whole declaration. What passes is a [`ValidStack`]; there is no other way to make one.

use super::{Declaration, Declared, Fault, Faults, Move, Name, Needs};
use crate::model::{Key, NodeFacts, Refusal, references};
use crate::registry::Registry;
use crate::resource::Malformed;
use crate::role::Group;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A declaration that was checked: every reference and every need names something declared, nothing goes in circles,
/// every kind knows its inputs, and no two nodes claim the same address and port.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidStack {
    name: Name,
    declaration: Declaration,
    removal: bool,
    /// Serial of the state that it was read from, where it declares what is recorded.
    serial: Option<u64>,
    warnings: Vec<Fault>,
    /// What it declares in place of what is recorded.
    instead: BTreeMap<Key, Value>,
}

impl ValidStack {
    /// The stack's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// A stack that declares nothing: applying it removes everything, what is protected too.
    pub fn empty(name: Name) -> Self {
        Self { removal: true, ..Self::of(name, Declaration::default()) }
    }

    /// A stack that declares what a state of this serial holds. It was valid when it was made.
    pub(crate) fn recorded(name: Name, serial: u64, declaration: Declaration) -> Self {
        Self { serial: Some(serial), ..Self::of(name, declaration) }
    }

    /// Serial of the state that it was read from, where it declares what is recorded. With a later one it declares what
    /// others have changed since.
    pub fn recorded_at(&self) -> Option<u64> {
        self.serial
    }

    fn of(name: Name, declaration: Declaration) -> Self {
        Self {
            name,
            declaration,
            removal: false,
            serial: None,
            warnings: Vec::new(),
            instead: BTreeMap::new(),
        }
    }

    /// What may be wrong with it and stops nothing.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// The same stack, with these settings in all nodes of a role. What a component would refuse passes: the drills
    /// compare with timeouts as shipped.
    #[must_use]
    pub fn with_settings(mut self, role: &str, settings: &[(&str, i64)]) -> Self {
        for (_, node) in self.declaration.resources.iter_mut().filter(|(key, _)| key.kind == NodeFacts::KIND)
        {
            if node.inputs["role"] == role {
                settings
                    .iter()
                    .for_each(|(name, value)| node.inputs["settings"][name] = value.to_string().into());
            }
        }
        self
    }

    /// The same stack, with these inputs in place of those that are recorded of the same resources. Others it doesn't get.
    #[must_use]
    pub fn with_instead(mut self, instead: &BTreeMap<Key, Value>) -> Self {
        for (key, inputs) in instead {
            if let Some(declared) = self.declaration.resources.get_mut(key) {
                declared.inputs.clone_from(inputs);
            }
        }
        self.instead.clone_from(instead);
        self
    }

    /// What it declares in place of what is recorded.
    pub fn instead(&self) -> &BTreeMap<Key, Value> {
        &self.instead
    }

    /// Whether this is [`ValidStack::empty`], not a declaration that happens to hold nothing.
    pub fn is_removal(&self) -> bool {
        self.removal
    }
}

impl std::ops::Deref for ValidStack {
    type Target = Declaration;
    fn deref(&self) -> &Declaration {
        &self.declaration
    }
}

pub(super) fn validate(
    name: Name,
    declaration: Declaration,
    mut faults: Vec<Fault>,
    warnings: Vec<Fault>,
    registry: &Registry,
) -> Result<ValidStack, Faults> {
    forms(&declaration, registry, &mut faults);
    needs(&declaration, &mut faults);
    circles(&declaration, &mut faults);
    claims(&declaration, registry, &mut faults);
    moves(&declaration, registry, &mut faults);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    Ok(ValidStack { warnings, ..ValidStack::of(name, declaration) })
}

fn forms(declaration: &Declaration, registry: &Registry, faults: &mut Vec<Fault>) {
    for (key, Declared { inputs, .. }) in &declaration.resources {
        let fault = match registry.kind(&key.kind).map(|kind| kind.validate(inputs)) {
            None => Fault::new("", format!("{key} is of a kind that is not known"), ""),
            Some(Ok(())) => continue,
            Some(Err(Malformed { path: Some(path), message, hint })) => Fault::new(path, message, hint),
            Some(Err(Malformed { path: None, message, hint })) => {
                Fault::new("", format!("{key}: {message}"), hint)
            }
        };
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
}

fn needs(declaration: &Declaration, faults: &mut Vec<Fault>) {
    for (key, declared) in &declaration.resources {
        let referred = references(&declared.inputs).into_iter().map(|reference| reference.resource);
        let named = declared.needs.iter().filter_map(|needs| match needs {
            Needs::Resource(key) => Some(key.clone()),
            Needs::Group(_) => None,
        });
        for missing in referred.chain(named).filter(|key| !declaration.resources.contains_key(key)) {
            faults.push(Fault::new("", format!("{key} needs {missing}, which is not declared"), ""));
        }
        for needs in &declared.needs {
            if let Needs::Group(group) = needs
                && !declaration.groups.contains_key(group)
            {
                faults.push(Fault::new(
                    "",
                    format!("{key} needs the group {group}, which has no members"),
                    "",
                ));
            }
        }
    }
}

/// Every resource that must be in place before this one, groups taken as all their members.
pub(crate) fn direct_needs(declaration: &Declaration, key: &Key) -> BTreeSet<Key> {
    needs_of_groups(declaration, key, |_| true)
}

/// The same, of groups only those for which `whole` holds.
pub(crate) fn needs_of_groups(
    declaration: &Declaration,
    key: &Key,
    whole: impl Fn(&Group) -> bool,
) -> BTreeSet<Key> {
    let Some(declared) = declaration.resources.get(key) else { return BTreeSet::new() };
    let mut all: BTreeSet<Key> = references(&declared.inputs).into_iter().map(|r| r.resource).collect();
    for needs in &declared.needs {
        match needs {
            Needs::Resource(key) => {
                all.insert(key.clone());
            }
            Needs::Group(group) => {
                let group = declaration.groups.get(group).filter(|group| whole(group));
                all.extend(group.into_iter().flat_map(|group| group.members.clone()));
            }
        }
    }
    all
}

fn circles(declaration: &Declaration, faults: &mut Vec<Fault>) {
    // Kahn's algorithm: what can't be taken away waits for itself.
    let mut waiting: BTreeMap<&Key, BTreeSet<Key>> =
        declaration.resources.keys().map(|key| (key, direct_needs(declaration, key))).collect();
    loop {
        let ready: Vec<&Key> = waiting
            .iter()
            .filter(|(_, needs)| needs.iter().all(|needed| !waiting.contains_key(needed)))
            .map(|(key, _)| *key)
            .collect();
        if ready.is_empty() {
            break;
        }
        for key in ready {
            waiting.remove(key);
        }
    }
    if !waiting.is_empty() {
        let names: Vec<_> = waiting.keys().map(ToString::to_string).collect();
        faults.push(Fault::new("", format!("{} need each other in a circle", names.join(", ")), ""));
    }
}

fn claims(declaration: &Declaration, registry: &Registry, faults: &mut Vec<Fault>) {
    let mut taken: BTreeMap<String, &Key> = BTreeMap::new();
    for (key, Declared { inputs, .. }) in &declaration.resources {
        for claim in registry.kind(&key.kind).map(|kind| kind.claims(inputs)).unwrap_or_default() {
            if let Some(other) = taken.get(&claim) {
                let message = format!("{other} and {key} both claim {claim}");
                faults.push(Fault::new("", message, "give one of them another"));
            }
            taken.insert(claim, key);
        }
    }
}

fn moves(declaration: &Declaration, registry: &Registry, faults: &mut Vec<Fault>) {
    let mut told: BTreeSet<&Key> = BTreeSet::new();
    for Move { from, to, path } in &declaration.moves {
        let mut fault = |side: &str, message: String, hint: &str| {
            let path = if path.is_empty() { String::new() } else { format!("{path}.{side}") };
            faults.push(Fault::new(path, message, hint));
        };
        let Some(kind) = registry.kind(&from.kind) else {
            fault("from", format!("{from} is of a kind that is not known"), "");
            continue;
        };
        if let Err(Refusal { reason, hint, .. }) = kind.allows_rename(from) {
            fault("from", format!("{from} can't become {to}: {reason}"), &hint);
            continue;
        }
        if from.kind != to.kind {
            let hint = format!("write {}/…", from.kind);
            fault("to", format!("{from} can't become {to}, which is of another kind"), &hint);
            continue;
        }
        if declaration.resources.contains_key(from) {
            let hint = "declare it by its new name only, or drop this `moved`";
            fault("from", format!("{from} is still declared, and is to become {to}"), hint);
        }
        if !declaration.resources.contains_key(to) {
            let hint = "write the name that it is declared by now, or drop this `moved`";
            fault("to", format!("{to} is not declared, and {from} is to become it"), hint);
        }
        for (side, key) in [("from", from), ("to", to)] {
            if !told.insert(key) {
                fault(side, format!("{key} is moved twice"), "say it once, from its first name to its last");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostFacts, HostInputs, NodeFacts, Output, Software, Source};
    use crate::stack::Stack;

    fn host(address: Option<&str>) -> HostInputs {
        HostInputs {
            backend: "local".into(),
            address: address.map(|a| a.parse().unwrap()),
            ..HostInputs::default()
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn two_hosts_with_one_address_are_a_fault() {
        let mut stack = Stack::new(name("s"));
        stack.host(&name("a"), &host(Some("127.0.0.9")));
        stack.host(&name("b"), &host(Some("127.0.0.9")));
        let faults = stack.validate(&Registry::standard()).unwrap_err();
        insta::assert_snapshot!(faults, @"host/a and host/b both claim the address 127.0.0.9 (give one of them another)");
    }

    #[test]
    fn two_members_of_one_group_on_one_host_are_a_fault() {
        let mut stack = Stack::new(name("s"));
        let address: Output<String> = stack.host(&name("h"), &host(Some("127.0.0.9")));
        for (id, node) in [(1, "a"), (2, "b")] {
            let host = HostFacts { name: "h".into(), address: address.clone(), zone: None, machine: None };
            let source = Source::Installed { below: None };
            let software = Software { name: "x".into(), version: "1".into(), source };
            let facts = NodeFacts::new("s", node, "zookeeper", host, software);
            stack.node(&NodeFacts { id, ..facts }, []);
        }
        let faults = stack.validate(&Registry::standard()).unwrap_err();
        insta::assert_snapshot!(faults, @"node/a and node/b both claim the place of the group zookeeper on host h (give one of them another)");
    }

    #[test]
    fn a_resource_declared_twice_is_a_fault() {
        let mut stack = Stack::new(name("s"));
        stack.host(&name("a"), &host(None));
        stack.host(&name("a"), &host(None));
        let faults = stack.validate(&Registry::standard()).unwrap_err();
        insta::assert_snapshot!(faults, @"host/a is declared twice (give one of them another name)");
    }
}
