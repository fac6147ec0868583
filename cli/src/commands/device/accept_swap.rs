//! `lazaret device accept-swap`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{DeviceView, ReasonRequest};

use super::in_words;
use crate::commands::Session;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Bind the device to the numbers that it says it has. Where the server enforces its binding, the
device is held until this is done. `lazaret device show` says which numbers have changed; look
first whether somebody should have had hands on it.

Example:
  lazaret device accept-swap d-41 --reason \"new SIM card, ticket 4711\"")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/devices/{}/accept-swap", args.device);
    let body = ReasonRequest { reason: args.reason.into() };
    let device: DeviceView = session.client()?.post(&path, &body)?;
    session.output.show(&device, in_words)
}
