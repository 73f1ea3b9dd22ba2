//! What is said over the socket: one JSON object per line, a request, then its answer. Pure.
//!
//! ```text
//! → {"v":1,"request":"start","unit":"broker"}
//! ← {"v":1,"ok":{"name":"broker","desired":"up","state":{"is":"running",…},…}}
//! → {"v":1,"request":"dance"}
//! ← {"v":1,"error":{"code":"unknown-request","message":"…"}}
//! ```
//!
//! Unknown fields are ignored on both sides, so that a newer octad and an older supervisor understand each
//! other; what an older one can't do, it refuses by name.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{exit::Ending, name::UnitName, run_state::Desired, signal::Signal, timestamp};

/// The version of the protocol; raised when an old request changes its meaning.
pub const PROTOCOL_VERSION: u32 = 1;

/// Bytes of a request. Requests are small; whoever sends more isn't Octad.
pub(super) const REQUEST_LIMIT: u64 = 64 * 1024;

/// What can be asked of a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(super) enum Request {
    /// Who are you? Answered in any version of the protocol: [`Hello`].
    Hello,
    /// All units: [`AllUnits`].
    Status,
    /// Wants it up and starts it; answered once it is forked or failed: [`UnitStatus`].
    Start { unit: UnitName },
    /// Wants it down and stops it; answered when the process is gone: [`UnitStatus`].
    Stop {
        unit: UnitName,
        /// Instead of the specification's, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// A process that runs is not asked to end any more after this, in milliseconds since the machine booted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<u64>,
    },
    /// Signals the unit's process alone: [`UnitStatus`].
    Kill { unit: UnitName, signal: Signal },
    /// Forgets a unit that is down: [`Nothing`].
    Remove { unit: UnitName },
    /// Stops all units, keeps what is wanted of them, answers [`Nothing`] and ends.
    Shutdown,
}

/// The requests by name, for the refusal of another.
const REQUESTS: [&str; 7] = ["hello", "status", "start", "stop", "kill", "remove", "shutdown"];

impl Request {
    /// Its name on the wire.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Status => "status",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Kill { .. } => "kill",
            Self::Remove { .. } => "remove",
            Self::Shutdown => "shutdown",
        }
    }

    /// The line for it.
    pub(super) fn encode(&self) -> Vec<u8> {
        line(&Versioned { v: PROTOCOL_VERSION, body: self })
    }

    /// Reads a line.
    pub(super) fn decode(line: &[u8]) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal { code: RefusalCode::BadRequest, message };
        let value: Value = serde_json::from_slice(line).map_err(|error| bad(format!("no JSON: {error}")))?;
        let Some(name) = value.get("request").and_then(Value::as_str) else {
            return Err(bad("no \"request\" is named".to_owned()));
        };
        let version = value.get("v").and_then(Value::as_u64);
        if version != Some(PROTOCOL_VERSION.into()) && name != "hello" {
            let given = version.map_or("none".to_owned(), |v| v.to_string());
            let message = format!("this supervisor speaks protocol {PROTOCOL_VERSION}, the request {given}");
            return Err(Refusal { code: RefusalCode::UnsupportedVersion, message });
        }
        if !REQUESTS.contains(&name) {
            let message = format!("{name:?} is not known; known are {}", REQUESTS.join(", "));
            return Err(Refusal { code: RefusalCode::UnknownRequest, message });
        }
        let name = name.to_owned();
        serde_json::from_value(value).map_err(|error| bad(format!("{name}: {error}")))
    }
}

/// Who a supervisor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol that it speaks.
    pub protocol: u32,
    /// Its process.
    pub pid: u32,
    /// The version of the octad that it was started from.
    pub octad: String,
    /// When it started.
    #[serde(with = "timestamp::rfc3339")]
    pub started: SystemTime,
}

/// All units of a host, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AllUnits {
    pub(super) units: Vec<UnitStatus>,
}

/// An answer that only says: done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nothing {}

/// One unit at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// Its name.
    pub name: UnitName,
    /// What is wanted of it.
    pub desired: Desired,
    /// What it does.
    pub state: UnitState,
    /// Automatic restarts since the supervisor started.
    pub restarts: u64,
    /// The generation that the process was started with; `None` without a process.
    pub generation: Option<String>,
}

/// What a unit does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum UnitState {
    /// It has a process. Whether that serves is for others to find out.
    Running {
        /// The process.
        pid: u32,
        /// When it was forked.
        #[serde(with = "timestamp::rfc3339")]
        since: SystemTime,
        /// The same in milliseconds since the machine booted, a clock that nobody sets; an older supervisor doesn't
        /// tell.
        #[serde(default)]
        since_boot_ms: Option<u64>,
    },
    /// Its process was asked to end.
    Stopping {
        /// The process.
        pid: u32,
        /// When the stop began.
        #[serde(with = "timestamp::rfc3339")]
        since: SystemTime,
    },
    /// It ended unasked and waits for its restart.
    Backoff {
        /// Failures in this series.
        restarts: u32,
        /// Milliseconds until the next start.
        next_start_in_ms: u64,
        /// The last of them.
        last: Ending,
    },
    /// It has no process, and nothing is wrong with that.
    Stopped {
        /// How its last process under this supervisor ended.
        last: Option<Ending>,
    },
    /// It can't be started until somebody changes something and asks for a start.
    Failed {
        /// What is wrong.
        reason: String,
    },
}

impl UnitState {
    /// Whether there is no process and none to come by itself.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Stopped { .. } | Self::Failed { .. })
    }

    /// The process, if there is one.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Running { pid, .. } | Self::Stopping { pid, .. } => Some(*pid),
            Self::Backoff { .. } | Self::Stopped { .. } | Self::Failed { .. } => None,
        }
    }
}

/// Why a supervisor doesn't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people.
    pub message: String,
}

/// The kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// Not JSON, or a field is missing or wrong.
    BadRequest,
    /// A request of another version of the protocol.
    UnsupportedVersion,
    /// A request that this supervisor doesn't know.
    UnknownRequest,
    /// The host has no such unit.
    UnknownUnit,
    /// The unit has no process that could be signalled.
    NotRunning,
    /// The unit is up, or about to be; it must be stopped first.
    NotStopped,
    /// A stop came later than it may.
    TooLate,
    /// A later stop has overtaken this start.
    Superseded,
    /// What is wanted of the unit could not be written down, and would be forgotten.
    NotRecorded,
    /// The signal was not sent.
    NotSignalled,
    /// The supervisor is about to end.
    ShuttingDown,
    /// A kind that a newer supervisor has.
    #[serde(other)]
    Other,
}

impl Refusal {
    pub(super) fn new(code: RefusalCode, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    Ok(T),
    Error(Refusal),
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

/// The line for an answer.
pub(super) fn encode_answer<T: Serialize>(answer: Result<T, Refusal>) -> Vec<u8> {
    let body = match answer {
        Ok(value) => Answer::Ok(value),
        Err(refusal) => Answer::Error(refusal),
    };
    line(&Versioned { v: PROTOCOL_VERSION, body })
}

/// Reads the line of an answer.
pub(super) fn decode_answer<T: DeserializeOwned>(line: &[u8]) -> serde_json::Result<Result<T, Refusal>> {
    let versioned: Versioned<Answer<T>> = serde_json::from_slice(line)?;
    Ok(match versioned.body {
        Answer::Ok(value) => Ok(value),
        Answer::Error(refusal) => Err(refusal),
    })
}

fn line(message: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are no strings fail, and the messages have none.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervisor::exit::Exit;

    fn unit() -> UnitName {
        UnitName::new("broker").unwrap()
    }

    #[test]
    fn every_request_survives_the_wire_and_is_named_there() {
        let requests = [
            Request::Hello,
            Request::Status,
            Request::Start { unit: unit() },
            Request::Stop { unit: unit(), timeout_ms: Some(5), until_ms: Some(7) },
            Request::Stop { unit: unit(), timeout_ms: None, until_ms: None },
            Request::Kill { unit: unit(), signal: Signal::Kill },
            Request::Remove { unit: unit() },
            Request::Shutdown,
        ];
        for request in requests {
            let line = request.encode();
            assert_eq!(Request::decode(&line), Ok(request.clone()));
            let value: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["request"], request.name());
            assert!(REQUESTS.contains(&request.name()));
        }
    }

    #[test]
    fn every_state_survives_the_wire() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let last = Ending { exit: Exit::Signal { signal: 9 }, at };
        let states = [
            UnitState::Running { pid: 1, since: at, since_boot_ms: Some(5) },
            UnitState::Stopping { pid: 1, since: at },
            UnitState::Backoff { restarts: 3, next_start_in_ms: 400, last: last.clone() },
            UnitState::Stopped { last: Some(last) },
            UnitState::Stopped { last: None },
            UnitState::Failed { reason: "x".into() },
        ];
        for state in states {
            let status = UnitStatus {
                name: unit(),
                desired: Desired::Up,
                state,
                restarts: 1,
                generation: Some("g".into()),
            };
            let line = encode_answer(Ok(status.clone()));
            assert_eq!(decode_answer::<UnitStatus>(&line).unwrap(), Ok(status));
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let request = Request::decode(br#"{"v":1,"request":"status","colour":"red"}"#);
        assert_eq!(request, Ok(Request::Status));
        let answer = br#"{"v":1,"mood":"good","ok":{"protocol":1,"pid":2,"octad":"9","started":"2026-01-01T00:00:00Z","x":1}}"#;
        assert_eq!(decode_answer::<Hello>(answer).unwrap().unwrap().pid, 2);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_kind() {
        let code = |line: &str| Request::decode(line.as_bytes()).unwrap_err().code;
        assert_eq!(code("hello"), RefusalCode::BadRequest);
        assert_eq!(code(r#"{"v":1}"#), RefusalCode::BadRequest);
        assert_eq!(code(r#"{"v":1,"request":"start"}"#), RefusalCode::BadRequest);
        assert_eq!(code(r#"{"v":1,"request":"start","unit":"../x"}"#), RefusalCode::BadRequest);
        assert_eq!(code(r#"{"v":1,"request":"dance"}"#), RefusalCode::UnknownRequest);
        assert_eq!(code(r#"{"v":2,"request":"status"}"#), RefusalCode::UnsupportedVersion);
        assert_eq!(code(r#"{"request":"status"}"#), RefusalCode::UnsupportedVersion);
        assert_eq!(Request::decode(br#"{"v":2,"request":"hello"}"#), Ok(Request::Hello));
    }

    #[test]
    fn a_refusal_of_a_newer_kind_is_still_a_refusal() {
        let answer = br#"{"v":1,"error":{"code":"too-tired","message":"later"}}"#;
        assert_eq!(decode_answer::<Nothing>(answer).unwrap().unwrap_err().code, RefusalCode::Other);
    }
}
