//! The main job end to end, as separate processes over loopback TLS: `cargo xtask demo` builds the
//! programs and runs this. Every step is checked, and the first that is not as it should be ends
//! the demo with an error.

mod report;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Runs the main job end to end in a temporary folder, and says what happens in plain words.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Cli {
    /// The first image; without it, one is built from real files of this machine.
    #[arg(long, requires = "to", value_name = "FILE")]
    from: Option<PathBuf>,
    /// The second image.
    #[arg(long, requires = "from", value_name = "FILE")]
    to: Option<PathBuf>,
    /// Leave everything running, and print the commands to look around.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object and nothing else on standard output.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut report = report::Report::new(cli.json);
    let images = cli.from.zip(cli.to);
    let done = story::tell(&mut report, images, cli.keep);
    if let Err(err) = &done {
        report.failed(&format!("{err:#}"));
    }
    report.finish();
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
