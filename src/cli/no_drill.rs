//! `octad drill` of a build without the cargo feature `drill`: says so.

use super::CliError;
use super::session::Session;
use clap::Args;
use std::ffi::OsString;

/// Have things go wrong on purpose (not in this build)
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(super) struct Drill {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

impl Drill {
    pub(super) async fn run(&self, _: &Session) -> Result<u8, CliError> {
        Err(CliError::Usage {
            message: "this octad was built without drills".into(),
            hint: "build it with its cargo feature `drill`, which it has unless that was turned off".into(),
        })
    }
}
