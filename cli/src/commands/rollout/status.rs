//! `lazaret rollout status`.

use std::time::Duration;

use lazaret_protocol::id::RolloutId;
use lazaret_protocol::operator::{RolloutState, RolloutView};

use super::{check_sums, in_words};
use crate::commands::Session;
use crate::output::Form;

/// How often the server is asked while watching.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --watch it goes on until the rollout ends: exit code 0 where it finished, 1 where it halted.
With --json it then prints the last state only.

Example:
  lazaret rollout status r-1 --watch")]
pub(crate) struct Args {
    /// Which rollout
    #[arg(value_name = "ID")]
    rollout: RolloutId,
    /// Go on until the rollout ends
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let path = format!("/v1/rollouts/{}", args.rollout);
    let mut rollout: RolloutView = client.get(&path)?;
    if !args.watch {
        return super::show(&rollout, session);
    }
    let mut drawn = String::new();
    let mut lines_back = 0;
    while rollout.state == RolloutState::Running {
        let text = in_words(&rollout);
        if session.output.form() == Form::Human && text != drawn {
            lines_back = session.output.redraw(&text, lines_back)?;
            drawn = text;
        }
        std::thread::sleep(WATCH_INTERVAL);
        match client.get(&path) {
            Ok(view) => rollout = view,
            Err(err) if err.may_pass() => {}
            Err(err) => return Err(err.into()),
        }
    }
    match session.output.form() {
        Form::Human => drop(session.output.redraw(&in_words(&rollout), lines_back)?),
        Form::Json => session.output.show(&rollout, in_words)?,
    }
    check_sums(&rollout)?;
    let reason = rollout.halt_reason.as_deref().unwrap_or("no reason is given");
    anyhow::ensure!(rollout.state == RolloutState::Finished, "the rollout halted: {reason}");
    Ok(())
}
