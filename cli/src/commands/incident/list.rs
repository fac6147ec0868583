//! `lazaret incident list`.

use lazaret_protocol::operator::{ClockState, IncidentView, Page};

use crate::commands::{Session, list_end};
use crate::output::{self, word};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret incident list")]
pub(crate) struct Args {
    /// Show what comes behind this incident
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 500)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let page: Page<IncidentView> =
        session.client()?.list("/v1/incidents", args.after, args.limit)?;
    session.output.show(&page, |page| {
        let rows = page.items.iter().map(|incident| {
            vec![
                incident.id.to_string(),
                word(&incident.severity),
                word(&incident.state),
                incident.devices.to_string(),
                incident.commander.to_string(),
                due(incident),
                incident.title.clone(),
            ]
        });
        let columns = ["incident", "severity", "state", "devices>", "commander", "due", "what"];
        output::table(&columns, rows)
            + &list_end("incidents", page.items.len(), page.next.as_deref())
    })
}

/// The clock that runs out first.
fn due(incident: &IncidentView) -> String {
    let open = |state| matches!(state, ClockState::Running | ClockState::Soon | ClockState::Late);
    let clocks = incident.clocks.iter().filter(|clock| open(clock.state));
    let first = clocks.min_by_key(|clock| clock.due);
    first.map_or_else(|| "-".to_owned(), |clock| format!("{} {}", clock.name, word(&clock.state)))
}
