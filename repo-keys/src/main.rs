//! The program `lazaret-keys`: reads the command line and the clock, and says how it ended.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys::cli::Cli;
use lazaret_repo_keys::error::StepError;

fn main() -> ExitCode {
    // clap ends misuse with exit code 2 by itself.
    let cli = Cli::parse();
    match cli.run(&cli.session(clock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&cli, &err);
            ExitCode::from(err.exit_code())
        }
    }
}

/// A clock before 1970 counts as 1970: payloads would then be expired, which is refused and seen.
fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn say(cli: &Cli, err: &StepError) {
    if cli.json {
        let json = serde_json::json!({ "error": err.in_full(), "code": err.code() });
        let _printed = writeln!(std::io::stdout().lock(), "{json}");
    }
    let _printed = writeln!(std::io::stderr().lock(), "lazaret-keys: {}", err.in_full());
}
