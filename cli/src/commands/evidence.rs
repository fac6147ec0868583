//! `lazaret evidence ...`: the table of its commands, and reading a bundle's file for those that
//! do.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use super::Session;

mod pull;
mod report;
mod show;
mod verify;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Order a bundle from a device, wait for it, and fetch it
    Pull(pull::Args),
    /// Check a bundle without any server
    Verify(verify::Args),
    /// Show what a bundle's forensic log records
    Show(show::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Pull(args) => pull::run(args, session),
            Self::Verify(args) => verify::run(&args, session),
            Self::Show(args) => show::run(&args, session),
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(file.metadata()?.is_file(), "expected a file, got {}", path.display());
    Ok(file)
}
