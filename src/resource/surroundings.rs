//! What kinds see of the run that they are part of: hosts, groups, services, and what is recorded. The engine's context is
//! the one that there is.

use super::{Instance, KindError};
use crate::host::{Backend, Host, Progress, SystemChange};
use crate::kafka::Kafka;
use crate::model::{Key, Member};
use crate::role::{Broker, GroupView, Health, Role};
use crate::wire::Wire;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The surroundings of a kind at work.
pub trait Surroundings: Send + Sync {
    /// Whether somebody consented to formatting this host's disk where it is blank.
    fn allows_format(&self, host: &Key) -> bool;

    /// Whether somebody consented to bringing this host what it may be lost by.
    fn allows_lockout(&self, host: &Key) -> bool;

    /// Whether this host is to boot where its nodes are begun anew, and it runs less than all of its system until then.
    fn boots(&self, host: &Key) -> bool;

    /// How the system of a host differs from the one that it is to run, where that was compared.
    fn system(&self, host: &Key) -> Option<SystemChange>;

    /// Whether somebody consented to what a change of this lets go.
    fn allows_loss(&self, of: &Key) -> bool;

    /// A field of a resource's inputs as last applied, or as declared where it was never made.
    fn input(&self, key: &Key, field: &str) -> Option<Value>;

    /// A field of what a resource told of itself when it was made; `None` where it was never made.
    fn output(&self, key: &Key, field: &str) -> Option<Value>;

    /// Instances of a resource that were replaced and still exist, oldest first.
    fn outgoing(&self, key: &Key) -> Vec<Instance>;

    /// Inputs that operations without a recorded end were to bring a resource to.
    fn attempted(&self, key: &Key) -> Vec<Value>;

    /// A handle on a declared or recorded host.
    ///
    /// # Errors
    /// Where there is no such host or its backend isn't known.
    fn host(&self, key: &Key) -> Result<Arc<dyn Host>, KindError>;

    /// A handle on this instance of a host.
    ///
    /// # Errors
    /// Where its inputs aren't a host's or its backend isn't known.
    fn host_of(&self, key: &Key, instance: &Instance) -> Result<Arc<dyn Host>, KindError>;

    /// Whether a host has one configuration for all its nodes ([`Backend::changes_whole`]).
    fn changes_whole(&self, host: &Key) -> bool;

    /// The name of a host's backend.
    ///
    /// # Errors
    /// Where there is no such host.
    fn backend_of(&self, host: &Key) -> Result<String, KindError>;

    /// The backend of this name.
    ///
    /// # Errors
    /// Where it isn't known.
    fn backend(&self, name: &str) -> Result<Arc<dyn Backend>, KindError>;

    /// Where backends tell how far long work has come.
    fn progress(&self) -> Box<Progress>;

    /// The members of a group that exist. Each has its present name, also while it still has another on its host.
    fn made_members(&self, group: &str) -> Vec<Arc<Member>>;

    /// The names of the resources that exist within a group, such as a cluster's topics.
    fn made_within(&self, group: &str) -> BTreeSet<String>;

    /// Whether a group is to be there afterwards too, whoever leaves it.
    fn goes_on(&self, group: &str) -> bool;

    /// The role that the members of a group have.
    fn role_of(&self, group: &str) -> Option<Arc<dyn Role>>;

    /// Bytes that are free on the file system that hosts of a backend share in this stack, where they do.
    fn shared_disk(&self, backend: &str) -> Option<u64>;

    /// How services are reached.
    fn wire(&self) -> &dyn Wire;
}

/// The cluster that a group's existing members form; `None` where none exists.
pub fn kafka(surroundings: &dyn Surroundings, group: &str) -> Option<Arc<dyn Kafka>> {
    let members = surroundings.made_members(group);
    let bootstrap: Vec<String> = members.iter().filter_map(|facts| facts.endpoint("client")).collect();
    let ensemble = members.first().map(|broker| Broker::ensemble(broker)).unwrap_or_default();
    if bootstrap.is_empty() { None } else { Some(surroundings.wire().kafka(&bootstrap, &ensemble)) }
}

/// One group over the wire; `None` where none of its members exists or its role isn't known.
pub async fn view(surroundings: &dyn Surroundings, group: &str) -> Option<GroupView> {
    let members = surroundings.made_members(group);
    if members.is_empty() {
        return None;
    }
    Some(surroundings.role_of(group)?.observe(surroundings.wire(), &members).await)
}

/// Whether a group serves as it should, with all its members in place; `None` where [`view`] has none.
pub async fn health(surroundings: &dyn Surroundings, group: &str) -> Option<Health> {
    let view = view(surroundings, group).await?;
    let members = surroundings.made_members(group);
    Some(surroundings.role_of(group)?.health(&view, &members, &BTreeSet::new()))
}
