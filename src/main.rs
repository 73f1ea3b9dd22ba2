//! The shipped program.

use std::{error::Error, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    match args.as_slice() {
        [_, verb, dir] if verb == "supervise" => supervise(Path::new(dir)),
        _ => ExitCode::SUCCESS,
    }
}

/// Hidden: the supervisor of a local host. Answered before any thread or runtime exists.
fn supervise(dir: &Path) -> ExitCode {
    let Err(error) = octad::supervisor::serve(dir) else { return ExitCode::SUCCESS };
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        eprintln!("octad supervise: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
