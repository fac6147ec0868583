//! `lazaret events`: what happened, as the server recorded it.

use std::time::Duration;

use lazaret_protocol::operator::{EventView, Page};

use super::{Session, list_end};
use crate::client::Client;
use crate::output;

/// How often the server is asked while following.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --follow and --json, each event is one object on a line of its own.

Example:
  lazaret events --after 1200
  lazaret events --follow")]
pub(crate) struct Args {
    /// Show what came after the event of this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// Go on showing events as they come, until interrupted
    #[arg(long)]
    follow: bool,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    if args.follow {
        return follow(&client, args.after, session);
    }
    let page: Page<EventView> =
        client.list("/v1/events", Some(args.after.to_string()), args.limit)?;
    session.output.show(&page, |page| {
        let rows = page.items.iter().map(|event| {
            vec![event.sequence.to_string(), event.at.to_string(), event.what.clone()]
        });
        let table = output::table(&["number>", "when", "what"], rows);
        table + &list_end("events", page.items.len(), page.next.as_deref())
    })
}

fn follow(client: &Client, after: u64, session: &Session) -> anyhow::Result<()> {
    let mut after = after;
    let mut was_away = false;
    loop {
        let page = client.list::<EventView>("/v1/events", Some(after.to_string()), 1000);
        let items = match page {
            Ok(page) => page.items,
            // A server that restarts is no reason to stop looking at it.
            Err(err) if err.may_pass() => {
                if !was_away {
                    session.output.remark(&format!("{err}; trying again"));
                }
                was_away = true;
                Vec::new()
            }
            Err(err) => return Err(err.into()),
        };
        was_away = was_away && items.is_empty();
        for event in &items {
            session.output.show(event, |event| {
                let line = format!("{:>8}  {}  {}", event.sequence, event.at, event.what);
                output::shown(&line)
            })?;
            after = after.max(event.sequence);
        }
        if items.is_empty() {
            std::thread::sleep(FOLLOW_INTERVAL);
        }
    }
}
