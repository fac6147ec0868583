//! `lazaret incident contain`: quarantine of all that an incident has in it.

use lazaret_protocol::containment::{Level, UnitName};
use lazaret_protocol::id::IncidentId;
use lazaret_protocol::operator::{ContainRequest, ContainView};

use crate::commands::Session;
use crate::commands::device::contained_in_words;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The devices are those that were in the incident when it was opened. Levels are those of `device
quarantine`; more devices than one person may contain in an hour wait for a second one (`device
quarantine --confirm`). How far it has come: `incident status`, or `device quarantine --status`
with the name that is printed.

Example:
  lazaret incident contain i-1 --level isolate --dry-run --reason \"worm\"
  lazaret incident contain i-1 --level isolate --stop app.service --reason \"worm\"")]
pub(crate) struct Args {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// How far: observe, hold, restrict, isolate or revoke
    #[arg(long, value_name = "LEVEL", default_value_t = Level::Restrict)]
    level: Level,
    /// A unit of systemd to stop and mask on the devices; give it once for each
    #[arg(long, value_name = "UNIT")]
    stop: Vec<UnitName>,
    /// Say who it would be, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let request = ContainRequest {
        reason: args.reason.into(),
        level: args.level,
        stop: args.stop,
        devices: Vec::new(),
        filter: None,
        incident: Some(args.incident),
        dry_run: args.dry_run,
    };
    let view: ContainView = session.client()?.post("/v1/quarantines", &request)?;
    session.output.show(&view, contained_in_words)
}
