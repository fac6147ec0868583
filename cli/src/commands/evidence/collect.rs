//! `lazaret evidence collect`: a bundle is ordered, and comes when the device polls.

use lazaret_protocol::id::{BundleId, DeviceId, ProfileName};
use lazaret_protocol::operator::{CollectionReply, CollectionRequest};
use lazaret_protocol::order::Wanted;
use lazaret_protocol::time::Timestamp;
use serde::Serialize;

use crate::commands::Session;
use crate::output;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The device collects at its next poll, also in quarantine, and encrypts what it collects to the
responders that the fleet's anchors name. `lazaret evidence pull --bundle` fetches it.

A profile says what is collected and what that may cost in bytes, time and CPU. Every device knows
`triage` (what is gone first, a few MiB) and `full`; further ones stand as [[profiles]] in its own
settings. What does not fit into a profile's budget is in the bundle as partial or failed, with the
reason.

Example:
  lazaret evidence collect d-41 --reason \"case 2026-17\"
  lazaret evidence collect d-41 --reason \"case 2026-17\" --profile full \\
    --since 2026-11-20T08:00:00Z --until 2026-11-20T12:00:00Z")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why, for the custody log
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    #[command(flatten)]
    wanted: WantedArgs,
}

/// What the bundle is to hold.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct WantedArgs {
    /// What is collected: triage, full, or a profile of the device's own
    #[arg(long, value_name = "NAME")]
    profile: Option<ProfileName>,
    /// From when on the system's journal is wanted, such as 2026-11-20T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Until when the system's journal is wanted
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|err| err.to_string())
}

impl From<WantedArgs> for Wanted {
    fn from(WantedArgs { profile, since, until }: WantedArgs) -> Self {
        Self { profile, since, until }
    }
}

#[derive(Debug, Serialize)]
struct Ordered {
    bundle: BundleId,
    device: DeviceId,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.device;
    let body = CollectionRequest { reason: args.reason.into(), wanted: args.wanted.into() };
    let path = format!("/v1/devices/{device}/evidence");
    let CollectionReply { bundle } = session.client()?.post(&path, &body)?;
    session.output.show(&Ordered { bundle, device }, |ordered| {
        let Ordered { bundle, device } = ordered;
        let facts =
            output::facts(&[("bundle", bundle.to_string()), ("device", device.to_string())]);
        format!("{facts}\nfetch it: lazaret evidence pull {device} --bundle {bundle} --out FILE")
    })
}
