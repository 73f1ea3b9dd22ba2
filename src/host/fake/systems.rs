//! What simulated hosts run beside the documents of their nodes, where they are changed as a whole.

use super::FakeWorld;
use super::world::World;
use crate::host::{Comparing, HostError, SystemChange, Wanted};

impl FakeWorld {
    /// From now on a host is to run another system, which differs so from the one that it runs.
    pub fn make_system(&self, host: &str, change: SystemChange) {
        let mut world = self.lock();
        let runs =
            world.systems.get(host).map_or_else(|| "system-0".to_owned(), |system| system.runs.clone());
        world.systems.insert(host.to_owned(), SystemChange { runs, ..change });
    }
}

impl World {
    /// How what a host runs differs from what it is to run.
    pub(super) fn compared(&mut self, comparing: &Comparing) -> Option<SystemChange> {
        match comparing.wanted {
            Wanted::Made => self.stay.remove(&comparing.host),
            _ => self.stay.insert(comparing.host.clone()),
        };
        let system = self.systems.get(&comparing.host)?;
        let change = match &comparing.wanted {
            Wanted::Made => system.clone(),
            Wanted::AsItRuns | Wanted::Before(_) => system.as_it_runs(),
        };
        let differs = |(node, document): (&String, &serde_json::Value)| {
            let found = self.observe(&comparing.host, node).and_then(|found| found.deployment);
            found.is_none_or(|found| found != *document)
        };
        let with_documents = comparing.documents.iter().any(differs);
        Some(SystemChange { with_documents, ..change })
    }

    /// A host runs its new system, beside its nodes as they are.
    pub(super) fn renew(&mut self, host: &str) -> Result<(), HostError> {
        let Some(system) = self.systems.get_mut(host).filter(|system| system.is_due()) else { return Ok(()) };
        assert!(system.interrupts_nobody(), "{host} was to run what begins somebody anew: {system:?}");
        *system = system.once_made();
        Ok(())
    }

    /// A host runs its new system with a change of its nodes, or boots for it; returns how it was before.
    pub(super) fn switched(&mut self, host: &str, boots: bool) -> Option<SystemChange> {
        let stays = self.stay.contains(host);
        let system = self.systems.get_mut(host)?;
        let before = system.clone();
        *system = match boots && system.only_lacks_boot() {
            true => SystemChange { lacks_boot: false, will_lack_boot: false, ..system.once_made() },
            false if stays => before.clone(),
            false => system.once_made(),
        };
        Some(before)
    }
}
