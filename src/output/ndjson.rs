//! Events as NDJSON, for scripts.

use super::{Progress, for_pipe};
use crate::engine::{EVENT_VERSION, Event};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::SystemTime;

/// Every event as one JSON document a line, on stdout.
pub(super) struct Ndjson;

impl Progress for Ndjson {
    fn event(&mut self, event: &Event) {
        let _ = writeln!(std::io::stdout().lock(), "{}", enveloped(json!(event)));
    }

    fn text(&mut self, text: &str) {
        let _ = write!(std::io::stderr().lock(), "{}", for_pipe(text));
    }
}

/// A document with what each line has: the version of the stream, and when it was written.
pub(super) fn enveloped(mut event: Value) -> Value {
    if let Some(fields) = event.as_object_mut() {
        fields.insert("v".into(), json!(EVENT_VERSION));
        fields.insert("at".into(), json!(humantime::format_rfc3339_millis(SystemTime::now()).to_string()));
    }
    event
}
