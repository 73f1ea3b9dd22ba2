//! What people and scripts see. Results go to stdout, progress and failures to stderr; everything here is told, and
//! nothing is decided.

mod build;
mod diff;
mod doctor;
#[cfg(feature = "drill")]
mod drill;
mod failure;
mod gate;
mod history;
mod mermaid;
mod ndjson;
mod overview;
mod plain;
mod preview;
mod push;
mod refresh;
mod resources;
mod status;
mod style;
mod tree;

pub use doctor::Finding;
pub use gate::Gate;
pub use overview::Overview;
pub use status::StackStatus;
pub use style::{ColorChoice, Style};

use crate::engine::{Checked, Event, Events, FileChanges, Plan, Refresh, State, Update};
use crate::host::LogLine;
use crate::model::{Key, resolve};
use crate::nix::{Built, Pushed, StorePath};
use crate::report::{Invocation, Report};
use crate::resource::Recorded;
use crate::stack::Declaration;
use clap::ValueEnum;
use ndjson::{Ndjson, enveloped};
use plain::Plain;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex};
use style::{for_pipe, for_terminal};
use tree::Tree;

/// How results and progress are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// The result as one JSON document, progress for people.
    Json,
    /// Every event and the result as one JSON document a line.
    Ndjson,
}

/// Where everything that is told goes.
pub struct Output {
    format: OutputFormat,
    /// Whether stdout is a terminal.
    terminal: bool,
    /// Colours of stdout and of stderr: either may be a pipe.
    style: Style,
    progress_style: Style,
    progress: Arc<Mutex<Box<dyn Progress>>>,
}

/// A way to show events as they come.
trait Progress: Send {
    /// Shows one event.
    fn event(&mut self, event: &Event);

    /// Writes a text between events, without disturbing what is being shown.
    fn text(&mut self, text: &str);

    /// Ends all live display.
    fn finish(&mut self) {}
}

impl Output {
    /// Output of this process.
    pub fn new(format: OutputFormat, color: ColorChoice) -> Self {
        let style = Style::of(color, &std::io::stdout());
        let progress_style = Style::of(color, &std::io::stderr());
        let progress: Box<dyn Progress> = match format {
            OutputFormat::Ndjson => Box::new(Ndjson),
            OutputFormat::Text | OutputFormat::Json if std::io::stderr().is_terminal() => {
                Box::new(Tree::new(progress_style))
            }
            OutputFormat::Text | OutputFormat::Json => Box::new(Plain::new(progress_style)),
        };
        let terminal = std::io::stdout().is_terminal();
        Self { format, terminal, style, progress_style, progress: Arc::new(Mutex::new(progress)) }
    }

    /// Where events are to be sent.
    pub fn events(&self) -> Events {
        let progress = self.progress.clone();
        Events::new(move |event| progress.lock().expect("no renderer panics").event(&event))
    }

    /// The style of results.
    pub fn style(&self) -> Style {
        self.style
    }

    /// A plan as something to look at before consenting, with those that are foreseen to follow it, and the files that it
    /// changes where they are asked for.
    pub fn preview(&self, plan: &Plan<Checked>, later: &[Plan], files: Option<&[FileChanges]>) {
        match self.format {
            OutputFormat::Ndjson => self.document("plan", plan_document(plan, later, files)),
            OutputFormat::Text | OutputFormat::Json => {
                self.aside(&plan_text(plan, later, files, self.progress_style));
            }
        }
    }

    /// The same as the result.
    pub fn plan(&self, plan: &Plan<Checked>, later: &[Plan], files: Option<&[FileChanges]>) {
        let text = || plan_text(plan, later, files, self.style);
        self.result("plan", text, || plan_document(plan, later, files));
    }

    /// The end of an `up`. `invocation` puts the commands to try next.
    pub fn ready(&self, state: &State, changed: bool, left_out: usize, invocation: &Invocation) {
        if self.format != OutputFormat::Text {
            let outputs = resolved_outputs(state);
            let document = json!({ "changed": changed, "left_out": left_out, "outputs": outputs });
            self.document("ready", document);
            return;
        }
        let stack = &state.stack;
        if left_out > 0 {
            let what = if changed { "The changes are made" } else { "Nothing was to be changed" };
            self.line(&format!("{what}; {} of the stack {stack}.", preview::outside(left_out)));
            return;
        }
        let head = if changed { "is up and healthy" } else { "is up and healthy; nothing was to be changed" };
        self.line(&format!("The stack {} {head}.\n", self.style.strong(stack)));
        self.outputs(state);
        let node = state.resources.keys().find(|key| key.kind == "node").map_or("", |key| key.name.as_str());
        self.line(&format!(
            "\nTry next:\n  {}\n  {}\n  {}",
            invocation.command("status"),
            invocation.command(&format!("logs {node} -f")),
            invocation.command("stop")
        ));
    }

    /// The stack's outputs.
    pub fn outputs(&self, state: &State) {
        let outputs = resolved_outputs(state);
        if self.format != OutputFormat::Text {
            self.document("outputs", json!(outputs));
            return;
        }
        let width = outputs.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in &outputs {
            // Long lists stand one item a line under each other: a terminal would break them anywhere.
            let value = value.replace(',', &format!(",\n  {:width$}  ", ""));
            self.line(&format!("  {}  {value}", self.style.dim(&format!("{name:width$}"))));
        }
    }

    /// How a stack is.
    pub fn status(&self, status: &StackStatus) {
        self.result("status", || status.text(self.style), || json!(status));
    }

    /// Whether a node may be taken away.
    pub fn gate(&self, gate: &Gate<'_>) {
        self.result("gate", || gate.text(self.style), || gate.document());
    }

    /// How things stand.
    pub fn overview(&self, overview: &Overview) {
        self.result("overview", || overview.text(self.style), || json!(overview));
    }

    /// The updates of a stack, in the order given.
    pub fn history(&self, updates: &[Update]) {
        self.result("history", || history::text(updates, self.style), || json!(updates));
    }

    /// What another hand changed.
    pub fn refresh(&self, refresh: &Refresh) {
        self.result("refresh", || refresh::text(refresh, self.style), || json!(refresh));
    }

    /// What came of a push. `roots` are what was asked for, `size` that of the whole closure, as paths and bytes.
    pub fn push(&self, roots: &[StorePath], size: (usize, u64), hosts: &[Pushed]) {
        let text = || push::text(size, hosts, self.style);
        self.result("push", text, || push::document(roots, size, hosts));
    }

    /// The systems that were built, by host.
    pub fn built(&self, built: &BTreeMap<String, Built>) {
        self.result("build", || build::text(built), || build::document(built));
    }

    /// The recorded resources.
    pub fn resources(&self, state: &State) {
        if self.format == OutputFormat::Text {
            return self.line(resources::text(state).trim_end());
        }
        let told = |(key, recorded): (&Key, &Recorded)| {
            let (pending, unprotected) = (recorded.is_pending(), recorded.unprotected);
            json!({ "kind": key.kind, "name": key.name, "pending": pending, "unprotected": unprotected })
        };
        self.document("resources", state.resources.iter().map(told).collect());
    }

    /// One recorded resource, always as JSON.
    pub fn resource(&self, key: &Key, recorded: &Recorded) {
        let mut value = json!({ "kind": key.kind, "name": key.name });
        if let (Value::Object(fields), Value::Object(recorded)) = (&mut value, json!(recorded)) {
            fields.extend(recorded);
        }
        self.document("resource", value);
    }

    /// Nodes as they are run, always as JSON.
    pub fn facts(&self, facts: &Value) {
        self.document("facts", facts.clone());
    }

    /// The architecture of a declared stack.
    pub fn graph(&self, stack: &Declaration) {
        self.result("graph", || mermaid::text(stack), || json!({ "mermaid": mermaid::text(stack) }));
    }

    /// What this machine has and lacks.
    pub fn machine(&self, findings: &[doctor::Finding]) {
        self.result("machine", || doctor::text(findings, self.style), || json!(findings));
    }

    /// The faults that can be drilled.
    #[cfg(feature = "drill")]
    pub fn faults(&self) {
        self.result("faults", || drill::list(self.style), drill::list_document);
    }

    /// What drills gave.
    #[cfg(feature = "drill")]
    pub fn drills(&self, report: &drill::Drills) {
        self.result("drill", || drill::table(report, self.style), || json!(report));
    }

    /// One line of a node's log.
    pub fn log(&self, node: &str, width: usize, line: &LogLine) {
        let at = humantime::format_rfc3339_millis(line.at).to_string();
        match self.format {
            OutputFormat::Text => {
                // The day is rarely in question; `--output json` has it.
                let time = at.get(11..23).unwrap_or(&at);
                self.line(&format!(
                    "{} {} {}",
                    self.style.dim(time),
                    self.style.node(node, width),
                    line.text
                ));
            }
            OutputFormat::Json | OutputFormat::Ndjson => {
                write_line(&json!({ "at": at, "node": node, "line": line.text }).to_string());
            }
        }
    }

    /// A line of the result.
    pub fn line(&self, text: &str) {
        if self.terminal {
            write_line(&for_terminal(text));
        } else {
            write_line(&for_pipe(text));
        }
    }

    /// A failure.
    pub fn failure(&self, report: &Report) {
        if self.format == OutputFormat::Ndjson {
            self.document("failure", failure::document(report));
            return;
        }
        let text = failure::text(report, self.progress_style);
        self.aside(&text);
    }

    /// Writes a question whose answer is yes or no.
    pub fn question(&self, question: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{} [y/N] ", for_terminal(&self.progress_style.strong(question)));
        let _ = stderr.flush();
    }

    /// Waits for the answer; anything but yes is no. Blocks.
    pub fn answer() -> bool {
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// Ends all live display.
    pub fn close(self) {
        self.progress.lock().expect("no renderer panics").finish();
    }

    /// A text beside the result.
    fn aside(&self, text: &str) {
        self.progress.lock().expect("no renderer panics").text(text);
    }

    /// A result: a text for people, a document for programs.
    fn result(&self, name: &str, text: impl FnOnce() -> String, document: impl FnOnce() -> Value) {
        match self.format {
            OutputFormat::Text => self.line(text().trim_end()),
            OutputFormat::Json | OutputFormat::Ndjson => self.document(name, document()),
        }
    }

    fn document(&self, name: &str, value: Value) {
        let text = match self.format {
            OutputFormat::Ndjson => enveloped(json!({ "event": name, name: value })).to_string(),
            _ => serde_json::to_string_pretty(&value).expect("a JSON value has only text keys"),
        };
        write_line(&text);
    }
}

fn write_line(text: &str) {
    // A reader that has gone away is no failure of ours.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn plan_text(plan: &Plan<Checked>, later: &[Plan], files: Option<&[FileChanges]>, style: Style) -> String {
    let files = files.map(|files| diff::text(files, style)).unwrap_or_default();
    format!("{files}{}", preview::text(plan, later, style))
}

fn plan_document(plan: &Plan<Checked>, later: &[Plan], files: Option<&[FileChanges]>) -> Value {
    let mut document = json!(plan);
    if !later.is_empty() {
        document["later"] = json!(later);
    }
    if let Some(files) = files {
        document["files"] = diff::json(files);
    }
    document
}

/// A diff without colours, as a pipe gets it.
pub fn diff_text(files: &[FileChanges]) -> String {
    diff::text(files, Style::plain())
}

/// A preview without colours, as a pipe gets it.
pub fn preview_text(plan: &Plan<Checked>, later: &[Plan]) -> String {
    preview::text(plan, later, Style::plain())
}

/// A gate's answer, as plain text.
pub fn gate_text(gate: &Gate<'_>) -> String {
    gate.text(Style::plain())
}

/// A status without colours, as a pipe gets it.
pub fn status_text(status: &StackStatus) -> String {
    status.text(Style::plain())
}

/// A history without colours, as a pipe gets it.
pub fn history_text(updates: &[Update]) -> String {
    history::text(updates, Style::plain())
}

/// What another hand changed without colours, as a pipe gets it.
pub fn refresh_text(refresh: &Refresh) -> String {
    refresh::text(refresh, Style::plain())
}

/// The recorded resources, as a pipe gets them.
pub fn resources_text(state: &State) -> String {
    resources::text(state)
}

/// The architecture of a declared stack as a Mermaid diagram.
pub fn mermaid(stack: &Declaration) -> String {
    mermaid::text(stack)
}

/// A failure without colours, as a pipe gets it.
pub fn failure_text(report: &Report) -> String {
    failure::text(report, Style::plain())
}

/// The outputs of a stack, references filled in; what isn't known yet says so.
pub fn resolved_outputs(state: &State) -> BTreeMap<String, String> {
    state
        .outputs
        .iter()
        .map(|(name, value)| {
            let text = match resolve(value, &|reference| state.lookup(reference)) {
                Value::String(text) => text,
                _ => "(known after up)".to_owned(),
            };
            (name.clone(), text)
        })
        .collect()
}
