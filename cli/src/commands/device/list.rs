//! `lazaret device list`.

use lazaret_protocol::operator::{DeviceView, Page};

use super::containment;
use crate::commands::{Range, Session, list_end};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
--filter takes hawkBit's language: ; is and, , is or, == != =lt= =gt= =in=(...) compare. Server and
device are asked for fields such as model, version, group, quarantine, last_seen, label.KEY and
attribute.KEY.

Example:
  lazaret device list --filter 'model==gw2;version=lt=2.4.0;label.site==lyon'
  lazaret device list --limit 50
  lazaret --json device list | jq '.items[] | select(.quarantine).id'")]
pub(crate) struct Args {
    /// Only devices that match
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    #[command(flatten)]
    range: Range,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let page: Page<DeviceView> = client.list_matching(
        "/v1/devices",
        args.filter.as_deref(),
        (args.range.after, args.range.limit),
    )?;
    session.output.show(&page, in_words)
}

fn in_words(page: &Page<DeviceView>) -> String {
    let now = output::now();
    let rows = page.items.iter().map(|device| {
        let running = device.running.as_ref();
        vec![
            device.id.to_string(),
            device.model.to_string(),
            running.map_or_else(|| "-".to_owned(), |running| running.version.to_string()),
            device.update_state.clone(),
            containment(device).to_owned(),
            device.last_seen.map_or_else(|| "never".to_owned(), |seen| output::ago(seen, now)),
            device.last_outcome.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let columns = ["device", "model", "runs", "update", "quarantine", "last seen>", "last outcome"];
    let table = output::table(&columns, rows);
    table + &list_end("devices", page.items.len(), page.next.as_deref())
}
