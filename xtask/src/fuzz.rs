//! `cargo xtask fuzz TARGET --minutes N`: builds the fuzz targets instrumented, and lets libFuzzer
//! follow their coverage. The compiler's own pass instruments, on the stable toolchain of this
//! tree; there is no second toolchain and nothing to install.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::demo::target_folder;
use crate::tree::Tree;

/// What libFuzzer wants instrumented: edges counted in eight bits, a table of their places, and
/// what is compared with what, so that it can guess magic numbers.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions=yes -Coverflow-checks=yes -Ccodegen-units=1";

/// Tells the program which target it is.
const TARGET_VARIABLE: &str = "LAZARET_FUZZ_TARGET";

/// Which target, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Fuzz {
    /// The target; `list` lists them.
    target: String,
    /// For how long, in minutes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Read these inputs and end, instead of looking for others.
    #[arg(long, value_name = "FILE")]
    again: Vec<String>,
}

/// Builds and runs it.
///
/// # Errors
/// It does not build, or there is a finding: libFuzzer says which input, and where it lies.
pub(crate) fn run(tree: &Tree, fuzz: &Fuzz) -> anyhow::Result<()> {
    let folder = target_folder(tree)?;
    let plain = build_plain(tree, &folder)?;
    if fuzz.target == "list" {
        return succeeds(Command::new(plain).arg("list"), "lazaret-fuzz");
    }
    let own = folder.join("fuzz");
    let corpus = own.join("corpus").join(&fuzz.target);
    let findings = own.join("findings").join(&fuzz.target);
    std::fs::create_dir_all(&findings)?;
    succeeds(Command::new(plain).arg("seeds").arg(&fuzz.target).arg(&corpus), "lazaret-fuzz")?;
    let guided = build_guided(tree, &own)?;
    let mut command = Command::new(guided);
    command.env(TARGET_VARIABLE, &fuzz.target).current_dir(tree.root());
    command.arg(format!("-artifact_prefix={}/", findings.display())).arg("-timeout=10");
    if fuzz.again.is_empty() {
        let seconds = fuzz.minutes.saturating_mul(60);
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1").arg(&corpus);
    } else {
        command.args(&fuzz.again);
    }
    succeeds(&mut command, "the fuzzer")
}

fn build_plain(tree: &Tree, folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--package", "lazaret-fuzz", "--bin", "lazaret-fuzz"]);
    succeeds(build.current_dir(tree.root()).stdout(Stdio::null()), "cargo")?;
    Ok(folder.join("debug").join("lazaret-fuzz"))
}

/// The instrumented build has a folder of its own, and names its target machine, so that build
/// scripts and macros stay as they are: they would not link.
fn build_guided(tree: &Tree, own: &Path) -> anyhow::Result<std::path::PathBuf> {
    let machine = host(tree)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--package", "lazaret-fuzz"]);
    build.args(["--features", "guided", "--bin", "lazaret-fuzz-guided", "--target", &machine]);
    build.env("CARGO_TARGET_DIR", own).env("RUSTFLAGS", INSTRUMENTED);
    succeeds(build.current_dir(tree.root()).stdout(Stdio::null()), "cargo")?;
    Ok(own.join(machine).join("release").join("lazaret-fuzz-guided"))
}

fn host(tree: &Tree) -> anyhow::Result<String> {
    let said = crate::run::read(tree, "rustc", &["-vV"])?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say which machine it is on")
}

fn succeeds(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{what} cannot be run"))?;
    ensure!(status.success(), "{what} ended with {status}");
    Ok(())
}
