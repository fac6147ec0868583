//! `lazaret rollout halt`.

use lazaret_protocol::id::RolloutId;
use lazaret_protocol::operator::{ReasonRequest, RolloutView};

use crate::commands::Session;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Offers that are not yet installed are taken back; `rollout status` counts the devices that have not
acknowledged it. A halted rollout stays halted: start another one.

Example:
  lazaret rollout halt r-1 --reason \"customers report reboots\"")]
pub(crate) struct Args {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/rollouts/{}/halt", args.rollout);
    let body = ReasonRequest { reason: args.reason.into() };
    let rollout: RolloutView = session.client()?.post(&path, &body)?;
    super::show(&rollout, session)
}
