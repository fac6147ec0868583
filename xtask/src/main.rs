//! Our only build tool: what a person or a machine runs on this tree, one file per command. Nothing
//! that ships lives here, and nothing that ships may depend on it.
#![allow(clippy::print_stdout, reason = "a build tool talks to the person at the terminal")]

mod arrows;
mod bench;
mod ci;
mod deb;
mod demo;
mod docs_check;
mod finding;
mod fuzz;
mod prepare;
mod run;
mod test;
mod tidy;
mod tokens;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::tree::Tree;

/// Build, test and check this tree.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Run the main job end to end: ceremony, server, five devices, three releases, a quarantine.
    Demo(demo::Demo),
    /// Fail on every dependency, module path or reserved call that DESIGN section 2 does not draw.
    Arrows,
    /// Fail on what STYLE forbids and no compiler sees: widths, openings, names, undocumented
    /// codes.
    Tidy,
    /// Run everything there is to test; installs what the system lacks through apt when it may.
    Test,
    /// Run all that a change must pass: formatting, lints, arrows, tidy, docs, `no_std`, and
    /// `test`.
    Ci,
    /// Measure beside the peers: `cargo xtask bench --help` lists what.
    Bench(bench::Bench),
    /// Feed one parser with inputs that coverage guides: `cargo xtask fuzz list` lists them.
    Fuzz(fuzz::Fuzz),
    /// Build the agent's Debian package, for the kind of machine that this is.
    Deb(deb::Deb),
    /// Check that links, files and tests that the pages name exist.
    DocsCheck,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let tree = Tree::of_this_workspace();
    let outcome = match arguments.command {
        Command::Demo(demo) => demo::tell(&tree, &demo),
        Command::Bench(bench) => bench::run(&tree, &bench),
        Command::Fuzz(fuzz) => fuzz::run(&tree, &fuzz),
        Command::Arrows => arrows::run(&tree),
        Command::Tidy => tidy::run(&tree),
        Command::Test => test::run(&tree),
        Command::Ci => ci::run(&tree),
        Command::Deb(deb) => deb::run(&tree, &deb),
        Command::DocsCheck => docs_check::run(&tree),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}
