//! `lazaret rollout list`.

use lazaret_protocol::operator::{Page, RolloutView};

use super::total;
use crate::commands::{Range, Session, list_end};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret rollout list --limit 20")]
pub(crate) struct Args {
    #[command(flatten)]
    range: Range,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let page: Page<RolloutView> =
        client.list("/v1/rollouts", args.range.after, args.range.limit)?;
    session.output.show(&page, in_words)
}

fn in_words(page: &Page<RolloutView>) -> String {
    let rows = page.items.iter().map(|rollout| {
        let (done, devices) = (total(rollout, |g| g.done), total(rollout, |g| g.total));
        vec![
            rollout.id.to_string(),
            rollout.model.to_string(),
            rollout.version.to_string(),
            output::word(&rollout.state),
            output::drawn(done, devices, 20),
            format!("{done}/{devices}"),
            total(rollout, |group| group.failed).to_string(),
            rollout.started.to_string(),
            rollout.started_by.to_string(),
        ]
    });
    let columns =
        ["rollout", "model", "version", "state", "done", "done>", "failed>", "started", "by"];
    let table = output::table(&columns, rows);
    table + &list_end("rollouts", page.items.len(), page.next.as_deref())
}
