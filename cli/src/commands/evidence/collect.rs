//! `lazaret evidence collect`: a bundle is ordered, and comes when the device polls.

use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::operator::{CollectionReply, ReasonRequest};
use serde::Serialize;

use crate::commands::Session;
use crate::output;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The device collects at its next poll, also in quarantine, and encrypts what it collects to the
responders that the fleet's anchors name. `lazaret evidence pull --bundle` fetches it.

Example:
  lazaret evidence collect d-41 --reason \"case 2026-17\"")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why, for the custody log
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, Serialize)]
struct Ordered {
    bundle: BundleId,
    device: DeviceId,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.device;
    let body = ReasonRequest { reason: args.reason.into() };
    let path = format!("/v1/devices/{device}/evidence");
    let CollectionReply { bundle } = session.client()?.post(&path, &body)?;
    session.output.show(&Ordered { bundle, device }, |ordered| {
        let Ordered { bundle, device } = ordered;
        let facts =
            output::facts(&[("bundle", bundle.to_string()), ("device", device.to_string())]);
        format!("{facts}\nfetch it: lazaret evidence pull {device} --bundle {bundle} --out FILE")
    })
}
