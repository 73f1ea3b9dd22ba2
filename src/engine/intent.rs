//! What a command wants of a plan beside what the stack declares: the part that it is confined to, what is to be done
//! once more, and what somebody consented to by name. Data.

use super::{Plan, SavedPlan, Selection};
use crate::host::Wanted;
use crate::model::Key;
use std::collections::{BTreeMap, BTreeSet};

/// Which systems hosts are to run that are changed as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Systems {
    /// What is made of the documents of their nodes by now.
    #[default]
    Made,
    /// What they run, but for these, which are to run what lies there.
    AsTheyRun(BTreeMap<Key, String>),
}

impl Systems {
    /// What one is to run.
    pub fn of(&self, host: &Key) -> Wanted {
        match self {
            Self::Made => Wanted::Made,
            Self::AsTheyRun(before) => before.get(host).cloned().map_or(Wanted::AsItRuns, Wanted::Before),
        }
    }
}

/// What a command wants. By default: everything that the stack declares, and consent to nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intent {
    /// The part of the stack that it is confined to.
    pub selection: Selection,
    /// Those that are to be restarted as they are.
    pub restart: BTreeSet<Key>,
    /// Consent to have these filled again by the others where their data is gone.
    pub refill: BTreeSet<Key>,
    /// Consent to interrupt what groups hold by these names (topics), where a roll can't spare it.
    pub interrupts: BTreeSet<String>,
    /// Consent to format the disks of these hosts, where they are blank.
    pub formats: BTreeSet<Key>,
    /// Consent to bringing these hosts what they may be lost by: another root device, an address that goes.
    pub lockouts: BTreeSet<Key>,
    /// Hosts that run less than all of their system until they boot are booted, one at a time.
    pub reboot: bool,
    /// The system that hosts are to run which are changed as a whole.
    pub systems: Systems,
    /// Consent to changes that let go what these hold: topics, or all that a group holds.
    pub losses: BTreeSet<Key>,
}

impl Intent {
    /// What is still wanted once a phase is done: what is to be done once is not done again.
    #[must_use]
    pub fn once_done<Stage>(mut self, phase: &Plan<Stage>) -> Self {
        for (key, _) in phase.steps.iter().flat_map(|step| step.action.makes()) {
            self.restart.remove(key);
            self.refill.remove(key);
        }
        self
    }

    /// The same, as far as a plan that was saved doesn't say otherwise: whoever saved it has consented to what it does.
    #[must_use]
    pub fn as_saved(self, plan: &SavedPlan) -> Self {
        let (interrupts, losses) = (plan.interrupts(), plan.losses());
        Self { selection: plan.selection().clone(), interrupts, losses, ..self }
    }
}
