//! `octad doctor`: what this machine has and lacks of what Octad uses.

use super::CliError;
use super::session::Session;
use crate::artifact::Java;
use crate::causes::with_causes;
use crate::output::Finding;
use crate::report::exit;
use crate::tool::{self, Environment, Lack, Purpose, Tool};
use clap::Args;
use clap::builder::PossibleValuesParser;

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
        let (mut findings, lacks) = examined(&tools).await;
        let mut installed = Ok(());
        if !lacks.is_empty() {
            installed = session.install(lacks, self.install).await;
            let (again, left) = examined(&tools).await;
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

/// What is there of each tool, and what packages could mend.
async fn examined(tools: &[&'static Tool]) -> (Vec<Finding>, Vec<Lack>) {
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
        findings.push(Finding { name: tool.name, purpose: tool.purpose.to_string(), found, lacks: why });
    }
    (findings, lacks)
}
