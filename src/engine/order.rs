//! Walks steps in an order that their `after` allows. Pure; each step and each edge is touched once.

use super::plan::Step;
use std::collections::BTreeSet;

/// Which steps may begin, as others are done.
#[derive(Debug)]
pub(super) struct Order {
    /// How many steps each one still waits for.
    missing: Vec<usize>,
    /// Who waits for each step.
    waiting: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
}

impl Order {
    /// Nothing is done yet. A step that waits for one that isn't there never becomes ready.
    pub(super) fn of(steps: &[Step]) -> Self {
        let missing: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let mut waiting = vec![Vec::new(); steps.len()];
        for (number, step) in steps.iter().enumerate() {
            for other in step.after.iter().filter(|other| **other < steps.len()) {
                waiting[*other].push(number);
            }
        }
        let ready = (0..steps.len()).filter(|number| missing[*number] == 0).collect();
        Self { missing, waiting, ready }
    }

    /// Takes the first step that may begin.
    pub(super) fn begin(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    /// A step is done: those that waited for it alone may begin.
    pub(super) fn done(&mut self, step: usize) {
        for number in std::mem::take(&mut self.waiting[step]) {
            self.missing[number] -= 1;
            if self.missing[number] == 0 {
                self.ready.insert(number);
            }
        }
    }

    /// All steps, those that may begin together beside each other. Steps in a circle are left out.
    pub(super) fn levels(mut self) -> Vec<Vec<usize>> {
        let mut levels = Vec::new();
        while !self.ready.is_empty() {
            let level: Vec<usize> = std::mem::take(&mut self.ready).into_iter().collect();
            level.iter().for_each(|step| self.done(*step));
            levels.push(level);
        }
        levels
    }
}
