//! `octad outputs`: what the stack offers to others.

use super::CliError;
use super::session::Session;
use crate::report::exit;
use clap::Args;

/// Show the stack's outputs, such as its bootstrap servers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  octad outputs\n  octad outputs --output json\n  octad outputs 'bootstrap servers'"
)]
pub(super) struct Outputs {
    /// Only this one, without its name
    name: Option<String>,
}

impl Outputs {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        let name = session.stack_name()?;
        let state = session.existing_state(&name)?;
        match &self.name {
            None => session.output().outputs(&state),
            Some(wanted) => {
                let outputs = crate::output::resolved_outputs(&state);
                let value = outputs.get(wanted).ok_or_else(|| CliError::Usage {
                    message: format!("the stack {name} has no output `{wanted}`"),
                    hint: format!("it has: {}", outputs.keys().cloned().collect::<Vec<_>>().join(", ")),
                })?;
                session.output().line(value);
            }
        }
        Ok(exit::OK)
    }
}
