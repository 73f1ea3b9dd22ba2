//! `octad schema`: what a stack file may say, for editors.

use super::CliError;
use super::session::Session;
use crate::report::exit;
use clap::Args;

/// Print the JSON Schema of stack files, by which editors complete and check them
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    octad schema > stacks/stack.schema.json\n\n\
    The first line of a stack file beside it then says: #:schema stack.schema.json")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        session.output().line(&format!("{:#}", session.programs().schema()));
        Ok(exit::OK)
    }
}
