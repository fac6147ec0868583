//! `lazaret rollout ...`: the table of its commands, and how a rollout is drawn.

use std::fmt::Write as _;

use clap::Subcommand;
use lazaret_protocol::operator::{GroupView, ProgressPoint, RolloutView};

use super::Session;
use crate::output;
use crate::plot::{Point, plot};

mod act;
mod approve;
mod halt;
mod list;
mod plan;
mod plan_view;
mod start;
mod status;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plan a rollout: who is in it, who is not and why, what it costs
    Plan(plan::Args),
    /// Approve somebody else's plan with your SSH key
    Approve(approve::Args),
    /// Begin a plan that has its approvals
    Apply(act::ApplyArgs),
    /// Give a plan up before it begins
    Withdraw(act::ReasonArgs),
    /// Show the plan of a rollout
    Show(act::ShowArgs),
    /// Start bringing a release to devices at once, without a plan
    Start(start::Args),
    /// Show how a rollout stands
    Status(status::Args),
    /// List rollouts
    List(list::Args),
    /// Stop a rollout and take back offers that are not yet installed
    Halt(halt::Args),
    /// Offer nothing new for a while; what was taken goes on
    Pause(act::ReasonArgs),
    /// Set a rollout going again, with the failures named that are accepted
    Resume(act::ResumeArgs),
    /// Plan to take a rollout back
    Revert(act::RevertArgs),
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Plan(args) => plan::run(args, session),
            Self::Approve(args) => approve::run(&args, session),
            Self::Apply(args) => act::apply(&args, session),
            Self::Withdraw(args) => act::with_reason("withdraw", args, session),
            Self::Show(args) => act::show_plan(&args, session),
            Self::Pause(args) => act::with_reason("pause", args, session),
            Self::Resume(args) => act::resume(args, session),
            Self::Revert(args) => act::revert(args, session),
            Self::Start(args) => start::run(args, session),
            Self::Status(args) => status::run(&args, session),
            Self::List(args) => list::run(args, session),
            Self::Halt(args) => halt::run(args, session),
        }
    }
}

/// The devices of a group that stand in exactly one place, added up.
fn counted(group: &GroupView) -> u128 {
    let GroupView { waiting, offered, done, failed, refused, expired, .. } = group;
    let GroupView { unknown, unreachable, .. } = group;
    let all = [waiting, offered, done, failed, refused, expired, unknown, unreachable];
    all.into_iter().map(|&n| u128::from(n)).sum()
}

/// Whether every group counts each of its devices exactly once.
fn adds_up(rollout: &RolloutView) -> bool {
    rollout.groups.iter().all(|group| counted(group) == u128::from(group.total))
}

fn total(rollout: &RolloutView, of: impl Fn(&GroupView) -> u64) -> u64 {
    rollout.groups.iter().map(of).fold(0, u64::saturating_add)
}

fn in_words(rollout: &RolloutView) -> String {
    let mut facts = vec![
        ("rollout", rollout.id.to_string()),
        ("brings", format!("{} {}", rollout.model, rollout.version)),
        ("state", output::word(&rollout.state)),
        ("started", format!("{} by {}", rollout.started, rollout.started_by)),
        (
            "thresholds",
            format!(
                "the next group opens at {} % done, it halts at {} % failed",
                rollout.success_percent, rollout.error_percent
            ),
        ),
    ];
    facts.extend(rollout.halt_reason.clone().map(|reason| ("halted", reason)));
    let mut text = banner(rollout);
    text.push_str(&output::facts(&facts));
    let rows = (1..).zip(&rollout.groups).map(|(number, group): (u32, _)| group_row(number, group));
    let columns = [
        "group>",
        "state",
        "devices>",
        "done",
        "done>",
        "offered>",
        "waiting>",
        "failed>",
        "refused>",
        "expired>",
        "unknown>",
        "unreachable>",
    ];
    text.push_str(&output::table(&columns, rows));
    text.push('\n');
    for (number, group) in (1..).zip(&rollout.groups) {
        for reason in &group.reasons {
            let code = output::shown(&reason.code);
            let number: u32 = number;
            let _ = writeln!(text, "group {number}: {} × {code}", reason.count);
        }
    }
    text.push_str(&sums(rollout));
    text.push_str(&drawn(rollout));
    text
}

/// What nobody shall read past: this one outruns the schedule of the release.
fn banner(rollout: &RolloutView) -> String {
    let Some(emergency) = &rollout.emergency else { return String::new() };
    let words = format!(
        "EMERGENCY: {} -- overtakes running rollouts, until {}",
        output::shown(&emergency.reason),
        emergency.expires
    );
    let line = "!".repeat(words.chars().count().saturating_add(6).min(100));
    format!("{line}\n!! {words} !!\n{line}\n\n")
}

/// The percentage of its devices over time, from its start to the last device that confirmed.
fn drawn(rollout: &RolloutView) -> String {
    if rollout.progress.is_empty() {
        return String::new();
    }
    let point =
        |one: &ProgressPoint| Point { ms: one.at.since_ms(rollout.started), done: one.done };
    let curve: Vec<Point> = rollout.progress.iter().map(point).collect();
    plot(&curve, total(rollout, |group| group.total), 0)
}

fn group_row(number: u32, group: &GroupView) -> Vec<String> {
    let mut row = vec![number.to_string(), output::word(&group.state), group.total.to_string()];
    row.push(output::drawn(group.done, group.total, 20));
    let GroupView { offered, waiting, failed, refused, expired, .. } = group;
    let counts = [
        &group.done,
        offered,
        waiting,
        failed,
        refused,
        expired,
        &group.unknown,
        &group.unreachable,
    ];
    row.extend(counts.map(ToString::to_string));
    row
}

fn sums(rollout: &RolloutView) -> String {
    let devices = total(rollout, |group| group.total);
    let done = total(rollout, |group| group.done);
    let mut text = format!("{done} of {devices} devices done");
    match adds_up(rollout) {
        true => text.push_str("; every device stands in exactly one column\n"),
        false => text.push_str("; THE COUNTS DO NOT ADD UP to the devices of the groups\n"),
    }
    if rollout.halts_unacknowledged > 0 {
        let count = rollout.halts_unacknowledged;
        let _ = writeln!(text, "devices that have not yet taken back their offer: {count}");
    }
    text
}

/// Shows a rollout; numbers that do not add up are a failure of the server and said as one.
fn show(rollout: &RolloutView, session: &Session) -> anyhow::Result<()> {
    session.output.show(rollout, in_words)?;
    check_sums(rollout)
}

fn check_sums(rollout: &RolloutView) -> anyhow::Result<()> {
    anyhow::ensure!(adds_up(rollout), "the server's counts do not add up to the rollout's devices");
    Ok(())
}

#[cfg(test)]
mod tests;
