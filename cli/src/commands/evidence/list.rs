//! `lazaret evidence list`.

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{BundleView, Page};

use crate::commands::{Range, Session, list_end};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A bundle that is damaged is missing on the server's disk, or has rotted there: `lazaret evidence
scrub` looks.

Example:
  lazaret evidence list --device d-41
  lazaret --json evidence list | jq '.items[] | select(.held_by != []).id'")]
pub(crate) struct Args {
    /// Only bundles of this device
    #[arg(long, value_name = "ID")]
    device: Option<DeviceId>,
    #[command(flatten)]
    range: Range,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let (after, limit) = (args.range.after.clone(), args.range.limit);
    let mut page: Page<BundleView> = client.list("/v1/bundles", after, limit)?;
    if let Some(device) = &args.device {
        page.items.retain(|bundle| bundle.device == *device);
    }
    session.output.show(&page, in_words)
}

fn in_words(page: &Page<BundleView>) -> String {
    let rows = page.items.iter().map(|bundle| {
        let last = bundle.custody.last();
        vec![
            bundle.id.to_string(),
            bundle.device.to_string(),
            match &bundle.damage {
                Some(why) => format!("DAMAGED: {why}"),
                None => output::word(&bundle.state),
            },
            output::bytes(bundle.length),
            if bundle.held_by.is_empty() { "-".to_owned() } else { bundle.held_by.join(" ") },
            last.map_or_else(|| "-".to_owned(), |act| format!("{} by {}", act.act, act.who)),
            bundle.reason.clone(),
        ]
    });
    let columns = ["bundle", "device", "state", "size>", "held by", "last act", "reason"];
    output::table(&columns, rows) + &list_end("bundles", page.items.len(), page.next.as_deref())
}
