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
        /// Which phase of the change it is, from 1.
        phase: usize,
        /// How many phases there are, as far as foreseen.
        phases: usize,
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
    /// A push to a host has come so far.
    Pushed {
        /// The host.
        host: String,
        /// How many paths it has taken.
        paths: usize,
        /// Of how many that it missed.
        of_paths: usize,
        /// How many bytes these have, as NARs.
        bytes: u64,
        /// Of how many.
        of_bytes: u64,
    },
    /// A step began.
    StepStarted {
        /// The step's number in the plan.
        step: usize,
        /// What it does.
        action: StepAction,
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
        action: StepAction,
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

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// Makes a resource.
    Create,
    /// Makes another instance of a resource beside the one that there is.
    Renew,
    /// Starts what doesn't run.
    Start,
    /// Changes a resource.
    Update,
    /// Removes a resource.
    Delete,
    /// Removes what a resource took the place of.
    Discard,
    /// Changes members of a group one after the other.
    Roll,
    /// Keeps a host's change that is on trial, or takes it back.
    Confirm,
    /// Waits until a group is healthy.
    Gate,
    /// Halts what runs (`octad stop`).
    Stop,
}

impl StepAction {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::Renew,
        Self::Start,
        Self::Update,
        Self::Delete,
        Self::Discard,
        Self::Roll,
        Self::Confirm,
        Self::Gate,
        Self::Stop,
    ];

    /// Its name, as events carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Renew => "renew",
            Self::Start => "start",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Discard => "discard",
            Self::Roll => "roll",
            Self::Confirm => "confirm",
            Self::Gate => "gate",
            Self::Stop => "stop",
        }
    }
}

impl std::fmt::Display for StepAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
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
            Event::Started { verb: text(), stack: text(), steps: 0, phase: 1, phases: 1 },
            Event::Progress { what: text(), done: 0, total: 0 },
            Event::Pushed { host: text(), paths: 0, of_paths: 0, bytes: 0, of_bytes: 0 },
            Event::StepStarted { step: 0, action: StepAction::Gate, subject: text(), reason: text() },
            Event::StepMessage { step: 0, message: text() },
            Event::StepMember { step: 0, member: text(), up: true, note: text(), millis: 0 },
            Event::StepFinished {
                step: 0,
                action: StepAction::Gate,
                subject: text(),
                millis: 0,
                error: None,
            },
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

    #[test]
    fn every_action_is_documented_and_nothing_else() {
        let documented = include_str!("../../docs/events.md");
        let (_, list) = documented.split_once("`action` is one of ").unwrap();
        let (list, _) = list.split_once(';').unwrap();
        let named: Vec<_> = list.split(',').map(|name| name.trim().trim_matches('`')).collect();
        assert_eq!(named, StepAction::ALL.map(StepAction::name));
        for action in StepAction::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
    }
}
