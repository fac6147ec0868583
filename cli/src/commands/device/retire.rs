//! `lazaret device retire`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{DeviceView, ReasonRequest};

use super::in_words;
use crate::commands::Session;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing of it is answered from then on, on open connections too, and nothing enrols as it again. It
cannot be undone. What was recorded of it stays.

Example:
  lazaret device retire d-41 --reason \"sold\"")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/devices/{}/retire", args.device);
    let body = ReasonRequest { reason: args.reason.into() };
    let device: DeviceView = session.client()?.post(&path, &body)?;
    session.output.show(&device, in_words)
}
