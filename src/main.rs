//! The command line: parses, runs one command, turns its outcome into an exit code.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Of the whole program: a server frees and takes the same few kilobytes with each answer, a load
/// hundreds of megabytes that should be the system's again.
#[global_allocator]
static MEMORY: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    socle::cli::run()
}
