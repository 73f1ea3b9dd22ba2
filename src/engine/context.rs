//! What kinds need to act: the hosts and groups of the stack, how to reach services, where events go.

use super::{Event, Events, Intent, State, moves};
use crate::host::{Backend, Host, Identity, Progress, SystemChange};
use crate::model::{HostInputs, Key, Member, references, resolve};
use crate::registry::Registry;
use crate::resource::{ID, Instance, KindError, Surroundings};
use crate::role::{Group, Role};
use crate::stack::ValidStack;
use crate::wire::Wire;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// The surroundings of one run.
pub struct Context {
    site: PathBuf,
    registry: Registry,
    events: Events,
    roster: RwLock<Roster>,
    losses: BTreeSet<Key>,
    formats: BTreeSet<Key>,
    lockouts: BTreeSet<Key>,
    reboot: bool,
    systems: RwLock<BTreeMap<Key, SystemChange>>,
}

/// Who is there, as far as declared, recorded and made in this run.
#[derive(Debug, Default)]
struct Roster {
    inputs: BTreeMap<Key, Value>,
    outputs: BTreeMap<Key, Value>,
    made: BTreeSet<Key>,
    /// Inputs that operations without a recorded end were to bring resources to.
    attempted: BTreeMap<Key, Vec<Value>>,
    /// The idempotency tokens of operations without a recorded end.
    tokens: BTreeMap<Key, String>,
    /// Instances that were replaced and still exist, oldest first.
    outgoing: BTreeMap<Key, Vec<Instance>>,
    groups: BTreeMap<String, Group>,
    /// The groups that are declared, and have a member then.
    declared: BTreeSet<String>,
    /// The members that exist, by group. Read once: gates ask for all of them again and again.
    members: BTreeMap<String, BTreeMap<Key, Arc<Member>>>,
}

impl Context {
    /// The surroundings of a run on the stack at `site`. What is recorded is what is there until it is changed; only
    /// what was never made is as declared, and what only is reached in another way
    /// ([`Kind::is_same`](crate::resource::Kind::is_same)).
    pub fn new(site: &Path, registry: Registry, events: Events, stack: &ValidStack, state: &State) -> Self {
        let state = moves::followed(stack, state);
        let declared = stack.groups.iter().filter(|(_, group)| !group.members.is_empty());
        let mut roster = Roster {
            groups: state.groups.clone(),
            declared: declared.map(|(name, _)| name.clone()).collect(),
            ..Roster::default()
        };
        for (key, recorded) in &state.resources {
            roster.inputs.insert(key.clone(), recorded.inputs.clone());
            roster.outputs.insert(key.clone(), recorded.outputs.clone());
            roster.made.insert(key.clone());
            roster.tokens.extend(state.token(key).map(|token| (key.clone(), token)));
            roster.outgoing.insert(key.clone(), recorded.outgoing.clone());
            if !recorded.attempted.is_empty() {
                roster.attempted.insert(key.clone(), recorded.attempted.clone());
            }
        }
        for (key, declared) in &stack.resources {
            let known = roster.inputs.entry(key.clone()).or_insert_with(|| declared.inputs.clone());
            if registry.kind(&key.kind).is_some_and(|kind| kind.is_same(known, &declared.inputs)) {
                known.clone_from(&declared.inputs);
            }
        }
        // Members that are recorded and no longer declared are still part of the group until they are removed.
        for (name, group) in &stack.groups {
            let merged = roster.groups.entry(name.clone()).or_insert_with(|| group.clone());
            merged.members.extend(group.members.iter().cloned());
        }
        for key in state.resources.keys() {
            roster.read_facts(key);
        }
        Self {
            site: site.to_owned(),
            registry,
            events,
            roster: RwLock::new(roster),
            losses: BTreeSet::new(),
            formats: BTreeSet::new(),
            lockouts: BTreeSet::new(),
            reboot: false,
            systems: RwLock::default(),
        }
    }

    /// The same, with what an intent consents to by name.
    #[must_use]
    pub fn allowing(self, intent: &Intent) -> Self {
        let (losses, formats) = (intent.losses.clone(), intent.formats.clone());
        let (lockouts, reboot) = (intent.lockouts.clone(), intent.reboot);
        Self { losses, formats, lockouts, reboot, ..self }
    }

    /// Takes note of how systems of hosts differ from those that they are to run.
    pub fn compared(&self, systems: &BTreeMap<Key, SystemChange>) {
        self.systems.write().expect("no holder of the systems panics").clone_from(systems);
    }

    /// The kinds, roles and backends.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where events go.
    pub fn events(&self) -> &Events {
        &self.events
    }

    fn backend_for(&self, key: &Key, name: &str) -> Result<Arc<dyn Backend>, KindError> {
        self.registry.backend_named(name).cloned().ok_or_else(|| KindError::UnknownBackend {
            key: key.clone(),
            backend: name.to_owned(),
            known: self.registry.backend_names().join(", "),
        })
    }

    /// The members that exist.
    pub fn made_instances(&self, group: &str) -> BTreeMap<Key, Instance> {
        self.roster(|roster| {
            let members = roster.groups.get(group).map(|group| &group.members).into_iter().flatten();
            let made = members.filter(|key| roster.made.contains(*key));
            made.map(|key| (key.clone(), roster.instance(key))).collect()
        })
    }

    /// A resource as it is to be found: as last applied, or as declared where it was never made.
    pub fn instance(&self, key: &Key) -> Instance {
        self.roster(|roster| roster.instance(key))
    }

    /// The names of all groups.
    pub fn groups(&self) -> Vec<String> {
        self.roster(|roster| roster.groups.keys().cloned().collect())
    }

    /// Fills in what is known of the references within `inputs`.
    pub fn resolve(&self, inputs: &Value) -> Value {
        self.roster(|roster| roster.resolve(inputs))
    }

    /// Takes note that a resource is about to be replaced: the outputs of the instance before, such as its address, are no
    /// longer the resource's.
    pub fn renewed(&self, key: &Key, inputs: &Value) {
        self.change(|roster| {
            let outputs = roster.outputs.remove(key).unwrap_or_default();
            let inputs = roster.inputs.insert(key.clone(), inputs.clone()).unwrap_or_default();
            let token = roster.tokens.remove(key);
            let outgoing = Instance { inputs, outputs, token };
            roster.outgoing.entry(key.clone()).or_default().push(outgoing);
        });
    }

    /// Takes note of what is known of a resource that is being made.
    pub fn noted(&self, key: &Key, outputs: &Value) {
        self.change(|roster| drop(roster.outputs.insert(key.clone(), outputs.clone())));
    }

    /// Takes note that the oldest replaced instance of a resource is gone.
    pub fn discarded(&self, key: &Key) {
        self.change(|roster| {
            if let Some(outgoing) = roster.outgoing.get_mut(key).filter(|outgoing| !outgoing.is_empty()) {
                outgoing.remove(0);
            }
        });
    }

    /// Takes note that a resource was made or changed.
    pub fn made(&self, key: &Key, inputs: &Value, outputs: &Value) {
        self.change(|roster| {
            roster.inputs.insert(key.clone(), inputs.clone());
            roster.outputs.insert(key.clone(), outputs.clone());
            roster.made.insert(key.clone());
            roster.tokens.remove(key);
            roster.read_facts(key);
        });
    }

    /// Takes note that a resource is gone.
    pub fn removed(&self, key: &Key) {
        self.change(|roster| {
            roster.made.remove(key);
            roster.outputs.remove(key);
            for group in roster.groups.values_mut() {
                group.members.remove(key);
            }
            for members in roster.members.values_mut() {
                members.remove(key);
            }
        });
    }

    fn roster<T>(&self, read: impl FnOnce(&Roster) -> T) -> T {
        read(&self.roster.read().expect("no holder of the roster panics"))
    }

    fn change(&self, write: impl FnOnce(&mut Roster)) {
        write(&mut self.roster.write().expect("no holder of the roster panics"));
    }
}

impl Surroundings for Context {
    fn allows_format(&self, host: &Key) -> bool {
        self.formats.contains(host)
    }

    fn allows_lockout(&self, host: &Key) -> bool {
        self.lockouts.contains(host)
    }

    fn boots(&self, host: &Key) -> bool {
        self.reboot && self.system(host).is_some_and(|system| system.only_lacks_boot())
    }

    fn system(&self, host: &Key) -> Option<SystemChange> {
        self.systems.read().expect("no holder of the systems panics").get(host).cloned()
    }

    fn allows_loss(&self, of: &Key) -> bool {
        self.losses.contains(of)
    }

    fn output(&self, key: &Key, field: &str) -> Option<Value> {
        self.roster(|roster| roster.outputs.get(key)?.get(field).cloned())
    }

    fn attempted(&self, key: &Key) -> Vec<Value> {
        self.roster(|roster| roster.attempted.get(key).cloned().unwrap_or_default())
    }

    fn outgoing(&self, key: &Key) -> Vec<Instance> {
        self.roster(|roster| roster.outgoing.get(key).cloned().unwrap_or_default())
    }

    fn progress(&self) -> Box<Progress> {
        let events = self.events.clone();
        Box::new(move |what, done, total| {
            events.emit(Event::Progress { what: what.to_owned(), done, total });
        })
    }

    fn input(&self, key: &Key, field: &str) -> Option<Value> {
        self.roster(|roster| roster.inputs.get(key)?.get(field).cloned())
    }

    fn host(&self, key: &Key) -> Result<Arc<dyn Host>, KindError> {
        self.host_of(key, &self.instance(key))
    }

    fn host_of(&self, key: &Key, instance: &Instance) -> Result<Arc<dyn Host>, KindError> {
        let inputs: HostInputs = serde_json::from_value(instance.inputs.clone())
            .map_err(|source| KindError::Inputs { key: key.clone(), source })?;
        let id = instance.outputs.get(ID).and_then(Value::as_str);
        let identity = match (id, &instance.token) {
            (Some(id), _) => Identity::Id(id),
            (None, Some(token)) => Identity::Token(token),
            (None, None) => Identity::Name,
        };
        let backend = self.backend_for(key, &inputs.backend)?;
        Ok(backend.host(&self.site, &key.name, &inputs, identity)?)
    }

    fn changes_whole(&self, host: &Key) -> bool {
        let kind = self.registry.kind(&host.kind);
        kind.is_some_and(|kind| kind.changes_whole(&self.instance(host).inputs))
    }

    fn backend_of(&self, host: &Key) -> Result<String, KindError> {
        let inputs = self.roster(|roster| roster.inputs.get(host).cloned()).unwrap_or_default();
        let inputs: HostInputs = serde_json::from_value(inputs)
            .map_err(|source| KindError::Inputs { key: host.clone(), source })?;
        Ok(inputs.backend)
    }

    fn backend(&self, name: &str) -> Result<Arc<dyn Backend>, KindError> {
        self.backend_for(&Key::new(HostInputs::KIND, "?"), name)
    }

    fn made_members(&self, group: &str) -> Vec<Arc<Member>> {
        let of = |roster: &Roster| Some(roster.members.get(group)?.values().cloned().collect());
        self.roster(of).unwrap_or_default()
    }

    fn made_within(&self, group: &str) -> BTreeSet<String> {
        self.roster(|roster| {
            let within = |key: &&Key| {
                let holder = self.registry.kind(&key.kind).zip(roster.inputs.get(*key));
                holder.and_then(|(kind, inputs)| kind.held_by(inputs)).is_some_and(|holder| holder == group)
            };
            roster.made.iter().filter(within).map(|key| key.name.clone()).collect()
        })
    }

    fn goes_on(&self, group: &str) -> bool {
        self.roster(|roster| roster.declared.contains(group))
    }

    fn role_of(&self, group: &str) -> Option<Arc<dyn Role>> {
        let role = self.roster(|roster| roster.groups.get(group).map(|group| group.role.clone()))?;
        self.registry.role_named(&role).cloned()
    }

    fn shared_disk(&self, backend: &str) -> Option<u64> {
        self.backend(backend).ok()?.shared_disk(&self.site)
    }

    fn wire(&self) -> &dyn Wire {
        self.registry.wire().as_ref()
    }
}

impl Roster {
    fn instance(&self, key: &Key) -> Instance {
        Instance {
            inputs: self.inputs.get(key).map(|inputs| self.resolve(inputs)).unwrap_or_default(),
            outputs: self.outputs.get(key).cloned().unwrap_or_default(),
            token: self.tokens.get(key).cloned(),
        }
    }

    /// Reads what exists, where it is a member of a group and all is known of it.
    fn read_facts(&mut self, key: &Key) {
        let mut groups = self.groups.iter().filter(|(_, group)| group.members.contains(key));
        let Some((group, _)) = groups.next() else { return };
        let group = group.clone();
        let resolved = self.inputs.get(key).map(|inputs| self.resolve(inputs));
        let known = resolved.filter(|inputs| references(inputs).is_empty());
        let member = known.and_then(|inputs| Member::of(&inputs).ok());
        let members = self.members.entry(group).or_default();
        match member {
            Some(mut member) => {
                member.facts.node.clone_from(&key.name);
                members.insert(key.clone(), Arc::new(member));
            }
            None => drop(members.remove(key)),
        }
    }

    fn resolve(&self, inputs: &Value) -> Value {
        resolve(inputs, &|reference| self.outputs.get(&reference.resource)?.get(&reference.field).cloned())
    }
}
