//! `cargo xtask demo`: builds the programs as people would run them, and has `tests/demo` tell the
//! main job end to end with them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::run;
use crate::tree::Tree;

/// What the demo takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    /// The first image; without it, two are built from real files of this machine.
    #[arg(long, requires = "to", value_name = "FILE")]
    from: Option<PathBuf>,
    /// The second image.
    #[arg(long, requires = "from", value_name = "FILE")]
    to: Option<PathBuf>,
    /// Leave everything running, and print the commands to look around.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object {"ok", "steps": [...]} and nothing else on standard output.
    #[arg(long)]
    json: bool,
}

const PACKAGES: [&str; 5] =
    ["lazaret-server", "lazaret-agent", "lazaret-repo-keys", "lazaret-cli", "lazaret-tests"];

/// Builds and runs it.
///
/// # Errors
/// The programs do not build, or a step of the demo is not as it should be.
pub(crate) fn tell(tree: &Tree, demo: &Demo) -> anyhow::Result<()> {
    eprintln!("building the programs (release; some minutes in a fresh clone)");
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--bins"]).current_dir(tree.root());
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    // Standard output is the demo's alone, so that --json prints one object.
    let built = build.stdout(Stdio::null()).status().context("cargo cannot be run")?;
    ensure!(built.success(), "the programs do not build");
    let mut story = Command::new(target_folder(tree)?.join("release").join("demo"));
    for (name, file) in [("--from", &demo.from), ("--to", &demo.to)] {
        if let Some(file) = file {
            story.arg(name).arg(file);
        }
    }
    story.args(demo.keep.then_some("--keep")).args(demo.json.then_some("--json"));
    let told = story.status().context("the demo cannot be run")?;
    ensure!(told.success(), "the demo did not come to its end");
    Ok(())
}

/// Where cargo builds to: it may be set by the environment or a configuration file.
pub(crate) fn target_folder(tree: &Tree) -> anyhow::Result<PathBuf> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--locked"];
    let metadata = run::read(tree, "cargo", &arguments)?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    Ok(PathBuf::from(folder.context("cargo metadata names no target folder")?))
}
