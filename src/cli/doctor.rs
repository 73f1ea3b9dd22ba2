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
    /// Only what is used for this; may be repeated [default: all but build]
    #[arg(long = "for", value_name = "PURPOSE", value_parser = PossibleValuesParser::new(Purpose::words()))]
    purposes: Vec<String>,
    /// Install what is missing without being asked, where octad knows how
    #[arg(long)]
    install: bool,
}

impl Doctor {
    pub(super) async fn run(&self, session: &Session) -> Result<u8, CliError> {
        let tools: Vec<_> = Tool::all().iter().filter(|tool| self.concerns(tool.purpose)).collect();
        let (_, lacks) = examined(&tools).await;
        let installed = match lacks.is_empty() {
            true => Ok(()),
            false => session.install(lacks, self.install).await,
        };
        let (findings, lacks) = examined(&tools).await;
        session.output().machine(&findings);
        installed?;
        if lacks.is_empty() { Ok(exit::OK) } else { Err(CliError::Lacking { lacks }) }
    }

    fn concerns(&self, purpose: Purpose) -> bool {
        match self.purposes.as_slice() {
            [] => purpose != Purpose::Build,
            wanted => wanted.iter().any(|word| Purpose::of(word) == Some(purpose)),
        }
    }
}

/// What is there of each tool, and what is lacking.
async fn examined(tools: &[&'static Tool]) -> (Vec<Finding>, Vec<Lack>) {
    let (mut findings, mut lacks) = (Vec::new(), Vec::new());
    for tool in tools {
        let (name, purpose) = (tool.name, tool.purpose.to_string());
        match found(tool).await {
            Ok(found) => findings.push(Finding { name, purpose, found: Some(found), lacks: None }),
            Err(lack) => {
                findings.push(Finding { name, purpose, found: None, lacks: Some(lack.why.clone()) });
                lacks.push(lack);
            }
        }
    }
    (findings, lacks)
}

/// Where a tool is, and of which version where that matters.
async fn found(tool: &'static Tool) -> Result<String, Lack> {
    if tool.name == tool::JAVA {
        let java = Java::find(&Environment::from_process()).await;
        return java
            .map(|java| format!("{} ({})", java.path.display(), java.version))
            .map_err(|error| Lack { tool, why: with_causes(&error) });
    }
    tool.path().map(|path| path.display().to_string()).ok_or_else(|| Lack::of(tool))
}
