//! `lazaret rollout apply`, `withdraw`, `pause`, `resume`, `revert` and `show`: one question to the
//! server each.

use lazaret_protocol::id::{RolloutId, VersionName};
use lazaret_protocol::operator::{
    PlanView, ReasonCount, ReasonRequest, ResumeRequest, RevertRequest, RolloutView,
};
use lazaret_server_domain::rollout::preview::Preview;

use super::plan::How;
use super::{plan_view, show};
use crate::commands::Session;
use crate::words::{Accepted, Reason};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret rollout apply r-1")]
pub(crate) struct ApplyArgs {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret rollout withdraw r-1 --reason \"2.1 is out\"
  lazaret rollout pause r-1 --reason \"support is busy\"")]
pub(crate) struct ReasonArgs {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a halt every failure is accepted by its code, with at least as many as there are; the refusal
lists them. A rollout that was paused needs none.

Example:
  lazaret rollout resume r-1 --accept probe-failed=2 --reason \"two devices with bad flash\"")]
pub(crate) struct ResumeArgs {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
    /// A failure that is accepted, and how often
    #[arg(long, value_name = "CODE=COUNT", value_delimiter = ',')]
    accept: Vec<Accepted>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Makes a plan that takes the rollout back: to the other slot where it is still there and good,
otherwise by a download, as far as the signed floors allow. It is approved and applied like any.

Example:
  lazaret rollout revert r-1 --reason \"2.0 drains batteries\"
  lazaret rollout revert r-1 --to 1.9 --policy slow --dry-run --reason \"how many would it be?\"")]
pub(crate) struct RevertArgs {
    /// The rollout to take back
    #[arg(value_name = "ID")]
    rollout: RolloutId,
    /// The version to go back to [default: the newest below what the rollout brought]
    #[arg(long, value_name = "VERSION")]
    to: Option<VersionName>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows the plan as it was approved: groups, policy, approvals, and what it looked like.

Example:
  lazaret rollout show r-1")]
pub(crate) struct ShowArgs {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
}

pub(super) fn apply(args: &ApplyArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/rollouts/{}/apply", args.rollout);
    let rollout: RolloutView = session.client()?.post_nothing(&path)?;
    show(&rollout, session)
}

pub(super) fn with_reason(act: &str, args: ReasonArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/rollouts/{}/{act}", args.rollout);
    let body = ReasonRequest { reason: args.reason.into() };
    let rollout: RolloutView = session.client()?.post(&path, &body)?;
    show(&rollout, session)
}

pub(super) fn resume(args: ResumeArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/rollouts/{}/resume", args.rollout);
    let accept = args.accept.into_iter();
    let accept = accept.map(|Accepted { code, count }| ReasonCount { code, count }).collect();
    let body = ResumeRequest { reason: args.reason.into(), accept };
    let rollout: RolloutView = session.client()?.post(&path, &body)?;
    show(&rollout, session)
}

pub(super) fn revert(args: RevertArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/rollouts/{}/revert", args.rollout);
    let policy = args.how.policy()?;
    let body = RevertRequest {
        to: args.to,
        policy,
        reason: args.how.reason.into(),
        dry_run: args.how.dry_run,
    };
    let plan: PlanView<Preview> = session.client()?.post(&path, &body)?;
    plan_view::show(&plan, args.how.dry_run, session)
}

pub(super) fn show_plan(args: &ShowArgs, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/rollouts/{}/plan", args.rollout);
    let plan: PlanView<Preview> = session.client()?.get(&path)?;
    plan_view::show(&plan, false, session)
}
