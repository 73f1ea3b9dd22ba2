//! `octad doctor`: what this machine has and lacks of what Octad and the roles of the stack use.

use super::CliError;
use super::session::Session;
use crate::artifact::{Installed, Java};
use crate::causes::with_causes;
use crate::host::LocalBackend;
use crate::model::{Deployment, NodeFacts, Process, Software, Source};
use crate::output::Finding;
use crate::registry::Registry;
use crate::report::exit;
use crate::stack::ValidStack;
use crate::tool::{self, Environment, Lack, Purpose, Tool};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::collections::{BTreeMap, BTreeSet};

/// Show what this machine has and lacks of what octad uses, and install what is missing
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad doctor\n  octad doctor --for servers --for jars\n  octad doctor --install"
)]
pub(super) struct Doctor {
    /// Only what is used for this; may be repeated [default: all but build and measure]
    #[arg(long = "for", value_name = "PURPOSE", value_parser = PossibleValuesParser::new(Purpose::words()))]
    purposes: Vec<String>,
    /// Install what is missing without being asked, where octad knows how
    #[arg(long)]
    install: bool,
}

impl Doctor {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let tools: Vec<_> = Tool::all().filter(|tool| self.concerns(tool.purpose)).collect();
        let servers = self.concerns(Purpose::Servers);
        let programs = if servers { wanted(session) } else { Programs::new() };
        let (mut findings, lacks) = examined(&tools, &programs).await;
        let mut installed = Ok(());
        if !lacks.is_empty() {
            installed = session.install(lacks, self.install).await;
            let (again, left) = examined(&tools, &programs).await;
            findings = again;
            if installed.is_ok() && !left.is_empty() {
                installed = Err(CliError::Lacking { lacks: left, installed: true });
            }
        }
        session.output().machine(&findings);
        installed?;
        Ok(if findings.iter().all(|one| one.lacks.is_none()) { exit::OK } else { exit::FAILED })
    }

    fn concerns(&self, purpose: Purpose) -> bool {
        match self.purposes.as_slice() {
            // Octad itself needs neither.
            [] => !matches!(purpose, Purpose::Build | Purpose::Measure),
            wanted => wanted.iter().any(|word| Purpose::of(word) == Some(purpose)),
        }
    }
}

/// Programs of the machine, each with the roles that take it.
type Programs = BTreeMap<(String, Software), BTreeSet<String>>;

/// What the stack takes. That there is none to read is no fault of the machine.
fn wanted(session: &Session) -> Programs {
    match session.declare() {
        Ok(stack) => programs(&stack, session.registry()),
        Err(error) => {
            let told = with_causes(&error);
            session.events().notice(format!("what the stack's own roles take is not looked at: {told}"));
            Programs::new()
        }
    }
}

/// Programs of this machine that nodes of a stack are, by its roles' word.
fn programs(stack: &ValidStack, registry: &Registry) -> Programs {
    let mut programs = Programs::new();
    for (key, declared) in stack.resources.iter().filter(|(key, _)| key.kind == NodeFacts::KIND) {
        let Ok(Deployment { facts, process, .. }) = registry.deployment(key, &declared.inputs) else {
            continue;
        };
        let host = stack.resources.get(&facts.host.key());
        let here = host.is_some_and(|host| host.inputs["backend"] == LocalBackend::NAME);
        if let (true, Process::Program { executable, .. }, Source::Installed { .. }) =
            (here, process, &facts.software.source)
        {
            programs.entry((executable, facts.software)).or_default().insert(facts.role);
        }
    }
    programs
}

/// What is there of each tool and program, and what packages could mend.
async fn examined(tools: &[&'static Tool], programs: &Programs) -> (Vec<Finding>, Vec<Lack>) {
    let (mut findings, mut lacks) = (Vec::new(), Vec::new());
    let environment = Environment::from_process();
    for &tool in tools {
        let (found, why) = if tool.name == tool::JAVA {
            match Java::find(&environment).await {
                Ok(java) => (Some(format!("{} ({})", java.path.display(), java.version)), None),
                Err(error) => {
                    lacks.extend(error.lack(&environment));
                    (None, Some(with_causes(&error)))
                }
            }
        } else {
            let path = tool.path().map(|path| path.display().to_string());
            let lack = path.is_none().then(|| Lack::of(tool));
            lacks.extend(lack.clone());
            (path, lack.map(|lack| lack.why))
        };
        findings.push(Finding {
            name: tool.name.to_owned(),
            purpose: tool.purpose.to_string(),
            found,
            lacks: why,
        });
    }
    for ((name, software), roles) in programs {
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        let (found, why) = match Installed::find(&environment, name, software).await {
            Ok(program) => (Some(format!("{} ({})", program.path.display(), program.version)), None),
            Err(error) => {
                lacks.extend(error.lack());
                (None, Some(with_causes(&error)))
            }
        };
        let purpose = format!("the role {}", roles.join(", "));
        findings.push(Finding { name: name.clone(), purpose, found, lacks: why });
    }
    (findings, lacks)
}
