//! `octad completions`: what a shell needs to complete octad's command line.

use super::CliError;
use super::session::Session;
use crate::report::exit;
use clap::Args;
use clap_complete::Shell;

/// Print what a shell needs to complete the command line
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    octad completions bash > /etc/bash_completion.d/octad\n  \
    octad completions zsh > ~/.zfunc/_octad\n  \
    octad completions fish > ~/.config/fish/completions/octad.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, session: &Session) -> Result<u8, CliError> {
        let mut command = super::command();
        let (name, mut text) = (command.get_name().to_owned(), Vec::new());
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        session.output().line(&String::from_utf8_lossy(&text));
        Ok(exit::OK)
    }
}
