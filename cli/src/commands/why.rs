//! `lazaret why`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::WhyView;

use super::Session;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Names the one gate that holds a device, as its next poll would meet it, and what would open it.

Example:
  lazaret why d-17")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
}

pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let view: WhyView = session.client()?.get(&format!("/v1/devices/{}/why", args.device))?;
    session.output.show(&view, in_words)
}

fn in_words(view: &WhyView) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let now = output::now();
    output::facts(&[
        ("device", view.device.to_string()),
        ("rollout", or_none(view.rollout.as_ref().map(ToString::to_string))),
        ("gate", view.gate.clone()),
        ("holds", view.holds.clone()),
        ("opens with", view.opens.clone()),
        ("brings", or_none(view.brings.clone())),
        ("runs", or_none(view.running.as_ref().map(ToString::to_string))),
        ("last seen", or_none(view.last_seen.map(|seen| output::ago(seen, now)))),
        ("last outcome", or_none(view.last_outcome.clone())),
        ("quarantine", if view.quarantined { "yes" } else { "no" }.to_owned()),
    ])
}
