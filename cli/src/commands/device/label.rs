//! `lazaret device label`.

use std::collections::BTreeMap;

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{DeviceView, LabelRequest};

use crate::commands::Session;
use crate::words::Label;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
KEY=VALUE sets a label, KEY- removes it; others stay. Filters name them as label.KEY and group.

Example:
  lazaret device label d-1 site=lyon floor=2 owner-
  lazaret device label d-1 --group canaries")]
pub(crate) struct Args {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Labels to set or remove
    #[arg(value_name = "KEY=VALUE|KEY-")]
    labels: Vec<Label>,
    /// The group to put it in; empty for none
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let labels: BTreeMap<String, Option<String>> =
        args.labels.into_iter().map(|Label { key, value }| (key, value)).collect();
    let body = LabelRequest { labels, group: args.group };
    let path = format!("/v1/devices/{}/labels", args.device);
    let device: DeviceView = session.client()?.post(&path, &body)?;
    session.output.show(&device, super::in_words)
}
