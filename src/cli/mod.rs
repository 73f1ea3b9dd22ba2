//! The command line: one file per verb. A verb reads its arguments, calls the stages in order and hands what they
//! return to `output`; it decides nothing.

mod admit;
mod build;
mod cancel;
mod change;
mod completions;
mod destroy;
mod doctor;
#[cfg_attr(not(feature = "drill"), path = "no_drill.rs")]
mod drill;
mod edit;
mod error;
mod facts;
mod fence;
mod gate;
mod graph;
mod history;
mod hosts;
mod import;
mod logs;
mod man;
mod named;
mod outputs;
mod overview;
mod preview;
mod push;
mod refresh;
mod rehearse;
mod report;
mod roll;
mod rollback;
mod schema;
mod session;
mod state;
mod status;
mod stop;
mod supervise;
mod unlock;
mod up;
mod watchdog;

pub use error::CliError;

use crate::engine::{Intent, Options, Selection, State};
use crate::model::{HostInputs, Key};
use crate::output::{ColorChoice, OutputFormat};
use crate::program::Programs;
use crate::registry::Registry;
use crate::report::exit;
use crate::stack::{TopicName, ValidStack};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use session::Session;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Deploys a highly available Kafka cluster, proves that it is highly available, and never loses a record.
#[derive(Debug, Parser)]
#[command(name = "octad", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    /// Without a verb: how things stand, and what to do next.
    #[command(subcommand)]
    verb: Option<Verb>,
}

const EXAMPLES: &str = "\
Examples:
  octad                           how things stand, and what to do next
  octad up                        5 brokers and 3 ZooKeeper servers on this machine
  octad up --stack minimal        1 broker and 1 ZooKeeper server
  octad preview --stack prod.toml what `up` would do with a stack file of your own
  octad status                    is it healthy?
  octad logs broker-1 -f          what broker-1 says, as it says it
  octad roll @broker              restart the brokers one by one, without interrupting anybody
  octad doctor                    what does this machine lack?
  octad drill broker-crash        what does it cost when a broker dies?
  octad stop                      halt it and keep the data
  octad destroy                   remove it with its data

Exit codes:
  0 ok    1 failed    2 there are changes (preview --detailed-exitcode)
  3 nobody saw that a fault had its effect (drill)    8 cancelled
  10 refused, or not healthy in time    11 a node was put back to what it was
  12 locked by another octad
  64 wrong usage    255 a defect of octad";

/// Where stacks are where no other place is named.
const DEFAULT_STATE_DIR: &str = ".octad";

#[derive(Debug, Args)]
struct Global {
    /// The stack: a name (stacks/NAME.toml, or one that needs no file: ha, minimal) or a file [default: ha, or a
    /// program's own]
    #[arg(long, short, global = true, env = "OCTAD_STACK", value_name = "NAME|FILE")]
    stack: Option<String>,
    /// Where stacks keep their state and local hosts their data
    #[arg(long, global = true, default_value = DEFAULT_STATE_DIR, env = "OCTAD_STATE_DIR", value_name = "DIR")]
    state_dir: PathBuf,
    /// How results and progress are written
    #[arg(long, short, global = true, value_enum, default_value_t = OutputFormat::Text)]
    output: OutputFormat,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    /// Work under the lock that the parent process holds and has lent as standard input
    #[arg(long, global = true, hide = true)]
    borrow_lock: bool,
}

/// What a verb that changes something takes.
#[derive(Debug, Args)]
struct Changing {
    /// Consent without being asked
    #[arg(long, short)]
    yes: bool,
    /// How many steps may be under way at once
    #[arg(long, short, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// How long to wait for another octad that works on the stack
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
    /// Change machines although most of the stack's can't be reached: only where no other octad can work on those
    #[arg(long)]
    minority: bool,
    /// How long a group may take to be healthy
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = humantime::parse_duration)]
    gate_timeout: Duration,
    /// Leave a node that doesn't come back from its change as it is, instead of putting it back to what it was
    #[arg(long)]
    no_put_back: bool,
}

impl Changing {
    /// How the engine is to carry out a plan of this session.
    fn options(&self, session: &Session) -> Options {
        Options {
            parallel: usize::from(self.parallel),
            gate_timeout: self.gate_timeout,
            put_back: !self.no_put_back,
            interrupt: session.interrupt().clone(),
        }
    }
}

/// Which part of the stack a verb is about.
#[derive(Debug, Clone, Default, Args)]
struct Scope {
    /// Only this and what it needs: broker-1, node/broker-1, or all of a role as @broker; may be repeated
    #[arg(long, value_name = "NAME|@ROLE")]
    target: Vec<String>,
    /// All but this and what needs it; may be repeated
    #[arg(long, value_name = "NAME|@ROLE", conflicts_with = "target")]
    exclude: Vec<String>,
}

impl Scope {
    fn selection(&self, stack: &ValidStack, state: &State) -> Result<Selection, CliError> {
        Ok(match self.exclude.as_slice() {
            [] => Selection::only(&self.target, stack, state)?,
            names => Selection::without(names, stack, state)?,
        })
    }
}

/// What may be interrupted or lost.
#[derive(Debug, Clone, Default, Args)]
struct Consent {
    /// Consent to interrupting this topic, which has no replica to spare, while a broker that holds it restarts; may be
    /// repeated
    #[arg(long, value_name = "TOPIC")]
    interrupt: Vec<TopicName>,
    /// Consent to a change with which records of this topic (topic/NAME), or of all that say nothing else (group/kafka),
    /// are deleted sooner or are less safe; may be repeated
    #[arg(long, value_name = "topic/NAME|group/NAME")]
    allow_loss: Vec<Key>,
    /// Consent to a change by which this machine may be lost: of its root device, boot loader, own address, or of who may log
    /// in; may be repeated
    #[arg(long, value_name = "HOST")]
    allow_lockout: Vec<String>,
}

impl Consent {
    /// An intent with this consent.
    fn intent(&self) -> Intent {
        Intent {
            interrupts: self.interrupt.iter().map(ToString::to_string).collect(),
            losses: self.allow_loss.iter().cloned().collect(),
            lockouts: self.allow_lockout.iter().map(|host| Key::new(HostInputs::KIND, host)).collect(),
            ..Intent::default()
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Preview(preview::Preview),
    Up(up::Up),
    Status(status::Status),
    Outputs(outputs::Outputs),
    Logs(logs::Logs),
    History(history::History),
    Refresh(refresh::Refresh),
    Import(import::Import),
    State(state::State),
    Facts(facts::Facts),
    Graph(graph::Graph),
    Build(build::Build),
    Push(push::Push),
    Doctor(doctor::Doctor),
    Drill(drill::Drill),
    Roll(roll::Roll),
    Rollback(rollback::Rollback),
    Gate(gate::Gate),
    Stop(stop::Stop),
    Destroy(destroy::Destroy),
    Cancel(cancel::Cancel),
    Unlock(unlock::Unlock),
    Admit(admit::Admit),
    Fence(fence::Fence),
    Watchdog(watchdog::Watchdog),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Runs the command line of this process with these programs and kinds.
pub fn main(programs: Programs, registry: Registry) -> ExitCode {
    // Before any thread exists: parent-death signals are those of a thread.
    if let Some(code) = supervise::answered() {
        return code;
    }
    let parsed = command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and are no errors.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    let Arguments { global, verb } = arguments;
    // It becomes another program, and has no more to it than that.
    if let Some(Verb::Watchdog(verb)) = verb {
        return verb.run();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let session = Session::new(&global, programs, registry);
    // A command that somebody else wrote isn't left alone.
    let waits = matches!(&verb, Some(Verb::Gate(gate)) if gate.runs_a_command());
    let result = runtime.block_on(async {
        session.listen_for_signals();
        tokio::select! {
            result = run(&session, verb) => result,
            () = session.interrupt().wait_at_once(), if !waits => Err(CliError::Interrupted),
        }
    });
    // What a second ^C leaves behind is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    let code = match &result {
        Ok(code) => *code,
        Err(error) => {
            let report = error.report(&session.invocation());
            session.show_failure(&report);
            report.code
        }
    };
    session.close();
    ExitCode::from(code)
}

/// The command line under the name by which this process was called: a program of the user's own has one of its own.
fn command() -> clap::Command {
    let called = std::env::args_os().next().map(PathBuf::from);
    let name = called.as_deref().and_then(|path| path.file_name()?.to_str()).unwrap_or("octad").to_owned();
    Arguments::command().name(name)
}

async fn run(session: &Session, verb: Option<Verb>) -> Result<u8, CliError> {
    let Some(verb) = verb else { return overview::run(session).await };
    match verb {
        Verb::Preview(verb) => verb.run(session).await,
        Verb::Up(verb) => verb.run(session).await,
        Verb::Status(verb) => verb.run(session).await,
        Verb::Outputs(verb) => verb.run(session),
        Verb::Logs(verb) => verb.run(session).await,
        Verb::History(verb) => verb.run(session),
        Verb::Refresh(verb) => verb.run(session).await,
        Verb::Import(verb) => verb.run(session).await,
        Verb::State(verb) => verb.run(session).await,
        Verb::Facts(verb) => verb.run(session),
        Verb::Graph(verb) => verb.run(session),
        Verb::Build(verb) => verb.run(session).await,
        Verb::Push(verb) => verb.run(session).await,
        Verb::Doctor(verb) => verb.run(session).await,
        Verb::Roll(verb) => verb.run(session).await,
        Verb::Rollback(verb) => verb.run(session).await,
        Verb::Gate(verb) => verb.run(session).await,
        Verb::Drill(verb) => verb.run(session).await,
        Verb::Stop(verb) => verb.run(session).await,
        Verb::Destroy(verb) => verb.run(session).await,
        Verb::Cancel(verb) => verb.run(session).await,
        Verb::Unlock(verb) => verb.run(session).await,
        Verb::Admit(verb) => verb.run(session).await,
        Verb::Fence(verb) => verb.run(session).await,
        Verb::Watchdog(_) => unreachable!("it was run without a session"),
        Verb::Schema(verb) => verb.run(session),
        Verb::Completions(verb) => verb.run(session),
        Verb::Man(verb) => verb.run(session),
    }
}
