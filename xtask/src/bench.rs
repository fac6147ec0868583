//! `cargo xtask bench NAME`: builds the benchmarks as release programs and runs one of them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::demo::target_folder;
use crate::tree::Tree;

/// What is handed on as it is.
#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// The benchmark's name and its options; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
    arguments: Vec<String>,
}

/// Builds and runs it. Its exit code is ours: 2 for a goal that is missed.
///
/// # Errors
/// It does not build, cannot measure, or misses a goal.
pub(crate) fn run(tree: &Tree, bench: &Bench) -> anyhow::Result<()> {
    eprintln!("building the benchmarks (release; some minutes in a fresh clone)");
    let built = Command::new("cargo")
        .args(["build", "--release", "--locked", "--bins", "--package", "lazaret-benches"])
        .current_dir(tree.root())
        .stdout(Stdio::null())
        .status()
        .context("cargo cannot be run")?;
    ensure!(built.success(), "the benchmarks do not build");
    let program = target_folder(tree)?.join("release").join("lazaret-bench");
    let status = Command::new(program).args(&bench.arguments).status()?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}
