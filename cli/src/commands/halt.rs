//! `lazaret halt` and `lazaret resume`: the cord that halts the whole fleet.

use lazaret_protocol::operator::{FleetHaltView, ReasonRequest, ReleaseFleetRequest};

use super::Session;
use crate::output;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
One person, no approval: no rollout offers anything any more, and offers that are not yet installed
are taken back. Without --all it says whether the fleet is halted, and how many have acknowledged.

Example:
  lazaret halt --all --reason \"devices do not come back\"
  lazaret halt")]
pub(crate) struct HaltArgs {
    /// Halt every rollout
    #[arg(long, requires = "reason")]
    all: bool,
    /// Why
    #[arg(long, value_name = "TEXT", requires = "all")]
    reason: Option<Reason>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Names the halt that is meant, so that a newer one is not undone by mistake. Rollouts that halted by
themselves stay halted: see `lazaret rollout resume`.

Example:
  lazaret resume --all 3 --reason \"it was the mirror\"")]
pub(crate) struct ResumeArgs {
    /// The number of the halt
    #[arg(long, value_name = "NUMBER")]
    all: u64,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(crate) fn halt(args: HaltArgs, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let view: FleetHaltView = match args.reason.filter(|_| args.all) {
        Some(reason) => client.post("/v1/halt", &ReasonRequest { reason: reason.into() })?,
        None => client.get("/v1/halt")?,
    };
    session.output.show(&view, in_words)
}

pub(crate) fn resume(args: ResumeArgs, session: &Session) -> anyhow::Result<()> {
    let body = ReleaseFleetRequest { number: args.all, reason: args.reason.into() };
    let view: FleetHaltView = session.client()?.post("/v1/halt/release", &body)?;
    session.output.show(&view, in_words)
}

fn in_words(view: &FleetHaltView) -> String {
    if !view.halted {
        return format!("the fleet is not halted (halts so far: {})\n", view.number);
    }
    let by = view.by.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let at = view.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    output::facts(&[
        ("halt", view.number.to_string()),
        ("by", by),
        ("since", at),
        ("reason", view.reason.clone().unwrap_or_default()),
        ("offers", format!("{} of {} devices acknowledged", view.acknowledged, view.open_offers)),
        ("end it with", format!("lazaret resume --all {} --reason ...", view.number)),
    ])
}
