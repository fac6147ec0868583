//! How a plan is shown to those who are to approve it.

use std::fmt::Write as _;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{PlanView, RolloutState};
use lazaret_server_domain::rollout::preview::Preview;

use crate::commands::Session;
use crate::output;

type Plan = PlanView<Preview>;

/// Shows a plan, and what is to be done next. A statement whose hash is not the plan's is a server
/// that says one thing and does another.
pub(super) fn show(plan: &Plan, dry_run: bool, session: &Session) -> anyhow::Result<()> {
    check(plan)?;
    session.output.show(plan, |plan| in_words(plan, dry_run))
}

/// Insists that the plan's hash is that of what it says.
pub(super) fn check(plan: &Plan) -> anyhow::Result<()> {
    let stated = Sha256Digest::of(plan.statement.as_bytes());
    anyhow::ensure!(
        plan.plan.is_none_or(|hash| hash == stated),
        "the server's plan is {:?}, but what it states has the hash {stated}",
        plan.plan
    );
    Ok(())
}

fn in_words(plan: &Plan, dry_run: bool) -> String {
    let rollout = &plan.rollout;
    let hash = plan.plan.map_or_else(|| "-".to_owned(), |hash| hash.to_string());
    let mut facts = vec![
        ("rollout", rollout.id.to_string()),
        ("brings", format!("{} {}", rollout.model, rollout.version)),
        ("state", output::word(&rollout.state)),
        ("by", format!("{}, {}", rollout.started_by, rollout.started)),
        ("reason", plan.reason.clone()),
        ("policy", plan.policy.clone()),
        ("plan", hash),
    ];
    if let Some(incident) = &rollout.cures {
        facts.push(("cures", format!("{incident}; quarantine lets it in, evidence comes first")));
    }
    let approvals = format!("{} of {}", plan.approvals.len(), plan.approvals_needed);
    let names: Vec<String> =
        plan.approvals.iter().map(|one| format!("{} ({})", one.by, one.key)).collect();
    facts.push(("approvals", format!("{approvals} {}", names.join(", "))));
    let mut text = output::facts(&facts);
    if let Some(preview) = &plan.preview {
        text.push_str(&preview_in_words(preview));
    }
    text.push_str(&next(plan, dry_run));
    text
}

fn preview_in_words(preview: &Preview) -> String {
    let mut text = format!(
        "\n{} devices match, {} are in the plan, {} in quarantine\n",
        preview.matched, preview.planned, preview.quarantined
    );
    for left in &preview.left_out {
        let _ = writeln!(text, "  {:>8} left out: {}", left.count, left.reason.in_words());
    }
    let rows = (1..).zip(&preview.groups).map(|(number, group): (u32, _)| {
        vec![
            number.to_string(),
            group.name.clone(),
            group.devices.to_string(),
            output::drawn(group.devices, preview.planned, 20),
            duration(group.opens_ms),
            duration(group.through_ms),
        ]
    });
    let columns = ["group>", "name", "devices>", "share", "opens after>", "through after>"];
    text.push_str(&output::table(&columns, rows));
    text.push('\n');
    for (cohort, devices) in &preview.cohorts {
        let cohort = if cohort.is_empty() { "not reported" } else { cohort };
        let _ = writeln!(text, "hardware {}: {devices} devices", output::shown(cohort));
    }
    for step in &preview.steps {
        let version = step.version.to_string();
        let _ = writeln!(text, "{} devices must run {version} first", step.devices);
    }
    let _ = writeln!(
        text,
        "bytes: {} with deltas ({} devices), {} as full images",
        output::bytes(preview.bytes_with_deltas),
        preview.delta_devices,
        output::bytes(preview.bytes_full)
    );
    if preview.from_other_slot > 0 {
        let count = preview.from_other_slot;
        let _ = writeln!(text, "{count} devices go back to their other slot without a download");
    }
    if preview.not_seen_for_a_day > 0 {
        let _ = writeln!(text, "{} were not heard of for a day", preview.not_seen_for_a_day);
    }
    let _ = writeln!(text, "expected duration at the caps: {}", duration(preview.expected_ms));
    text
}

fn next(plan: &Plan, dry_run: bool) -> String {
    let id = &plan.rollout.id;
    let missing = plan.approvals_needed.saturating_sub(plan.approvals.len() as u64);
    match plan.rollout.state {
        _ if dry_run => "nothing is kept: this was a dry run\n".to_owned(),
        RolloutState::Planned if missing > 0 => format!(
            "next: {missing} other(s) than {} approve it: lazaret rollout approve {id} \
             --ssh-key ~/.ssh/id_ed25519\n",
            plan.rollout.started_by
        ),
        RolloutState::Planned | RolloutState::Approved => {
            format!("next: lazaret rollout apply {id}\n")
        }
        _ => format!("see how it goes: lazaret rollout status {id} --watch\n"),
    }
}

/// A span for people, in the unit that fits.
fn duration(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0..=119 => format!("{minutes} min"),
        120..=2879 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes % 1440 / 60),
    }
}
