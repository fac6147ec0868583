//! The report as HTML. Texts are escaped by the template; nothing in it is loaded or run.

use std::fmt::Write as _;

use askama::Template;
use lazaret_protocol::operator::{
    BundleView, ClockState, EventView, IncidentView, Obligation, RolloutView, Standing,
};
use lazaret_protocol::time::Timestamp;

use super::Report;
use crate::output::{shown, word};

/// The drawing's corners, in its own units.
const LEFT: f64 = 40.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 170.0;

#[derive(Template)]
#[template(path = "incident.html")]
struct Html<'a> {
    incident: &'a IncidentView,
    severity: String,
    state: String,
    obligation: &'static str,
    filter: &'a str,
    playbook: &'a str,
    written: Timestamp,
    figures: Vec<Figure>,
    standing: Vec<Row>,
    curve: String,
    curve_from: String,
    curve_to: String,
    moments: Vec<(String, Timestamp, String, String)>,
    clocks: Vec<Clock>,
    steps: Vec<Step>,
    bundles: Vec<Bundle>,
    rollouts: Vec<Rollout>,
    silent: Vec<(String, String, String)>,
    timeline: &'a [EventView],
    cut: bool,
}

struct Figure {
    name: &'static str,
    value: String,
}

struct Row {
    group: &'static str,
    what: &'static str,
    count: u64,
    percent: u64,
}

struct Clock {
    name: String,
    state: String,
    late: bool,
    due: String,
    filed: String,
    reference: String,
}

struct Step {
    name: String,
    state: &'static str,
    late: bool,
    owner: String,
    due: String,
    text: String,
}

struct Bundle {
    id: String,
    device: String,
    state: String,
    length: u64,
    sha256: String,
    custody: usize,
}

struct Rollout {
    id: String,
    release: String,
    state: String,
    begun: Timestamp,
    done: u64,
}

/// The report as one HTML file.
pub(super) fn html(report: &Report) -> anyhow::Result<String> {
    let incident = &report.status.incident;
    let (curve, curve_from, curve_to) = curve(report);
    let moments = incident.moments.iter().map(|moment| {
        (word(&moment.state), moment.at, moment.by.to_string(), moment.reason.clone())
    });
    let silent = report.status.standing.non_responders.iter();
    let silent =
        silent.map(|one| (one.device.to_string(), one.lacks.join(", "), at(one.last_seen)));
    let html = Html {
        incident,
        severity: word(&incident.severity),
        state: word(&incident.state),
        obligation: match incident.obligation {
            Obligation::None => "nothing",
            Obligation::ExploitedVulnerability => "an actively exploited vulnerability",
            Obligation::SevereIncident => "a severe incident",
        },
        filter: incident.filter.as_deref().unwrap_or("-"),
        playbook: incident.playbook.as_deref().unwrap_or_default(),
        written: report.written,
        figures: figures(report),
        standing: rows(&report.status.standing),
        curve,
        curve_from,
        curve_to,
        moments: moments.collect(),
        clocks: clocks(incident),
        steps: steps(incident),
        bundles: report.bundles.iter().flatten().map(bundle).collect(),
        rollouts: report.rollouts.iter().map(rollout).collect(),
        silent: silent.collect(),
        timeline: &report.timeline,
        cut: report.timeline_cut,
    };
    Ok(shown_lines(&html.render()?))
}

/// Devices may put what turns or hides text into what they say; a page shows it as a sign.
fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

fn figures(report: &Report) -> Vec<Figure> {
    let times = &report.figures;
    let standing = &report.status.standing;
    let of_all = |part: u64| crate::output::percent(part, standing.devices);
    vec![
        Figure { name: "time to detect", value: span(times.time_to_detect_ms) },
        Figure { name: "time to contain", value: span(times.time_to_contain_ms) },
        Figure { name: "time to patch", value: span(times.time_to_patch_ms) },
        Figure { name: "contained", value: of_all(standing.contained) },
        Figure { name: "evidence here", value: of_all(standing.collected) },
        Figure { name: "patched", value: of_all(standing.patched) },
    ]
}

fn rows(standing: &Standing) -> Vec<Row> {
    let row = |group, what, count: u64| {
        let percent = (count.saturating_mul(100)).checked_div(standing.devices).unwrap_or(0);
        Row { group, what, count, percent }
    };
    vec![
        row("quarantine", "contained, said by the device", standing.contained),
        row("", "ordered, called since, not contained", standing.waiting),
        row("", "ordered, never seen since", standing.never_seen),
        row("", "free", standing.free),
        row("evidence", "here and acknowledged", standing.collected),
        row("", "ordered", standing.collecting),
        row("", "the device could not", standing.collect_failed),
        row("", "not ordered", standing.uncollected),
        row("cure", "runs it", standing.patched),
        row("", "does not", standing.unpatched),
    ]
}

/// The points of the curve: the sum over linked rollouts of devices that had confirmed.
fn curve(report: &Report) -> (String, String, String) {
    let mut moments: Vec<Timestamp> =
        report.rollouts.iter().flat_map(|one| &one.progress).map(|point| point.at).collect();
    moments.sort_unstable();
    moments.dedup();
    let (Some(first), Some(last)) = (moments.first().copied(), moments.last().copied()) else {
        return (String::new(), String::new(), String::new());
    };
    let devices = report.status.standing.devices.max(1);
    let span = last.since_ms(first).max(1);
    let done_by = |at: Timestamp| -> u64 {
        let each = report.rollouts.iter().map(|rollout| {
            let before = rollout.progress.iter().rev().find(|point| point.at <= at);
            before.map_or(0, |point| point.done)
        });
        each.sum::<u64>().min(devices)
    };
    let mut points = String::new();
    for at in moments {
        let across = LEFT + (RIGHT - LEFT) * share(at.since_ms(first), span);
        let up = BOTTOM - (BOTTOM - TOP) * share(done_by(at), devices);
        let _ = write!(points, "{across:.1},{up:.1} ");
    }
    (points.trim_end().to_owned(), first.to_string(), last.to_string())
}

fn share(part: u64, whole: u64) -> f64 {
    let millionths = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(millionths).unwrap_or(1_000_000)) / 1_000_000.0
}

fn clocks(incident: &IncidentView) -> Vec<Clock> {
    let clocks = incident.clocks.iter().map(|clock| Clock {
        name: clock.name.clone(),
        state: word(&clock.state),
        late: matches!(clock.state, ClockState::Late | ClockState::MetLate),
        due: at(clock.due),
        filed: at(clock.filed),
        reference: clock.reference.clone().unwrap_or_default(),
    });
    clocks.collect()
}

fn steps(incident: &IncidentView) -> Vec<Step> {
    let steps = incident.steps.iter().map(|step| Step {
        name: step.name.clone(),
        state: match (step.ended, step.waived) {
            (Some(_), true) => "waived",
            (Some(_), false) => "done",
            (None, _) => "open",
        },
        late: step.late,
        owner: step.owner.clone(),
        due: at(step.due),
        text: step.text.clone().unwrap_or_default(),
    });
    steps.collect()
}

fn bundle(bundle: &BundleView) -> Bundle {
    Bundle {
        id: bundle.id.to_string(),
        device: bundle.device.to_string(),
        state: word(&bundle.state),
        length: bundle.length,
        sha256: bundle.sha256.map_or_else(|| "-".to_owned(), |digest| digest.to_string()),
        custody: bundle.custody.len(),
    }
}

fn rollout(rollout: &RolloutView) -> Rollout {
    Rollout {
        id: rollout.id.to_string(),
        release: format!("{} {}", rollout.model, rollout.version),
        state: word(&rollout.state),
        begun: rollout.started,
        done: rollout.groups.iter().map(|group| group.done).sum(),
    }
}

fn at(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

fn span(ms: Option<u64>) -> String {
    match ms.map(|ms| ms / 1000) {
        None => "-".to_owned(),
        Some(seconds @ 0..=119) => format!("{seconds} s"),
        Some(seconds @ 120..=7199) => format!("{} min", seconds / 60),
        Some(seconds @ 7200..=172_799) => format!("{} h", seconds / 3600),
        Some(seconds) => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
