//! `lazaret events`: what happened, as the server recorded it.

use std::io::{BufRead, BufReader, Read as _};
use std::time::Duration;

use anyhow::Context as _;
use lazaret_protocol::operator::{EventView, Page};

use super::{Session, list_end};
use crate::client::Client;
use crate::output;

/// Between the end of a stream and the next.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

/// Longest line of the stream, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

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

/// Follows the server's stream; where it ends or breaks, from the last event that came.
fn follow(client: &Client, after: u64, session: &Session) -> anyhow::Result<()> {
    let mut after = after;
    let mut was_away = false;
    loop {
        match client.open(&format!("/v1/events/stream?after={after}"), u64::MAX) {
            Ok(stream) => {
                was_away = false;
                show_stream(BufReader::new(stream), &mut after, session)?;
            }
            // A server that restarts is no reason to stop looking at it.
            Err(err) if err.may_pass() => {
                if !was_away {
                    session.output.remark(&format!("{err}; trying again"));
                }
                was_away = true;
            }
            Err(err) => return Err(err.into()),
        }
        std::thread::sleep(FOLLOW_PAUSE);
    }
}

/// Shows events until the stream ends. Only what the server writes is read: `data` in one line.
fn show_stream(mut stream: impl BufRead, after: &mut u64, session: &Session) -> anyhow::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        let limit = LINE_BYTES_MAX;
        match stream.by_ref().take(limit).read_line(&mut line) {
            Ok(1..) if line.ends_with('\n') => {}
            // It broke, or ended; what was cut off comes again.
            _ => return Ok(()),
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: EventView =
            serde_json::from_str(data).context("the stream holds something else than events")?;
        session.output.show(&event, |event| {
            output::shown(&format!("{:>8}  {}  {}", event.sequence, event.at, event.what))
        })?;
        *after = event.sequence.max(*after);
    }
}
