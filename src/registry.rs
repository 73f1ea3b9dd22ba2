//! The kinds, roles and backends that a program knows, and how it reaches services. A program of the user's own adds
//! to the standard ones here.

use crate::host::{Backend, LocalBackend, NixosBackend};
use crate::model::{Deployment, Key};
use crate::resource::{HostKind, Kind, KindError, NodeKind, TopicKind};
use crate::role::{Broker, Role, Zookeeper};
use crate::wire::{NetworkWire, Wire};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the engine can work with. The engine itself matches on none of it.
#[derive(Clone)]
pub struct Registry {
    roles: BTreeMap<&'static str, Arc<dyn Role>>,
    backends: BTreeMap<&'static str, Arc<dyn Backend>>,
    kinds: BTreeMap<&'static str, Arc<dyn Kind>>,
    wire: Arc<dyn Wire>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("roles", &self.roles.keys())
            .field("backends", &self.backends.keys())
            .field("kinds", &self.kinds.keys())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Nothing but the kinds, over this wire.
    pub fn empty(wire: Arc<dyn Wire>) -> Self {
        Self { roles: BTreeMap::new(), backends: BTreeMap::new(), kinds: BTreeMap::new(), wire }.with_kinds()
    }

    /// What the shipped programs use: real hosts, real services.
    pub fn standard() -> Self {
        Self::empty(Arc::new(NetworkWire::default()))
            .standard_roles()
            .backend(LocalBackend::default())
            .backend(NixosBackend::default())
    }

    /// Adds the roles that Octad ships.
    #[must_use]
    pub fn standard_roles(self) -> Self {
        self.role(Zookeeper).role(Broker)
    }

    /// Adds a role, in place of one of the same name.
    #[must_use]
    pub fn role(mut self, role: impl Role + 'static) -> Self {
        self.roles.insert(role.name(), Arc::new(role));
        self.with_kinds()
    }

    /// Adds a host backend, in place of one of the same name.
    #[must_use]
    pub fn backend(mut self, backend: impl Backend + 'static) -> Self {
        self.backends.insert(backend.name(), Arc::new(backend));
        self.with_kinds()
    }

    fn with_kinds(mut self) -> Self {
        let hosts = HostKind::new(self.backends.clone());
        let kinds: [Arc<dyn Kind>; 3] =
            [Arc::new(hosts), Arc::new(NodeKind::new(self.roles.clone())), Arc::new(TopicKind)];
        self.kinds = kinds.into_iter().map(|kind| (kind.name(), kind)).collect();
        self
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<dyn Kind>> {
        self.kinds.values()
    }

    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.get(name)
    }

    /// The role of this name.
    pub fn role_named(&self, name: &str) -> Option<&Arc<dyn Role>> {
        self.roles.get(name)
    }

    /// How a node with these inputs is run.
    ///
    /// # Errors
    /// [`KindError::NotYetKnown`] where an input comes from what isn't there yet.
    pub fn deployment(&self, node: &Key, inputs: &Value) -> Result<Deployment, KindError> {
        NodeKind::new(self.roles.clone()).deployment(node, inputs)
    }

    /// The backend of this name.
    pub fn backend_named(&self, name: &str) -> Option<&Arc<dyn Backend>> {
        self.backends.get(name)
    }

    /// All backends.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.backends.values()
    }

    /// The names of all backends.
    pub fn backend_names(&self) -> Vec<&'static str> {
        self.backends.keys().copied().collect()
    }

    /// How services are reached.
    pub fn wire(&self) -> &Arc<dyn Wire> {
        &self.wire
    }
}
