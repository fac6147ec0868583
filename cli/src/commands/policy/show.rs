//! `lazaret policy show`.

use serde::Serialize;

use super::Session;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret policy show normal > mine.toml")]
pub(crate) struct Args {
    /// The name of a shipped policy, or a file
    #[arg(value_name = "NAME")]
    policy: String,
}

#[derive(Serialize)]
struct Shown {
    policy: String,
    toml: String,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let shown = Shown { policy: args.policy.clone(), toml: super::text(&args.policy)? };
    session.output.show(&shown, |shown| shown.toml.clone())
}
