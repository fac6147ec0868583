//! `lazaret evidence show`: what a bundle's forensic log records.

use std::path::PathBuf;

use lazaret_protocol::id::DeviceId;
use serde::Serialize;

use super::Opening;
use super::timeline::{Line, table, verified};
use crate::commands::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The bundle is checked first, and nothing is shown of one that does not hold.

Example:
  lazaret evidence show b-41.tar.zst.age --device-ca device-ca.pem --identity responder.age")]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    opening: Opening,
}

#[derive(Debug, Serialize)]
struct Shown {
    device: DeviceId,
    records: Vec<Line>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let (device, records) = verified(&args.bundle, &args.opening)?;
    let shown = Shown { device, records };
    session.output.show(&shown, |shown| {
        let Shown { device, records } = shown;
        let count = records.len();
        format!("{}\n{count} records, the word of {device}: every check holds", table(records))
    })
}
