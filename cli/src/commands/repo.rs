//! `lazaret repo ...`: the signed repository itself. Who may sign what, how long it is good for,
//! and the sets of signed files that ceremonies hand in.

use clap::Subcommand;

use super::Session;

mod fetch;
mod publish;
mod read;
mod signers;
mod status;

pub(crate) use status::Alarming;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every role with its signers, threshold, version and days to expiry, verified from your root
    Status(status::Args),
    /// Fetch all signed metadata, as changes of keys build on it
    Fetch(fetch::Args),
    /// Hand in what a ceremony signed, all of it together or nothing
    Publish(publish::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Status(args) => status::run(&args, session),
            Self::Fetch(args) => fetch::run(&args, session),
            Self::Publish(args) => publish::run(&args, session),
        }
    }
}
