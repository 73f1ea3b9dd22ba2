//! One simulated host, as the engine sees it.

use super::FakeWorld;
use crate::clock::Until;
use crate::host::change::one_by_one;
use crate::host::{Host, HostChange, HostError, LogLine, LogQuery, NodeObservation};
use crate::model::Deployment;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) struct FakeHost {
    world: FakeWorld,
    /// What the stack calls it.
    called: String,
    /// What the world calls it: its id where it has one.
    name: String,
    address: Option<Ipv4Addr>,
    /// It is changed as a whole.
    whole: bool,
}

impl FakeHost {
    pub(super) fn new(
        world: FakeWorld,
        called: &str,
        name: String,
        address: Option<Ipv4Addr>,
        whole: bool,
    ) -> Self {
        Self { world, called: called.to_owned(), name, address, whole }
    }
}

fn cut_off(action: &'static str, subject: &str) -> impl FnOnce() -> HostError {
    let path = subject.to_owned();
    move || HostError::Io { action, path, source: std::io::Error::other("the world cut it off") }
}

#[async_trait]
impl Host for FakeHost {
    async fn power(&self) -> Result<Option<bool>, HostError> {
        let world = self.world.lock();
        match world.unreachable.contains(&self.name) {
            true => Err(cut_off("ask", &self.name)()),
            false => Ok(world.machines.get(&self.name).map(|machine| machine.up)),
        }
    }

    async fn make(&self, token: &str) -> Result<Option<String>, HostError> {
        if !self.world.lock().gives_ids {
            return Ok(None);
        }
        let make = |world: &mut super::World| Ok(Some(world.give_id(token)));
        self.world.act("make", &self.called, make, cut_off("make", &self.called)).await
    }

    async fn boot(&self) -> Result<String, HostError> {
        let boot = |world: &mut super::World| Ok(world.boot(&self.name, self.address).to_string());
        self.world.act("boot", &self.name, boot, cut_off("boot", &self.name)).await
    }

    async fn node(&self, node: &str) -> Result<Option<NodeObservation>, HostError> {
        let mut world = self.world.lock();
        if world.host_is_silent() || world.unreachable.contains(&self.name) {
            return Err(cut_off("ask", node)());
        }
        Ok(world.observe(&self.name, node))
    }

    async fn nodes(&self) -> Result<BTreeSet<String>, HostError> {
        Ok(self
            .world
            .lock()
            .machines
            .get(&self.name)
            .map(|machine| machine.nodes.clone())
            .unwrap_or_default())
    }

    async fn format(&self, deployment: &Deployment) -> Result<(), HostError> {
        let node = &deployment.facts.node;
        let format = |world: &mut super::World| world.format(&self.name, deployment);
        self.world.act("format", node, format, cut_off("format", node)).await
    }

    async fn install(&self, deployment: &Deployment) -> Result<String, HostError> {
        let node = &deployment.facts.node;
        let install = |world: &mut super::World| world.install(&self.name, deployment);
        self.world.act("install", node, install, cut_off("install", node)).await
    }

    async fn files(&self, node: &str) -> Result<BTreeMap<String, String>, HostError> {
        let world = self.world.lock();
        match world.unreadable.contains(node) {
            true => Err(cut_off("read the files of", node)()),
            false => Ok(world.files(&self.name, node)),
        }
    }

    fn render(&self, deployment: &Deployment) -> BTreeMap<String, String> {
        super::world::rendered(deployment)
    }

    async fn start(&self, node: &str) -> Result<(), HostError> {
        let start = |world: &mut super::World| {
            world.machine(&self.name)?;
            world.start_on(&self.name, node)
        };
        self.world.act("start", node, start, cut_off("start", node)).await
    }

    async fn stop(&self, node: &str, _timeout: Duration, until: Option<Until>) -> Result<(), HostError> {
        let stop = |world: &mut super::World| {
            // What lies elsewhere isn't this host's.
            if !world.is_on(&self.name, node) {
                return Ok(());
            }
            until.map_or(Ok(()), |until| world.in_time(&self.name, node, until))?;
            // A host that is down can't be told; what it starts when it is up again stays as it was.
            if world.machine(&self.name).is_ok() {
                world.stop(node);
            }
            Ok(())
        };
        self.world.act("stop", node, stop, cut_off("stop", node)).await
    }

    async fn apply(&self, change: &HostChange<'_>) -> Result<BTreeMap<String, String>, HostError> {
        if !self.whole {
            return one_by_one(self, change).await;
        }
        let apply = |world: &mut super::World| world.try_out(&self.name, change);
        self.world.act("apply", &self.name, apply, cut_off("change", &self.name)).await
    }

    async fn renew(&self) -> Result<(), HostError> {
        let renew = |world: &mut super::World| world.renew(&self.name);
        self.world.act("renew", &self.name, renew, cut_off("renew", &self.name)).await
    }

    async fn unconfirmed(&self) -> Result<bool, HostError> {
        let world = self.world.lock();
        match world.unreachable.contains(&self.name) {
            true => Err(cut_off("ask", &self.name)()),
            false => Ok(world.trials.contains_key(&self.name)),
        }
    }

    async fn confirm(&self) -> Result<bool, HostError> {
        if !self.whole {
            return Ok(true);
        }
        let confirm = |world: &mut super::World| {
            world.machine(&self.name)?;
            world.trials.remove(&self.name);
            Ok(!world.went_back.contains(&self.name))
        };
        self.world.act("confirm", &self.name, confirm, cut_off("confirm the change of", &self.name)).await
    }

    async fn revert(&self, until: Until) -> Result<(), HostError> {
        let revert = |world: &mut super::World| {
            world.machine(&self.name)?;
            world.revert(&self.name, until)
        };
        self.world.act("revert", &self.name, revert, cut_off("take back the change of", &self.name)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        let rename = |world: &mut super::World| {
            world.machine(&self.name)?;
            world.rename(&self.name, from, to)
        };
        self.world.act("rename", from, rename, cut_off("rename", from)).await
    }

    async fn remove(&self, node: &str) -> Result<(), HostError> {
        let remove = |world: &mut super::World| {
            if world.shed(&self.name, node) {
                return Ok(());
            }
            world.at_rest(node)?;
            world.forget(node);
            Ok(())
        };
        self.world.act("remove", node, remove, cut_off("remove", node)).await
    }

    async fn halt(&self) -> Result<(), HostError> {
        let halt = |world: &mut super::World| {
            world.go_down(&self.name);
            Ok(())
        };
        self.world.act("halt", &self.name, halt, cut_off("halt", &self.name)).await
    }

    async fn destroy(&self) -> Result<(), HostError> {
        let destroy = |world: &mut super::World| {
            world.destroy(&self.name);
            Ok(())
        };
        self.world.act("destroy", &self.name, destroy, cut_off("destroy", &self.name)).await
    }

    /// Simulated nodes have nothing to say.
    async fn logs(&self, _node: &str, _query: LogQuery) -> Result<mpsc::Receiver<LogLine>, HostError> {
        Ok(mpsc::channel(1).1)
    }
}
