//! `lazaret incident report`: all that is known of an incident, as one HTML file without anything
//! to load, or as JSON.

use std::path::PathBuf;

use lazaret_protocol::id::IncidentId;
use lazaret_protocol::operator::{
    BundleView, EventView, IncidentStatus, IncidentView, Page, RolloutView,
};
use lazaret_protocol::time::Timestamp;
use serde::Serialize;

use crate::client::{Client, ClientError};
use crate::commands::Session;
use crate::output::{self, Form};

mod page;

/// Events of a report.
const EVENTS_MAX: u64 = 20_000;

/// Bundles looked at.
const BUNDLES_MAX: u64 = 100_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
One file with nothing to load: figures (time to detect, to contain, to patch), devices by state,
percent patched over time, clocks, steps, evidence with digests, timeline. With --json it is one
object with the same, on standard output where no file is named.

Example:
  lazaret incident report i-1801526400000-0a1b2c --out incident.html")]
pub(crate) struct Args {
    /// Which incident
    #[arg(value_name = "ID")]
    incident: IncidentId,
    /// Where the report goes [default: ID.html here, or standard output with --json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// All that is known of an incident.
#[derive(Debug, Serialize)]
struct Report {
    written: Timestamp,
    status: IncidentStatus,
    figures: Figures,
    rollouts: Vec<RolloutView>,
    /// None where the reader may not see evidence.
    bundles: Option<Vec<BundleView>>,
    timeline: Vec<EventView>,
    /// The timeline is longer than what is here.
    timeline_cut: bool,
}

/// Figures, in milliseconds; none where an end is open.
#[derive(Debug, Serialize)]
struct Figures {
    time_to_detect_ms: Option<u64>,
    time_to_contain_ms: Option<u64>,
    time_to_patch_ms: Option<u64>,
    time_to_close_ms: Option<u64>,
}

#[derive(Serialize)]
struct Written {
    report: PathBuf,
    events: usize,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let bar = session.output.spinner("reading the incident");
    let report = gather(&client, &args.incident)?;
    bar.finish_and_clear();
    if let (Form::Json, None) = (session.output.form(), &args.out) {
        return session.output.show(&report, |_| String::new());
    }
    let text = match session.output.form() {
        Form::Json => output::json(&report)?,
        Form::Human => page::html(&report)?,
    };
    let path = args.out.clone().unwrap_or_else(|| format!("{}.html", args.incident).into());
    crate::durable::write(&path, text.as_bytes(), crate::durable::Existing::Replace)?;
    let written = Written { report: path, events: report.timeline.len() };
    session.output.show(&written, |written| {
        format!("{} written, {} events\n", written.report.display(), written.events)
    })
}

fn gather(client: &Client, id: &IncidentId) -> anyhow::Result<Report> {
    let status: IncidentStatus = client.get(&format!("/v1/incidents/{id}"))?;
    let timeline: Page<EventView> =
        client.list(&format!("/v1/incidents/{id}/timeline"), None, EVENTS_MAX)?;
    let rollouts = status.incident.rollouts.iter();
    let rollouts = rollouts.map(|rollout| client.get(&format!("/v1/rollouts/{rollout}")));
    let rollouts = rollouts.collect::<Result<Vec<RolloutView>, ClientError>>()?;
    let ours = |bundle: &BundleView| {
        timeline.items.iter().any(|event| {
            event.event.get("bundle").and_then(serde_json::Value::as_str)
                == Some(bundle.id.as_str())
        })
    };
    let bundles = match client.list::<BundleView>("/v1/bundles", None, BUNDLES_MAX) {
        Ok(page) => Some(page.items.into_iter().filter(ours).collect()),
        Err(err) if err.is(lazaret_protocol::refusal::RefusalCode::Forbidden) => None,
        Err(err) => return Err(err.into()),
    };
    Ok(Report {
        written: output::now(),
        figures: figures(&status.incident, &rollouts),
        status,
        rollouts,
        bundles,
        timeline_cut: timeline.next.is_some(),
        timeline: timeline.items,
    })
}

/// How long it took: from when it began until it was opened, and from when it was declared until it
/// was contained, until the last device that confirmed a cure did, until it was closed.
fn figures(incident: &IncidentView, rollouts: &[RolloutView]) -> Figures {
    use lazaret_protocol::operator::IncidentState::{Closed, Contained, Declared};
    let began = |wanted| {
        incident.moments.iter().find(|moment| moment.state == wanted).map(|moment| moment.at)
    };
    let declared = began(Declared);
    let until = |end: Option<Timestamp>| Some(end?.since_ms(declared?));
    let patched = rollouts.iter().filter_map(|rollout| rollout.progress.last()).map(|at| at.at);
    let opened = incident.moments.first().map(|moment| moment.at);
    Figures {
        time_to_detect_ms: opened.zip(incident.began).map(|(end, start)| end.since_ms(start)),
        time_to_contain_ms: until(began(Contained)),
        time_to_patch_ms: until(patched.max()),
        time_to_close_ms: until(began(Closed)),
    }
}
