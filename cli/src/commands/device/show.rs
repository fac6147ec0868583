//! `lazaret device show`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::DeviceView;

use super::in_words;
use crate::commands::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret device show d-41")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let device: DeviceView = session.client()?.get(&format!("/v1/devices/{}", args.device))?;
    session.output.show(&device, in_words)
}
