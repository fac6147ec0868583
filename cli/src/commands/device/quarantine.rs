//! `lazaret device quarantine`: contain one device or many, see who it would be, agree as the
//! second person, and see where each of them stands.

use lazaret_protocol::containment::{Level, UnitName};
use lazaret_protocol::id::{ActId, DeviceId, IncidentId};
use lazaret_protocol::operator::{
    ContainRequest, ContainView, DeviceView, QuarantineRequest, ReasonRequest,
};

use super::in_words;
use crate::commands::Session;
use crate::output;
use crate::words::{Misuse, Reason};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Levels, each with all that is before it:
  observe   the device is marked; nothing is closed
  hold      no rollouts
  restrict  the server refuses all but evidence out and cure in, at once, on open connections too
  isolate   the device closes its own network to all but the addresses in the server's settings
            (containment.open), stops the units that --stop names, and tries that this holds
  revoke    the certificate is good for polls, reports and evidence alone, and is not renewed

Raising a level needs nobody else, up to as many devices an hour as the server's settings say (20,
or 1 % of the fleet); beyond that the set waits, and another operator or incident commander agrees
with --confirm. Going down or out is a release on proof: lazaret device release-request.

A device is shown as contained once it says itself that every measure was tried and holds.

Examples:
  lazaret device quarantine d-41 --reason \"unknown process listens on 4444\"
  lazaret device quarantine d-41 d-42 --level isolate --stop app.service --reason \"worm\"
  lazaret device quarantine --filter 'model==gw2;version=lt=2.1' --level isolate --dry-run \\
    --reason \"worm\"
  lazaret device quarantine --confirm q-1795-ab12cd --reason \"agreed on the phone\"
  lazaret device quarantine --status q-1795-ab12cd")]
pub(crate) struct Args {
    /// Which devices
    #[arg(value_name = "ID", conflicts_with_all = ["filter", "confirm", "status"])]
    devices: Vec<DeviceId>,
    /// Those that match, as in `device list --filter`
    #[arg(long, value_name = "FILTER", conflicts_with_all = ["confirm", "status"])]
    filter: Option<String>,
    /// Those of an incident
    #[arg(long, value_name = "INCIDENT")]
    #[arg(conflicts_with_all = ["devices", "filter", "confirm", "status"])]
    incident: Option<IncidentId>,
    /// How far: observe, hold, restrict, isolate or revoke
    #[arg(long, value_name = "LEVEL", default_value_t = Level::Restrict)]
    level: Level,
    /// A unit of systemd to stop and mask on the device; give it once for each
    #[arg(long, value_name = "UNIT")]
    stop: Vec<UnitName>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "status")]
    reason: Option<Reason>,
    /// Say who it would be, and do nothing
    #[arg(long, conflicts_with_all = ["confirm", "status"])]
    dry_run: bool,
    /// Agree, as the second person, to a containment that waits
    #[arg(long, value_name = "ACT", conflicts_with = "status")]
    confirm: Option<ActId>,
    /// Say where each device of a containment stands
    #[arg(long, value_name = "ACT")]
    status: Option<ActId>,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let reason = args.reason.map(String::from).unwrap_or_default();
    if let Some(act) = &args.status {
        let view: ContainView = client.get(&format!("/v1/quarantines/{act}"))?;
        return session.output.show(&view, set_in_words);
    }
    if let Some(act) = &args.confirm {
        let path = format!("/v1/quarantines/{act}/confirm");
        let view: ContainView = client.post(&path, &ReasonRequest { reason })?;
        return session.output.show(&view, set_in_words);
    }
    let (level, stop) = (args.level, args.stop);
    match args.devices.as_slice() {
        [] if args.filter.is_none() && args.incident.is_none() => Err(Misuse::NobodyNamed.into()),
        [device] if !args.dry_run => {
            let path = format!("/v1/devices/{device}/quarantine");
            let body = QuarantineRequest { reason, level, stop };
            let device: DeviceView = client.post(&path, &body)?;
            session.output.show(&device, in_words)
        }
        _ => {
            let request = ContainRequest {
                reason,
                level,
                stop,
                devices: args.devices,
                filter: args.filter,
                incident: args.incident,
                dry_run: args.dry_run,
            };
            let view: ContainView = client.post("/v1/quarantines", &request)?;
            session.output.show(&view, set_in_words)
        }
    }
}

pub(crate) fn set_in_words(view: &ContainView) -> String {
    let counts: Vec<String> =
        view.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let rows = view.members.iter().map(|member| {
        vec![
            member.device.to_string(),
            member.state.clone(),
            output::shown(member.why.as_deref().unwrap_or("-")),
        ]
    });
    let table = output::table(&["device", "stands", "why"], rows);
    let second = match (&view.confirmed_by, view.needs_second_person) {
        (Some(name), _) => format!("{name} agreed"),
        (None, true) => "needed".to_owned(),
        (None, false) => "not needed".to_owned(),
    };
    let head = output::facts(&[
        ("containment", view.act.clone().unwrap_or_else(|| "a preview".to_owned())),
        ("state", view.state.clone()),
        ("level", view.level.to_string()),
        ("by", view.by.to_string()),
        ("second person", second),
        ("devices", format!("{}: {}", view.devices, counts.join(", "))),
    ]);
    format!("{head}\n{table}")
}
