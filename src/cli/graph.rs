//! `octad graph`: the declared stack as a picture.

use super::CliError;
use super::session::Session;
use crate::report::exit;
use clap::Args;

/// Show the architecture of the declared stack as a Mermaid diagram; the stack need not exist
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  octad graph\n  octad graph --stack minimal > minimal.mmd")]
pub(super) struct Graph {}

impl Graph {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        let stack = session.declare()?;
        session.output().graph(&stack);
        Ok(exit::OK)
    }
}
