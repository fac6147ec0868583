//! `lazaret device quarantine`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{DeviceView, ReasonRequest};

use super::in_words;
use crate::commands::Session;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server refuses the device everything but evidence and cure at once, on open connections too. The
device is shown as contained once it says so itself.

Example:
  lazaret device quarantine d-41 --reason \"unknown process listens on 4444\"")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/devices/{}/quarantine", args.device);
    let body = ReasonRequest { reason: args.reason.into() };
    let device: DeviceView = session.client()?.post(&path, &body)?;
    session.output.show(&device, in_words)
}
