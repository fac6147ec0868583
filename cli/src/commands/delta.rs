//! `lazaret delta ...`: the table of its commands. They need no server; what a delta of theirs
//! yields is trusted no more than a file that was copied.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use super::Session;

mod apply;
mod inspect;
mod make;
#[cfg(test)]
mod tests;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say an image in terms of an older one
    Make(make::Args),
    /// Make the image again from the older one
    Apply(apply::Args),
    /// Show what a delta leads from and to, and what it costs
    Inspect(inspect::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Make(args) => make::run(&args, session),
            Self::Apply(args) => apply::run(&args, session),
            Self::Inspect(args) => inspect::run(&args, session),
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(file.metadata()?.is_file(), "expected a file, got {}", path.display());
    Ok(file)
}

/// A digest as people compare it.
fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
