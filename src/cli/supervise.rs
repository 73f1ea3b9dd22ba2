//! `octad supervise HOST-DIRECTORY [NETNS]`: plays systemd's part for one local host. No verb for people, so it is in no help
//! and no completion; octad itself starts it, and so does every program of a user's own.

use crate::causes::with_causes;
use crate::report::exit;
use std::path::Path;
use std::process::ExitCode;

/// Answers the call where this process was started as a supervisor.
pub(super) fn answered() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != "supervise" {
        return None;
    }
    let (directory, netns) = (arguments.next()?, arguments.next());
    Some(match crate::supervisor::serve(Path::new(&directory), netns.as_deref().map(Path::new)) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::from(exit::FAILED)
        }
    })
}
