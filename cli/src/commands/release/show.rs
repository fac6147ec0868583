//! `lazaret release show`.

use lazaret_protocol::id::{ModelName, VersionName};
use lazaret_protocol::operator::ReleaseView;

use super::{in_words, route};
use crate::commands::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret release show gw2 2.0")]
pub(crate) struct Args {
    /// The hardware model
    #[arg(value_name = "MODEL")]
    model: ModelName,
    /// The version
    #[arg(value_name = "VERSION")]
    version: VersionName,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let release: ReleaseView = session.client()?.get(&route(&args.model, &args.version))?;
    session.output.show(&release, in_words)
}
