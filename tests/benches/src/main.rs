//! `cargo xtask bench NAME`: every benchmark, one file each in the table below. What they share is
//! the shape of what comes out (`report`) and how another program is measured (`program`).
//! Benchmarks measure the crates and programs as they ship; none of them is a test.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

mod agent;
mod contain;
mod delta;
mod evidence;
mod program;
mod report;
mod rollout;
mod sweep;
mod tuf;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::report::Row;

/// Measure, side by side with the peers, in one run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", after_help = list())]
pub(crate) struct Options {
    /// Which benchmark.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(BENCHES.iter().map(|b| b.name)))]
    name: String,
    /// Print one JSON object {"name", "rows": [...]} and nothing else on standard output.
    #[arg(long)]
    json: bool,
    /// The smallest cases only: whether the benchmark works, not how fast anything is.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// For delta: measure these two images instead of the pairs from public packages.
    #[arg(long, value_name = "FILE", requires = "result")]
    pub(crate) base: Option<std::path::PathBuf>,
    /// The newer of these two images.
    #[arg(long, value_name = "FILE", requires = "base")]
    pub(crate) result: Option<std::path::PathBuf>,
    /// The folder of `agent-at-rest` and the programs of a site; where this one is otherwise.
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub(crate) programs: Option<PathBuf>,
    /// The agent as devices get it.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) agent: Option<PathBuf>,
}

/// One benchmark. What it says on its way goes to standard error.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Options) -> anyhow::Result<Vec<Row>>,
}

/// All benchmarks, by name. One row each.
const BENCHES: &[Bench] = &[
    Bench {
        name: "agent",
        about: "size, memory and work of the agent at rest, beside rauc, swupdate and mender",
        run: agent::run,
    },
    Bench {
        name: "contain",
        about: "from `lazaret device quarantine` to the proof of 1,000 connected agents",
        run: contain::run,
    },
    Bench {
        name: "delta",
        about: "size, time and memory of deltas beside bsdiff, zstd, xdelta3 and HDiffPatch",
        run: delta::run,
    },
    Bench {
        name: "evidence",
        about: "what one record of a device's log costs, beside journald's line",
        run: evidence::run,
    },
    Bench {
        name: "rollout",
        about: "devices harmed, time to 99 %, false halts, and what deciding one poll costs",
        run: rollout::run,
    },
    Bench {
        name: "sweep",
        about: "who is affected, over a million devices and their bills of materials",
        run: sweep::run,
    },
    Bench {
        name: "tuf",
        about: "requests, bytes, time and memory of TUF clients at 1, 20 and 100 models",
        run: tuf::run,
    },
];

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == options.name) else {
        eprintln!("error: no benchmark has the name {:?}", options.name);
        return ExitCode::FAILURE;
    };
    let rows = match (bench.run)(&options) {
        Ok(rows) => rows,
        Err(err) => {
            eprintln!("error: {err:#}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        println!("{}", report::json(bench.name, &rows));
    } else {
        println!("{}", report::table(&rows));
        println!("{}", report::chart(&rows));
    }
    // A goal that is missed is told by the exit code too.
    if rows.iter().all(|row| row.ok != Some(false)) { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn list() -> String {
    let lines = BENCHES.iter().map(|bench| format!("  {:10} {}\n", bench.name, bench.about));
    format!(
        "Benchmarks:\n{}\nExit code: 0 when every goal is met, 2 when one is missed, 1 when it \
         could not be measured.",
        lines.collect::<String>()
    )
}
