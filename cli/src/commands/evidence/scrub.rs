//! `lazaret evidence scrub`: the server reads every bundle back.

use lazaret_protocol::operator::ScrubReply;

use crate::commands::Session;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server does so by itself every six hours. Exit code 1 where a bundle is missing or rotten.

Example:
  lazaret evidence scrub")]
pub(crate) struct Args {}

pub(super) fn run(_: &Args, session: &Session) -> anyhow::Result<()> {
    let reply: ScrubReply = session.client()?.post_nothing("/v1/evidence/scrub")?;
    session.output.show(&reply, in_words)?;
    let damaged = reply.damaged.len();
    anyhow::ensure!(damaged == 0, "{damaged} of {} bundles are missing or rotten", reply.read);
    Ok(())
}

fn in_words(reply: &ScrubReply) -> String {
    let rows = reply.damaged.iter().map(|bundle| {
        let why = bundle.damage.clone().unwrap_or_default();
        vec![bundle.id.to_string(), bundle.device.to_string(), why]
    });
    let table = output::table(&["bundle", "device", "what is wrong"], rows);
    let table = if reply.damaged.is_empty() { String::new() } else { format!("{table}\n") };
    format!("{table}{} bundles read, {} damaged", reply.read, reply.damaged.len())
}
