//! `octad supervise` (hidden): plays systemd's part for one local host.

use crate::causes::with_causes;
use crate::report::exit;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the supervisor of a local host
#[derive(Debug, Args)]
pub(super) struct Supervise {
    /// The host's directory
    directory: PathBuf,
}

impl Supervise {
    pub(super) fn run(&self) -> ExitCode {
        match crate::supervisor::serve(&self.directory) {
            Ok(()) => ExitCode::from(exit::OK),
            Err(error) => {
                eprintln!("error: {}", with_causes(&error));
                ExitCode::from(exit::FAILED)
            }
        }
    }
}
