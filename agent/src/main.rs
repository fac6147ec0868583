//! The program `lazaret-agent`. Everything is in the library, so that tests can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lazaret_agent::cli::main()
}
