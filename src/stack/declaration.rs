//! What a program builds: resources, groups and outputs. Pure; nothing is checked across resources here.

use super::{Fault, Name, TopicName, ValidStack};
use crate::model::{HostInputs, Key, NodeFacts, Output, Reference};
use crate::registry::Registry;
use crate::resource::{Disks, TopicInputs, TopicKind};
use crate::role::Group;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What must be in place before a resource is made or changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Another resource.
    Resource(Key),
    /// A group, healthy as a whole.
    Group(String),
}

/// A declared resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Inputs; may hold references to outputs of other resources.
    pub inputs: Value,
    /// What it needs, beyond the resources that its inputs refer to.
    pub needs: BTreeSet<Needs>,
}

/// A resource that was declared by another name before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Its name until now.
    pub from: Key,
    /// Its name from now on.
    pub to: Key,
    /// Where the stack file says so, as a dotted path; empty where the program itself does.
    pub(super) path: String,
}

/// A declaration as a program leaves it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declaration {
    /// The resources.
    pub resources: BTreeMap<Key, Declared>,
    /// The groups that the nodes form.
    pub groups: BTreeMap<String, Group>,
    /// Values to show after `up`, in JSON with references.
    pub outputs: BTreeMap<String, Value>,
    /// The resources that were declared by another name before.
    pub moves: Vec<Move>,
    /// What the brokers of each cluster have their topics on, by group.
    pub disks: BTreeMap<String, Disks>,
}

/// The stack that a program declares resources in.
///
/// ```
/// use octad::registry::Registry;
/// use octad::model::HostInputs;
/// use octad::stack::{Fault, Stack};
///
/// let mut stack = Stack::new("shop".parse()?);
/// let inputs = HostInputs { backend: "local".into(), address: Some("127.80.1.1".parse()?), ..Default::default() };
/// let address = stack.host(&"web-1".parse()?, &inputs);
/// stack.output("address", &address);
/// assert_eq!(address.known().map(String::as_str), Ok("127.80.1.1"));
///
/// // Faults are told together once all is declared; a stack with any is none.
/// stack.fault(Fault::new("servers", "2 servers can't be", "write 3"));
/// let faults = stack.validate(&Registry::standard()).unwrap_err();
/// assert_eq!(faults.to_string(), "servers: 2 servers can't be (write 3)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stack {
    name: Name,
    declaration: Declaration,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Stack {
    /// An empty stack.
    pub fn new(name: Name) -> Self {
        Self { name, declaration: Declaration::default(), faults: Vec::new(), warnings: Vec::new() }
    }

    /// The stack's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Declares a host and returns its address: known where the inputs give it, else known after up.
    pub fn host(&mut self, name: &Name, inputs: &HostInputs) -> Output<String> {
        let key = Key::new(HostInputs::KIND, name.as_ref());
        let address = match inputs.address {
            Some(address) => Output::Known(address.to_string()),
            None => Output::Reference(Reference { resource: key.clone(), field: "address".into() }),
        };
        self.declare(key, json!(inputs), BTreeSet::new());
        address
    }

    /// The names of the hosts that are declared by now.
    pub fn host_names(&self) -> BTreeSet<String> {
        let keys = self.declaration.resources.keys().filter(|key| key.kind == HostInputs::KIND);
        keys.map(|key| key.name.clone()).collect()
    }

    /// Declares a node as a member of the group that its facts name. It is made once its host and the groups in
    /// `after` are in place.
    pub fn node(&mut self, facts: &NodeFacts, after: impl IntoIterator<Item = String>) {
        let key = facts.key();
        let host = Needs::Resource(facts.host.key());
        let needs = after.into_iter().map(Needs::Group).chain([host]).collect();
        let group = self
            .declaration
            .groups
            .entry(facts.group.clone())
            .or_insert_with(|| Group { role: facts.role.clone(), members: BTreeSet::new() });
        group.members.insert(key.clone());
        self.declare(key, json!(facts), needs);
    }

    /// The facts of a member that was declared in this group. All of them have the same settings, but for who they are.
    pub fn member(&self, group: &str) -> Option<NodeFacts> {
        let member = self.declaration.groups.get(group)?.members.first()?;
        NodeFacts::of(&self.declaration.resources.get(member)?.inputs).ok()
    }

    /// Declares a topic. It is made once its cluster is healthy.
    pub fn topic(&mut self, name: &TopicName, inputs: &TopicInputs) {
        let key = Key::new(TopicKind::NAME, name.as_ref());
        self.declare(key, json!(inputs), [Needs::Group(inputs.cluster.clone())].into());
    }

    /// Declares what the brokers of a cluster have their topics on, so that these are bounded by it.
    pub fn disks(&mut self, cluster: &str, disks: Disks) {
        self.declaration.disks.insert(cluster.to_owned(), disks);
    }

    /// Declares a value to show after `up`.
    pub fn output(&mut self, name: &str, value: &Output<String>) {
        self.declaration.outputs.insert(name.to_owned(), json!(value));
    }

    /// Tells that what is declared as `to` was declared as `from` before: it goes on under its new name with all that it
    /// holds, where it would else be removed and another be made. Once it has its new name, this says nothing any more
    /// and may stay. A stack file says the same with `[[moved]]`.
    ///
    /// ```
    /// use octad::registry::Registry;
    /// use octad::stack::Stack;
    ///
    /// let mut stack = Stack::new("shop".parse()?);
    /// stack.moved("topic/orders".parse()?, "topic/purchases".parse()?);
    /// let faults = stack.validate(&Registry::standard()).unwrap_err();
    /// assert!(faults.to_string().contains("Kafka can't rename a topic"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn moved(&mut self, from: Key, to: Key) {
        self.moved_at(String::new(), from, to);
    }

    /// The same, said at `path` of the stack file.
    pub(crate) fn moved_at(&mut self, path: String, from: Key, to: Key) {
        self.declaration.moves.push(Move { from, to, path });
    }

    /// Tells of something that is wrong. The program goes on, so that all faults are told at once.
    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Tells of something that may be wrong and stops nothing ([`ValidStack::warnings`]).
    pub fn warn(&mut self, warning: Fault) {
        self.warnings.push(warning);
    }

    /// Checks what was declared.
    ///
    /// # Errors
    /// Every fault, those that the program found first.
    pub fn validate(self, registry: &Registry) -> Result<ValidStack, super::Faults> {
        super::validate::validate(self.name, self.declaration, self.faults, self.warnings, registry)
    }

    fn declare(&mut self, key: Key, inputs: Value, needs: BTreeSet<Needs>) {
        if self.declaration.resources.contains_key(&key) {
            self.fault(Fault::new("", format!("{key} is declared twice"), "give one of them another name"));
            return;
        }
        self.declaration.resources.insert(key, Declared { inputs, needs });
    }
}
