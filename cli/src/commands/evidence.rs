//! `lazaret evidence ...`: the table of its commands, and what those that read a bundle's file have
//! in common.

use std::path::PathBuf;

use clap::Subcommand;
use lazaret_protocol::anchors::Anchors;
use lazaret_protocol::key::PublicKey;

use super::Session;

mod collect;
mod hold;
mod list;
mod pull;
mod receipt;
mod report;
mod scrub;
mod show;
mod timeline;
mod verify;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Order a bundle from a device, and do not wait for it
    Collect(collect::Args),
    /// List bundles, with who holds them and what was done with them
    List(list::Args),
    /// Order a bundle from a device, wait for it, and fetch it
    Pull(pull::Args),
    /// Check a bundle without any server
    Verify(verify::Args),
    /// Show what a bundle's forensic log records
    Show(show::Args),
    /// Put what several bundles record into one order
    Timeline(timeline::Args),
    /// Place a legal hold on a bundle, or lift it
    Hold(hold::Args),
    /// Have the server read all evidence back
    Scrub(scrub::Args),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Collect(args) => collect::run(args, session),
            Self::List(args) => list::run(&args, session),
            Self::Timeline(args) => timeline::run(&args, session),
            Self::Hold(args) => hold::run(args, session),
            Self::Scrub(args) => scrub::run(&args, session),
            Self::Pull(args) => pull::run(args, session),
            Self::Verify(args) => verify::run(&args, session),
            Self::Show(args) => show::run(&args, session),
        }
    }
}

/// What opens a bundle and says who made it.
#[derive(Debug, clap::Args)]
struct Opening {
    /// Certificates of the device CA, PEM
    #[arg(long, value_name = "FILE")]
    device_ca: PathBuf,
    /// A responder's age identity, for a bundle that is still encrypted; several are tried in turn
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The fleet's trust anchors, which name the keys of the server as a witness
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
}

impl Opening {
    /// The server's keys, none without anchors.
    fn server_keys(&self) -> anyhow::Result<Vec<PublicKey>> {
        let Some(path) = &self.anchors else { return Ok(Vec::new()) };
        let bytes = crate::client::pem_bytes(path)?;
        Ok(Anchors::parse(&bytes)?.order_keys)
    }
}
