//! `octad man`: the manual pages.

use super::CliError;
use super::session::Session;
use crate::report::exit;
use clap::Args;
use std::path::PathBuf;

/// Print the manual page, or write one for each verb into a directory
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  octad man | man -l -\n  octad man --dir /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Where to write octad.1 and a page for each verb
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        let (command, mut page) = (super::command(), Vec::new());
        let written = match &self.dir {
            Some(dir) => std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)),
            None => clap_mangen::Man::new(command).render(&mut page),
        };
        let place = self.dir.as_deref().map(|dir| format!(" into {}", dir.display())).unwrap_or_default();
        let action = format!("write the manual{place}");
        written.map_err(|source| CliError::Io { action, source })?;
        session.output().line(&String::from_utf8_lossy(&page));
        Ok(exit::OK)
    }
}
