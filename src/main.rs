//! The shipped program.

use octad::engine::Registry;
use octad::program::Programs;
use std::process::ExitCode;

fn main() -> ExitCode {
    octad::cli::main(Programs::standard(), Registry::standard())
}
