//! `lazaret device accept-log`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{AcceptLogReply, ReasonRequest};

use crate::commands::Session;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A device whose forensic log was cut, rewritten or forked is said to be so (`log-forked` among
`lazaret events`, with both checkpoints), and the server witnesses nothing of the other past. Where
there is a good reason for it, such as a device that was provisioned again or set up from a backup,
an incident commander accepts that its log begins anew. The fork stays in the event log, and so does
who accepted it and why; collect a bundle first.

Example:
  lazaret device accept-log d-41 --reason \"flash replaced, case 2026-17\"")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why its other past is good
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/devices/{}/accept-log", args.device);
    let body = ReasonRequest { reason: args.reason.into() };
    let accepted: AcceptLogReply = session.client()?.post(&path, &body)?;
    session.output.show(&accepted, |accepted| {
        let rings: Vec<&str> = accepted.rings.iter().map(|ring| ring.as_str()).collect();
        format!("the log of {} begins anew: {}", accepted.device, rings.join(" and "))
    })
}
