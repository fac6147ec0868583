//! `lazaret-fuzz`: the short run by hand, and one input again.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]
#![allow(clippy::disallowed_methods, reason = "what it writes can be made again")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use lazaret_fuzz::short::{self, Ran};
use lazaret_fuzz::{TARGETS, Target};

/// Feed parsers of untrusted bytes with mutations of valid inputs.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the targets.
    List,
    /// Write a target's valid inputs as files, to begin a corpus with.
    Seeds {
        /// Which target.
        target: String,
        /// Into which folder; it is made.
        folder: PathBuf,
    },
    /// Run one target for some seconds, without guidance.
    Run {
        /// Which target.
        target: String,
        /// For how long.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Which inputs; the same number gives the same ones.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Read one input again, such as a finding.
    Again {
        /// Which target.
        target: String,
        /// The input.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Options::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List => {
            for target in TARGETS {
                println!("{:16} {}", target.name, target.about);
            }
            Ok(())
        }
        Command::Seeds { target, folder } => seeds(named(target)?, folder),
        Command::Run { target, seconds, seed } => {
            let ran = short::run(named(target)?, *seed, u64::MAX, Duration::from_secs(*seconds));
            told(target, ran)
        }
        Command::Again { target, file } => {
            let input = std::fs::read(file).context("the input cannot be read")?;
            let mut ran = Ran { inputs: 0, peak_bytes: 0 };
            let outcome = short::one(named(target)?, &input, &mut ran);
            told(target, outcome.map(|()| ran))
        }
    }
}

fn named(name: &str) -> anyhow::Result<&'static Target> {
    Target::named(name).with_context(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("expected one of {}, got {name:?}", names.join(", "))
    })
}

fn seeds(target: &Target, folder: &PathBuf) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}

fn told(target: &str, outcome: Result<Ran, Box<short::Finding>>) -> anyhow::Result<()> {
    match outcome {
        Ok(Ran { inputs, peak_bytes }) => {
            println!("{target}: {inputs} inputs, at most {peak_bytes} bytes allocated for one");
            Ok(())
        }
        Err(finding) => {
            let file = std::env::temp_dir().join(format!("lazaret-fuzz-{target}"));
            std::fs::write(&file, &finding.input)?;
            anyhow::bail!("{target}: {}; the input is in {}", finding.what, file.display())
        }
    }
}
