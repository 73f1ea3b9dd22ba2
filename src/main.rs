//! The shipped program.

use octad::program::Programs;
use octad::registry::Registry;
use std::process::ExitCode;

fn main() -> ExitCode {
    octad::cli::main(Programs::standard(), Registry::standard())
}
