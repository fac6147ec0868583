//! `lazaret incident status`.

use std::fmt::Write as _;

use lazaret_protocol::id::IncidentId;
use lazaret_protocol::operator::{IncidentStatus, IncidentView, Standing};

use crate::commands::Session;
use crate::output::{self, drawn, percent, word};

/// Width of a drawn bar.
const BAR: u64 = 24;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every device is counted once under quarantine, once under evidence and once under cure. Who did not
answer is listed by name.

Example:
  lazaret incident status i-1801526400000-0a1b2c")]
pub(crate) struct Args {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/incidents/{}", args.incident);
    let status: IncidentStatus = session.client()?.get(&path)?;
    session.output.show(&status, in_words)
}

/// An incident and its devices for people.
pub(super) fn in_words(status: &IncidentStatus) -> String {
    let IncidentStatus { incident, standing } = status;
    view_in_words(incident) + &standing_in_words(standing)
}

/// An incident for people.
pub(super) fn view_in_words(incident: &IncidentView) -> String {
    let mut facts = vec![
        ("incident", incident.id.to_string()),
        ("what", incident.title.clone()),
        ("severity", word(&incident.severity)),
        ("state", word(&incident.state)),
        ("commander", incident.commander.to_string()),
        ("devices", format!("{} (names: sha256 {})", incident.devices, incident.members)),
        ("filter", incident.filter.clone().unwrap_or_else(|| "-".to_owned())),
        ("aware", incident.aware.to_string()),
    ];
    if let Some(at) = incident.corrective {
        facts.push(("corrective measure", at.to_string()));
    }
    for rollout in &incident.rollouts {
        facts.push(("cure", rollout.to_string()));
    }
    let mut text = output::facts(&facts);
    let moments = incident.moments.iter().map(|moment| {
        let (state, at, by) = (word(&moment.state), moment.at.to_string(), moment.by.to_string());
        vec![state, at, by, moment.reason.clone()]
    });
    text += &format!("\n{}", output::table(&["state", "since", "by", "why"], moments));
    if !incident.clocks.is_empty() {
        let rows = incident.clocks.iter().map(|clock| {
            let due = clock.due.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let filed = clock.filed.map_or_else(|| "-".to_owned(), |at| at.to_string());
            vec![clock.name.clone(), word(&clock.state), due, filed]
        });
        text += &format!("\n{}", output::table(&["clock", "state", "due", "filed"], rows));
    }
    if !incident.steps.is_empty() {
        let rows = incident.steps.iter().map(|step| {
            let state = match (step.ended, step.waived, step.late) {
                (Some(_), true, _) => "waived",
                (Some(_), false, _) => "done",
                (None, _, true) => "LATE",
                (None, ..) => "open",
            };
            let due = step.due.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let (name, owner) = (step.name.clone(), step.owner.clone());
            vec![name, state.to_owned(), owner, due, word(&step.proof)]
        });
        let columns = ["step", "state", "owner", "due", "shown by"];
        text += &format!("\n{}", output::table(&columns, rows));
    }
    text
}

fn standing_in_words(standing: &Standing) -> String {
    let all = standing.devices;
    let groups: [(&str, &[(&str, u64)]); 3] = [
        (
            "quarantine",
            &[
                ("contained, said by the device", standing.contained),
                ("ordered, called since, not contained", standing.waiting),
                ("ordered, never seen since", standing.never_seen),
                ("free", standing.free),
            ],
        ),
        (
            "evidence",
            &[
                ("here and acknowledged", standing.collected),
                ("ordered", standing.collecting),
                ("the device could not", standing.collect_failed),
                ("not ordered", standing.uncollected),
            ],
        ),
        ("cure", &[("runs it", standing.patched), ("does not", standing.unpatched)]),
    ];
    let mut text = String::new();
    for (title, figures) in groups {
        let _ = writeln!(text, "\n{title} of {all} devices");
        for (what, count) in figures {
            let bar = drawn(*count, all, BAR);
            let _ = writeln!(text, "  {bar} {count:>8} {:>8}  {what}", percent(*count, all));
        }
    }
    if !standing.non_responders.is_empty() {
        let rows = standing.non_responders.iter().map(|one| {
            let seen = one.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string());
            vec![one.device.to_string(), one.lacks.join(", "), seen]
        });
        text += "\nno answer yet\n";
        text += &output::table(&["device", "lacks", "last seen"], rows);
    }
    text
}
