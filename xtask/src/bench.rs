//! `cargo xtask bench NAME`: builds the benchmarks as release programs and runs one of them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::demo::target_folder;
use crate::run;
use crate::tree::Tree;

/// What is handed on as it is.
#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// The benchmark's name and its options; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
    arguments: Vec<String>,
}

/// What makes a site with a device.
const SITE: [&str; 5] =
    ["lazaret-server", "lazaret-agent", "lazaret-repo-keys", "lazaret-cli", "lazaret-tests"];

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
    let target = target_folder(tree)?;
    let mut command = Command::new(target.join("release").join("lazaret-bench"));
    command.args(&bench.arguments);
    let names = |wanted: &[&str]| bench.arguments.iter().any(|it| wanted.contains(&it.as_str()));
    // The ones that watch an agent at a real server need both.
    if names(&["agent", "tuf"]) {
        eprintln!("building the programs of a site, and the agent as devices get it");
        site(tree, &[])?;
        command.arg("--programs").arg(target.join("debug"));
        command.arg("--agent").arg(small_agent(tree)?);
    }
    // What the server takes for each device counts here.
    if names(&["contain"]) {
        eprintln!("building the programs of a site (release)");
        site(tree, &["--release"])?;
        command.arg("--programs").arg(target.join("release"));
    }
    let status = command.status()?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}

fn site(tree: &Tree, profile: &[&str]) -> anyhow::Result<()> {
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--bins"]).args(profile);
    for package in SITE {
        build.args(["--package", package]);
    }
    let built = build.current_dir(tree.root()).stdout(Stdio::null()).status()?;
    ensure!(built.success(), "the programs of a site do not build");
    Ok(())
}

/// Builds the agent as devices get it: the profile `small`, and on glibc a static program. Gives
/// where it lies.
///
/// # Errors
/// It does not build.
pub(crate) fn small_agent(tree: &Tree) -> anyhow::Result<PathBuf> {
    let said = run::read(tree, "rustc", &["-vV"])?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say for which machine it builds")?;
    // By the target and not by RUSTFLAGS: programs that run while building stay as they are.
    let flags = format!("target.{host}.rustflags=[\"-C\",\"target-feature=+crt-static\"]");
    let built = Command::new("cargo")
        .args(["--config", &flags, "build", "--profile", "small", "--locked", "--bins"])
        .args(["--target", host, "--package", "lazaret-agent"])
        .current_dir(tree.root())
        .stdout(Stdio::null())
        .status()
        .context("cargo cannot be run")?;
    ensure!(built.success(), "the agent does not build");
    Ok(target_folder(tree)?.join(host).join("small").join("lazaret-agent"))
}
