//! The world's time: it passes by an observation at a time, and what was begun takes effect later.

use super::{Due, World};
use crate::host::fake::record::Cause;
use crate::role::{Broker, Zookeeper};

impl World {
    /// One observation passes.
    pub(in crate::host::fake) fn pass(&mut self) {
        self.now += 1;
        self.catch_up_with_time();
    }

    /// Everything that was begun takes effect.
    pub(in crate::host::fake) fn settle(&mut self) {
        while let Some(((at, _), _)) = self.due.last_key_value() {
            self.now = self.now.max(*at);
            self.catch_up_with_time();
        }
    }

    pub(in crate::host::fake) fn later(&mut self, due: Due) {
        self.after(self.lag, due);
    }

    pub(in crate::host::fake) fn after(&mut self, looks: u64, due: Due) {
        let number = self.number();
        self.due.insert((self.now + looks, number), due);
        if looks == 0 {
            self.catch_up_with_time();
        }
    }

    fn catch_up_with_time(&mut self) {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= self.now) {
            let due = first.remove();
            let cause = std::mem::replace(&mut self.cause, Cause::Time);
            self.take_effect(due);
            self.cause = cause;
        }
    }

    fn take_effect(&mut self, due: Due) {
        let alive =
            |world: &Self, node: &str, pid| world.nodes.get(node).is_some_and(|node| node.pid() == Some(pid));
        match due {
            Due::Joins(node, pid) if alive(self, &node, pid) && !self.still.contains(&node) => {
                match self.role_of(&node).as_deref() {
                    Some(Zookeeper::NAME) => self.member_joins(&node),
                    Some(Broker::NAME) => self.broker_joins(&node),
                    _ => {}
                }
            }
            Due::Synced(node, pid) if alive(self, &node, pid) && !self.still.contains(&node) => {
                self.member_synced(&node);
            }
            Due::CaughtUp(node, pid) if alive(self, &node, pid) && !self.still.contains(&node) => {
                self.broker_caught_up(&node);
            }
            Due::Moved { cluster, topic, partition } => self.moved(&cluster, &topic, partition),
            Due::SessionOver(node, pid) if alive(self, &node, pid) && self.still.contains(&node) => {
                self.session_over(&node);
            }
            Due::Joins(..) | Due::Synced(..) | Due::CaughtUp(..) | Due::SessionOver(..) => {}
        }
    }

    fn role_of(&self, node: &str) -> Option<String> {
        Some(self.nodes.get(node)?.facts()?.role.clone())
    }
}
