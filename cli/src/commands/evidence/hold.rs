//! `lazaret evidence hold`: a legal hold beats every retention.

use lazaret_protocol::id::BundleId;
use lazaret_protocol::operator::{BundleView, HoldRequest};

use crate::commands::Session;
use crate::output;
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A bundle that anybody holds is not deleted, however long it has been kept. Everybody lifts their own
hold. Both stand in the custody log.

Example:
  lazaret evidence hold d-41-1790000000000 --reason \"court order 7 of 2026\"
  lazaret evidence hold d-41-1790000000000 --lift --reason \"case closed\"")]
pub(crate) struct Args {
    /// Which bundle
    #[arg(value_name = "BUNDLE")]
    bundle: BundleId,
    /// Lift one's own hold
    #[arg(long)]
    lift: bool,
    /// Why, for the custody log
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let body = HoldRequest { lift: args.lift, reason: args.reason.into() };
    let path = format!("/v1/bundles/{}/hold", args.bundle);
    let view: BundleView = session.client()?.post(&path, &body)?;
    session.output.show(&view, |view| {
        let held = view.held_by.join(", ");
        let held = if held.is_empty() { "nobody".to_owned() } else { held };
        output::facts(&[("bundle", view.id.to_string()), ("held by", held)])
    })
}
