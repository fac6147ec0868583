//! `lazaret`: what operators and responders type. Arguments in, requests to the server's operator
//! listener out, answers as tables or as JSON; evidence is checked here without any server.
//!
//! Exit codes: 0 done, 1 it did not work, 2 misuse, 3 something expires soon. Answers go to
//! standard output, everything else to standard error.

mod client;
mod commands;
mod durable;
mod evidence;
mod output;
mod plot;
mod settings;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use crate::commands::{Alarming, Cli};
use crate::words::Misuse;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        // `lazaret device list | head` closes our output once it has seen enough.
        Err(err) if output::is_closed_pipe(&err) => ExitCode::SUCCESS,
        Err(err) => {
            let text: Vec<String> = err.chain().map(ToString::to_string).collect();
            eprintln!("error: {}", output::shown(&text.join(": ")));
            ExitCode::from(exit_code(&err))
        }
    }
}

fn exit_code(err: &anyhow::Error) -> u8 {
    match err {
        err if err.is::<Misuse>() => 2,
        err if err.is::<Alarming>() => 3,
        _ => 1,
    }
}
