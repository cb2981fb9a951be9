//! The command line: parses, runs one command, turns its outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    socle::cli::run()
}
