//! `octad drill`: has things go wrong on purpose, and measures what that costs.

use super::change::{self, Terms};
use super::session::Session;
use super::{Changing, CliError};
use crate::drill::{self, DrillError, Fault, Finding, JavaClients, Report, Scene, Skipped, Verdict};
use crate::engine::{History, State};
use crate::program::StackFile;
use crate::report::exit;
use crate::stack::{Name, ValidStack};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Have things go wrong on purpose, and measure what clients notice; exits with 1 where an objective is missed, with 3
/// where nobody else saw that a fault had its effect
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  octad drill list\n  octad drill broker-crash\n  octad drill --all --yes --report drill.html\n  \
                  octad drill broker-crash controller-crash --runs 5 --output json\n\n\
                  Each fault is undone afterwards, also when the drill fails or is stopped. `octad drill external` measures \
                  what another hand does: it says `ready`, and reads `inject` and `heal` from stdin. With `--facts DIR` it does so of a \
                  cluster that this machine knows by its facts only."
)]
pub(super) struct Drill {
    #[command(subcommand)]
    verb: Option<DrillVerb>,
    /// What is to go wrong, one after the other; `octad drill list` tells what there is
    #[arg(value_name = "FAULT", conflicts_with = "all")]
    faults: Vec<String>,
    /// Everything that can be had here
    #[arg(long)]
    all: bool,
    /// How often each fault is drilled; the median counts
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Records a second that the probe writes to each partition of its topic
    #[arg(long, default_value_t = drill::Terms::default().rate, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Load beside the probe, in bytes a second: 500kB/s, 5MB/s
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "RATE", value_parser = bytes_a_second)]
    under_load: u64,
    /// The longest interruption that passes, instead of each fault's own
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_interruption: Option<Duration>,
    /// Replicas of the probe's topic, instead of the cluster's default; with 1, what a broker loses is lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// Let producers of these libraries write beside the probe, with nothing set but where the cluster is
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIBRARY")]
    clients: Vec<drill::Library>,
    /// `acks` of the probe; with 1, what a leader loses is lost
    #[arg(long, default_value = "all", value_parser = ["all", "1"], hide = true)]
    acks: String,
    /// A setting of the probe's topic
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, hide = true)]
    topic_config: Vec<(String, String)>,
    /// Drill a second stack too, with the timeouts of Kafka and ZooKeeper as shipped and no fence, made for it and
    /// removed after it
    #[arg(long, value_enum, value_name = "WHAT")]
    baseline: Option<Baseline>,
    /// What choices between equal nodes follow from
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Instead of a stack that is recorded here, the cluster that `octad facts --dir DIR` has written of, whoever made it;
    /// of such a one only `external` can be drilled
    #[arg(long, value_name = "DIR", conflicts_with_all = ["all", "baseline"])]
    facts: Option<PathBuf>,
    /// Draw what happened into this HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    changing: Changing,
}

/// What to compare with.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Baseline {
    /// Timeouts as shipped, no fence.
    Stock,
}

#[derive(Debug, Subcommand)]
enum DrillVerb {
    /// Show what can be drilled
    List,
}

impl Drill {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        if let Some(DrillVerb::List) = self.verb {
            session.output().faults();
            return Ok(exit::OK);
        }
        let faults = self.chosen()?;
        let (stack, described) = self.cluster(session, &faults)?;
        let name = stack.name().clone();
        let names = faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ");
        let question = format!("Interrupt the clients of the stack {name} on purpose ({names})?");
        session.consent("drill", self.changing.yes, &question).await?;
        let mut report = self.drilled(session, stack, described, &faults).await?;
        if let Some(Baseline::Stock) = self.baseline {
            let stock = self.stock(session, &faults).await?;
            let pairs = report.faults.into_iter().zip(stock.faults);
            report.faults = pairs.map(|(ours, stock)| ours.beside(stock)).collect();
        }
        if let Some(path) = &self.report {
            std::fs::write(path, drill::page(&report))
                .map_err(|source| CliError::Io { action: format!("write {}", path.display()), source })?;
        }
        session.output().drills(&report);
        Ok(match report.finding() {
            Finding::Passed => exit::OK,
            Finding::Inconclusive => exit::INCONCLUSIVE,
            Finding::Failed => exit::FAILED,
        })
    }

    /// The stack to drill, and its state where that isn't recorded here.
    fn cluster(
        &self,
        session: &Session,
        faults: &[Box<dyn Fault>],
    ) -> Result<(ValidStack, Option<State>), CliError> {
        let Some(directory) = &self.facts else {
            let stack = session.declare()?;
            session.existing_state(stack.name())?;
            return Ok((stack, None));
        };
        if let Some(fault) = faults.iter().find(|fault| fault.name() != drill::EXTERNAL) {
            return Err(CliError::Usage {
                message: format!(
                    "{} can't be drilled of a cluster that is known by its facts only",
                    fault.name()
                ),
                hint: "make the fault by another hand: `octad drill external --facts DIR`".into(),
            });
        }
        let (name, state) = session.described(directory)?;
        Ok((ValidStack::empty(name), Some(state)))
    }

    /// Drills a stack under its lock.
    async fn drilled(
        &self,
        session: &Session,
        stack: ValidStack,
        described: Option<State>,
        faults: &[Box<dyn Fault>],
    ) -> Result<Report, CliError> {
        let name = stack.name().clone();
        let lock = session.lock(&name, "drill", self.changing.lock_timeout).await?;
        let site = session.site(&name)?;
        let state = match described {
            Some(state) => state,
            None => session.existing_state(&name)?,
        };
        let changes = faults.iter().map(|fault| format!("drill {}", fault.name())).collect();
        let history = History::begin(&site, "drill", changes)?;
        let options = self.changing.options(session);
        let context = session.context(&stack, &state)?;
        let drilled = async {
            let scene = Scene::open(context, &site, lock, stack, state, options, self.seed).await?;
            self.drill(&scene, faults).await
        };
        let report = drilled.await.map_err(CliError::Drill);
        change::note_end(session, history, &report);
        report
    }

    /// Makes the stack to compare with, drills it and removes it, also where that fails.
    async fn stock(&self, session: &Session, faults: &[Box<dyn Fault>]) -> Result<Report, CliError> {
        let file = session.stack_file()?;
        let not_possible = |why: &dyn std::fmt::Display| CliError::Usage {
            message: format!("there can't be a stack to compare with: {why}"),
            hint: "leave --baseline away".into(),
        };
        let name = format!("{}-stock", file.name).parse::<Name>().map_err(|error| not_possible(&error))?;
        let text = drill::unguarded(file.text()).map_err(|error| not_possible(&error))?;
        let stack = drill::as_shipped(session.declare_file(&StackFile::of_text(name.clone(), &text))?);
        let (terms, agreed) = (Terms::default(), |_: &_| String::new());
        // Who consents to the drill consents to what it makes for itself.
        let changing = Changing { yes: true, ..self.changing };
        let made = change::change(session, "up", &stack, &changing, &terms, agreed).await;
        let drilled = match made {
            Ok(_) => self.drilled(session, stack, None, faults).await,
            Err(error) => Err(error),
        };
        let none = ValidStack::empty(name.clone());
        let removed = change::change(session, "destroy", &none, &changing, &terms, agreed).await;
        if removed.is_err() {
            let command = session.invocation_for(name.as_ref()).command("destroy");
            session.events().notice(format!("the stack {name} is left; `{command}` removes it"));
        }
        let report = drilled?;
        removed?;
        Ok(report)
    }

    fn chosen(&self) -> Result<Vec<Box<dyn Fault>>, CliError> {
        if self.all {
            return Ok(drill::all_faults());
        }
        if self.faults.is_empty() {
            return Err(CliError::Usage {
                message: "`drill` needs to be told what is to go wrong".into(),
                hint: "`octad drill list` tells what there is; `octad drill --all` drills all that can be had here".into(),
            });
        }
        Ok(self.faults.iter().map(|name| drill::fault_named(name)).collect::<Result<_, _>>()?)
    }

    async fn drill(&self, scene: &Scene, faults: &[Box<dyn Fault>]) -> Result<Report, DrillError> {
        let terms = drill::Terms {
            rate: self.rate,
            load: self.under_load,
            replicas: self.replicas,
            acks: self.acks.clone(),
            configs: self.topic_config.iter().cloned().collect(),
            as_shipped: self.clients.clone(),
        };
        let (mut had, mut skipped) = (Vec::new(), Vec::new());
        for fault in faults {
            match fault.refusal(scene) {
                None => had.push(fault),
                Some(reason) if self.all => {
                    skipped.push(Skipped { fault: fault.name().into(), reason });
                }
                // Told before anything else is drilled.
                Some(reason) => return Err(DrillError::Refused { fault: fault.name(), reason }),
            }
        }
        drill::clear_leftovers(scene).await?;
        let java = JavaClients::find(&scene.brokers()[0].software.version).await;
        let mut verdicts = Vec::new();
        for fault in had {
            let mut objective = fault.objective(scene);
            objective.interruption = self.max_interruption.unwrap_or(objective.interruption);
            let mut trials = Vec::new();
            for _ in 0..self.runs {
                trials.push(drill::run(scene, fault.as_ref(), objective, &terms, &java).await?);
            }
            let verdict = Verdict::of(fault.name(), fault.about(), fault.caveat(scene), objective, trials);
            // What was shown is worth having though a later one can't be.
            scene.events().notice(format!("{}: {}", fault.name(), verdict.in_a_line()));
            verdicts.push(verdict);
        }
        Ok(Report::of(scene, &terms, verdicts, skipped))
    }
}

/// Reads `NAME=VALUE`.
fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads `500kB/s`, `5MB/s`, `1GB/s`; the `/s` may be left away.
fn bytes_a_second(text: &str) -> Result<u64, String> {
    let plain = text.trim().trim_end_matches("/s");
    let digits = plain.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &plain[digits.len()..] {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        other => return Err(format!("{other} is no unit; write it as 500kB/s, 5MB/s or 1GB/s")),
    };
    let number: u64 = digits.trim().parse().map_err(|_| format!("{digits:?} is no whole number"))?;
    number.checked_mul(unit).ok_or_else(|| "that is more than any cluster carries".to_owned())
}

#[cfg(test)]
mod tests {
    use super::bytes_a_second;

    #[test]
    fn rates_are_read_with_their_unit() {
        assert_eq!(bytes_a_second("5MB/s"), Ok(5_000_000));
        assert_eq!(bytes_a_second("500kB"), Ok(500_000));
        assert_eq!(bytes_a_second("7"), Ok(7));
        assert!(bytes_a_second("5mb").is_err() && bytes_a_second("MB").is_err());
        assert!(bytes_a_second("99999999999999GB").is_err());
    }
}
