//! The world's hosts: what they are called, whether they are up, and what is left on them of nodes that moved away.

use super::{Machine, Run, World};
use crate::host::fake::record::Loss;
use crate::host::{HostError, Identity};
use crate::role::Broker;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

impl World {
    /// The world's own name of a host.
    pub(in crate::host::fake) fn machine_of(&self, called: &str, identity: Identity<'_>) -> String {
        match identity {
            Identity::Id(id) => id.to_owned(),
            // One that was asked for and never came to be known is found by that.
            Identity::Token(token) if self.gives_ids => {
                self.ids.get(token).cloned().unwrap_or_else(|| format!("{called} (none)"))
            }
            Identity::Name if self.gives_ids => format!("{called} (none)"),
            Identity::Token(_) | Identity::Name => called.to_owned(),
        }
    }

    /// The id of the host that is asked for with this token.
    pub(in crate::host::fake) fn give_id(&mut self, token: &str) -> String {
        let number = self.number();
        self.ids.entry(token.to_owned()).or_insert_with(|| format!("i-{number}")).clone()
    }

    pub(in crate::host::fake) fn is_on(&self, host: &str, node: &str) -> bool {
        self.nodes.get(node).is_none_or(|node| node.host == host)
    }

    /// Starts a node on a host, where nothing of it runs on another.
    pub(in crate::host::fake) fn start_on(&mut self, host: &str, node: &str) -> Result<(), HostError> {
        if !self.is_on(host, node) {
            // What was left here runs again, and what was begun elsewhere is nothing but a disk.
            self.at_rest(node)?;
            let Some(old) = self.left.remove(&(host.to_owned(), node.to_owned())) else {
                return Err(HostError::NoSuchNode { host: host.to_owned(), node: node.to_owned() });
            };
            if let Some(new) = self.nodes.insert(node.to_owned(), old) {
                if new.spawns > 0 {
                    let what = format!("{node} is started from an old copy");
                    self.breach(Loss::Data { what });
                }
                self.left.insert((new.host.clone(), node.to_owned()), new);
            }
        }
        self.start(node)
    }

    /// Removes what is left of a node on a host that it has moved away from; whether there was anything.
    pub(in crate::host::fake) fn shed(&mut self, host: &str, node: &str) -> bool {
        let shed = self.left.remove(&(host.to_owned(), node.to_owned())).is_some();
        if let Some(machine) = self.machines.get_mut(host).filter(|_| shed) {
            machine.nodes.remove(node);
        }
        shed
    }

    /// Has a node begin anew on another host than the one that it lies on, which keeps what it has of it.
    pub(super) fn leave_behind(&mut self, host: &str, node: &str) -> Result<(), HostError> {
        if self.is_on(host, node) {
            return Ok(());
        }
        self.at_rest(node)?;
        if let Some(old) = self.nodes.remove(node) {
            if let Some(facts) = old.generation.as_ref().map(|generation| generation.facts.clone())
                && facts.role == Broker::NAME
            {
                self.disk_gone(&facts);
            }
            self.left.insert((old.host.clone(), node.to_owned()), old);
        }
        Ok(())
    }

    pub(in crate::host::fake) fn boot(&mut self, host: &str, address: Option<Ipv4Addr>) -> Ipv4Addr {
        let assigned = match self.machines.get(host) {
            Some(machine) => machine.address,
            None => address.unwrap_or_else(|| {
                let number = u32::try_from(self.number()).unwrap_or(u32::MAX);
                Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
            }),
        };
        let machine = self.machines.entry(host.to_owned()).or_insert_with(|| Machine {
            address: assigned,
            up: false,
            nodes: BTreeSet::new(),
        });
        if !machine.up {
            machine.up = true;
            self.boots_what_was(host);
            let Some(machine) = self.machines.get(host) else { return assigned };
            for node in machine.nodes.clone() {
                if self.nodes.get(&node).is_some_and(|one| one.wanted && one.host == host) {
                    // It failed before Octad asks for it: what went wrong is seen then.
                    let _ = self.start(&node);
                }
            }
        }
        assigned
    }

    pub(in crate::host::fake) fn go_down(&mut self, host: &str) {
        let Some(machine) = self.machines.get_mut(host) else { return };
        machine.up = false;
        for node in machine.nodes.clone() {
            if self.is_on(host, &node) {
                self.end(&node, Run::Stopped);
            }
        }
    }

    pub(in crate::host::fake) fn destroy(&mut self, host: &str) {
        self.go_down(host);
        self.trials.remove(host);
        self.went_back.remove(host);
        let nodes = self.machines.remove(host).map(|machine| machine.nodes).unwrap_or_default();
        for node in nodes {
            if !self.shed(host, &node) {
                self.forget(&node);
            }
        }
    }

    pub(in crate::host::fake) fn machine(&mut self, host: &str) -> Result<&mut Machine, HostError> {
        self.machines
            .get_mut(host)
            .filter(|machine| machine.up)
            .ok_or_else(|| HostError::Down { host: host.to_owned() })
    }
}
