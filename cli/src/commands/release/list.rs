//! `lazaret release list`.

use lazaret_protocol::operator::{Page, ReleaseView};

use crate::commands::{Range, Session, list_end};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret release list --after gw2/1.9")]
pub(crate) struct Args {
    #[command(flatten)]
    range: Range,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let page: Page<ReleaseView> =
        client.list("/v1/releases", args.range.after, args.range.limit)?;
    session.output.show(&page, in_words)
}

fn in_words(page: &Page<ReleaseView>) -> String {
    let rows = page.items.iter().map(|release| {
        vec![
            release.model.to_string(),
            release.version.to_string(),
            output::word(&release.state),
            release.counter.map_or_else(|| "-".to_owned(), |counter| counter.to_string()),
            output::bytes(release.length),
            release.deltas.len().to_string(),
            release.created_by.to_string(),
        ]
    });
    let columns = ["model", "version", "state", "counter>", "size>", "deltas>", "created by"];
    let table = output::table(&columns, rows);
    table + &list_end("releases", page.items.len(), page.next.as_deref())
}
