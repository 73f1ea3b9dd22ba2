//! Faults on a local host.

use super::{Disk, Machine, Network, network};
use crate::host::{Ability, Cut, Drillable, HostError};
use crate::supervisor::Signal;
use crate::tool;
use async_trait::async_trait;
use rustix::process::{Pid, kill_process};
use std::net::SocketAddr;

#[async_trait]
impl Drillable for Machine {
    async fn signal(&self, node: &str, signal: Signal) -> Result<(), HostError> {
        self.supervisor().await?.kill(&self.unit(node)?, signal).await.map_err(self.failed())?;
        Ok(())
    }

    async fn lose(&self) -> Result<(), HostError> {
        let Some(supervisor) = self.connected().await? else { return Ok(()) };
        let pid = i32::try_from(supervisor.hello().pid).ok().and_then(Pid::from_raw);
        // Its children ask the kernel to die with it.
        let killed = pid.map_or(Ok(()), |pid| kill_process(pid, rustix::process::Signal::KILL));
        killed.map_err(|error| HostError::Io {
            action: "kill the supervisor of",
            path: self.directory.display().to_string(),
            source: error.into(),
        })
    }

    fn lacks(&self, ability: Ability) -> Option<String> {
        let (has, shared) = match ability {
            Ability::Cut => (self.network.is_some(), "share one network: declare `isolation = \"netns\"`"),
            Ability::FillDisk | Ability::ShutDisksDown => {
                (self.disk_mib.is_some(), "share one file system: declare `disk-mib`")
            }
        };
        if !has {
            return Some(format!("local hosts {shared} under [hosts]"));
        }
        let lacking = self.lacks_tools();
        let told = || format!("this machine lacks {}: {}", tool::names(&lacking), tool::how_to_get(&lacking));
        (!lacking.is_empty()).then(told)
    }

    async fn cut(&self, cut: &Cut) -> Result<(), HostError> {
        match &self.network {
            Some(network) => network.cut(cut).await,
            None => Err(HostError::Unable { subject: self.name.clone(), what: "cut a host off" }),
        }
    }

    async fn fill_disk(&self, node: &str) -> Result<(), HostError> {
        let disk = self.disk(node);
        if !disk.exists() {
            return Err(HostError::Unable { subject: node.to_owned(), what: "fill a disk" });
        }
        disk.fill()
    }

    async fn shut_disks_down(&self, expendable: &str) -> Result<(), HostError> {
        for disk in self.disks() {
            let expendable = expendable.to_owned();
            let shut_down = tokio::task::spawn_blocking(move || disk.shut_down(&expendable));
            shut_down.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?;
        }
        Ok(())
    }

    async fn reaches(&self, address: SocketAddr) -> Result<bool, HostError> {
        let namespace = self.network.as_ref().map(Network::namespace);
        let reached = tokio::task::spawn_blocking(move || network::reaches(namespace.as_deref(), address));
        let reached = reached.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()));
        reached.map_err(|source| HostError::Io { action: "connect to", path: address.to_string(), source })
    }

    async fn mend(&self) -> Result<(), HostError> {
        if let Some(network) = &self.network {
            network.mend().await?;
        }
        self.disks().iter().try_for_each(Disk::free)
    }

    async fn disturbance(&self) -> Result<Option<&'static str>, HostError> {
        Ok(match &self.network {
            Some(network) if network.is_cut() => Some("cut off"),
            _ if self.disks().iter().any(Disk::is_filled) => Some("left with a full disk"),
            _ if self.disks().iter().any(Disk::is_shut_down) => Some("left with a disk that was shut down"),
            _ => None,
        })
    }
}
