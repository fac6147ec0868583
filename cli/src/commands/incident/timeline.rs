//! `lazaret incident timeline`.

use lazaret_protocol::id::IncidentId;
use lazaret_protocol::operator::{EventView, Page};

use crate::commands::{Session, list_end};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What the server recorded of the incident, its devices and the rollouts that cure it, since it was
opened. Who did what is also in the audit log, which anybody verifies (lazaret audit verify).

Example:
  lazaret incident timeline i-1")]
pub(crate) struct Args {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// Show what came after the event of this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/incidents/{}/timeline", args.incident);
    let page: Page<EventView> =
        session.client()?.list(&path, Some(args.after.to_string()), args.limit)?;
    session.output.show(&page, |page| {
        let rows = page.items.iter().map(|event| {
            vec![event.sequence.to_string(), event.at.to_string(), event.what.clone()]
        });
        let table = output::table(&["number>", "when", "what"], rows);
        table + &list_end("events", page.items.len(), page.next.as_deref())
    })
}
