//! What happens while Octad works, as one stream of events. Renderers make a live tree, plain lines or NDJSON of it;
//! nothing else in the crate prints.

use serde::Serialize;
use std::sync::Arc;

/// Version of the event stream as NDJSON carries it.
pub const EVENT_VERSION: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A plan is about to be applied.
    Started {
        /// The verb, such as `up`.
        verb: String,
        /// The stack's name.
        stack: String,
        /// How many steps the plan has.
        steps: usize,
    },
    /// Long work before or between steps has come so far.
    Progress {
        /// What is being worked at.
        what: String,
        /// How much is done.
        done: u64,
        /// Of how much; 0 where that isn't known.
        total: u64,
    },
    /// A step began.
    StepStarted {
        /// The step's number in the plan.
        step: usize,
        /// What it does: `create`, `start`, `update`, `delete`, `roll`, `gate`, `stop`.
        action: &'static str,
        /// The resource or group.
        subject: String,
        /// Why, where it isn't plain.
        reason: String,
    },
    /// A step has something to say: what it waits for, which member is next.
    StepMessage {
        /// The step's number in the plan.
        step: usize,
        /// What it says.
        message: String,
    },
    /// A member of the group that a step waits for came or went.
    StepMember {
        /// The step's number in the plan.
        step: usize,
        /// The member's name.
        member: String,
        /// It serves as a member of the group.
        up: bool,
        /// What it is in the group, for people.
        note: String,
        /// How long the step has waited by now, in milliseconds.
        millis: u64,
    },
    /// A step ended.
    StepFinished {
        /// The step's number in the plan.
        step: usize,
        /// What it did.
        action: &'static str,
        /// The resource or group.
        subject: String,
        /// How long it took, in milliseconds.
        millis: u64,
        /// Why it failed; `None` where it didn't.
        error: Option<String>,
    },
    /// Something that people should know and that stops nothing.
    Notice {
        /// What.
        message: String,
    },
    /// The plan is applied, or as much of it as could be.
    Finished {
        /// How long it took, in milliseconds.
        millis: u64,
        /// Every step succeeded.
        ok: bool,
    },
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Sends each event to `sink`, which must not block.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops every event.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Sends one event.
    pub fn emit(&self, event: Event) {
        (self.0)(event);
    }

    /// Sends a [`Event::Notice`].
    pub fn notice(&self, message: impl Into<String>) {
        self.emit(Event::Notice { message: message.into() });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_and_field_is_documented() {
        let text = String::new;
        let events = [
            Event::Started { verb: text(), stack: text(), steps: 0 },
            Event::Progress { what: text(), done: 0, total: 0 },
            Event::StepStarted { step: 0, action: "", subject: text(), reason: text() },
            Event::StepMessage { step: 0, message: text() },
            Event::StepMember { step: 0, member: text(), up: true, note: text(), millis: 0 },
            Event::StepFinished { step: 0, action: "", subject: text(), millis: 0, error: None },
            Event::Notice { message: text() },
            Event::Finished { millis: 0, ok: true },
        ];
        let documented = include_str!("../../docs/events.md");
        assert!(documented.contains(&format!("format: {EVENT_VERSION}.")));
        for event in events {
            let event = serde_json::to_value(event).unwrap();
            let name = event["event"].as_str().unwrap();
            let row =
                documented.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or(name);
            for field in event.as_object().unwrap().keys().filter(|field| *field != "event") {
                assert!(row.contains(&format!("`{field}`")), "{name} lacks {field}: {row}");
            }
        }
    }
}
