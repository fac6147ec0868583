//! `lazaret audit export`: the whole audit log as files, and the entries that were asked for.

use std::path::PathBuf;

use lazaret_protocol::operator::{AuditEntry, AuditKeysView};
use lazaret_protocol::time::Timestamp;
use serde::Serialize;

use super::super::Session;
use super::{folder, moment};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder has `checkpoint`, `tile/...` and `tile/entries/...` as c2sp.org/tlog-tiles lays them out,
`checkpoints.jsonl` with every checkpoint that was signed, and `entries.jsonl` with an entry a line.
With a filter, the entries that match it stand in `selected.jsonl` as well, each with its index; the
whole log is always there, because only the whole can be verified. Exporting again brings the folder
up to date. The verifier keys are those that the server names: compare them with your anchors'
before you trust them. Keep a copy of `checkpoint` elsewhere: `audit verify
--seen` then finds a log that was cut short.

Example:
  lazaret audit export --out audit-2026-11
  lazaret audit export --out audit-bert --who bert --since 2026-11-01T00:00:00Z --what quarantine
  lazaret audit verify audit-2026-11 --anchors anchors.json")]
pub(crate) struct Args {
    /// The folder, new or from an earlier export
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Select only what this person, device or address did
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Select only what has this text in its route or path, such as `quarantine`
    #[arg(long, value_name = "TEXT")]
    what: Option<String>,
    /// Select only this outcome: `done`, or the code of a refusal
    #[arg(long, value_name = "CODE")]
    outcome: Option<String>,
    /// Select only what happened not before this moment (RFC 3339, UTC)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Select only what happened before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

impl Args {
    fn selects(&self) -> bool {
        self.who.is_some()
            || self.what.is_some()
            || self.outcome.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }

    /// As the server's own filter of `audit show` does it.
    fn matches(&self, entry: &AuditEntry) -> bool {
        let act = &entry.act;
        let who = |who: &String| *who == act.who.name || *who == act.who.address;
        let what = |what: &String| act.what.contains(what) || act.target.contains(what);
        self.who.as_ref().is_none_or(who)
            && self.what.as_ref().is_none_or(what)
            && self.outcome.as_ref().is_none_or(|outcome| *outcome == act.outcome)
            && self.since.is_none_or(|since| act.at >= since)
            && self.until.is_none_or(|until| act.at < until)
    }
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    fetched: folder::Fetched,
    /// Entries that match the filter; none without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    selected: Option<u64>,
    /// The log's keys as the server names them.
    keys: Vec<String>,
}

pub(super) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let fetched = folder::fetch(&client, &args.out)?;
    let selected = if args.selects() {
        Some(folder::select(&args.out, |entry| args.matches(entry))?)
    } else {
        None
    };
    let AuditKeysView { keys, .. } = client.get("/v1/audit/keys")?;
    session.output.show(&Answer { fetched, selected, keys }, in_words)
}

fn in_words(answer: &Answer) -> String {
    let folder::Fetched { folder, origin, size, files } = &answer.fetched;
    let mut facts = vec![
        ("log", origin.clone()),
        ("entries", size.to_string()),
        ("folder", format!("{folder}, {files} files")),
    ];
    if let Some(selected) = answer.selected {
        facts.push(("selected", format!("{selected} in {}", folder::SELECTED)));
    }
    for key in &answer.keys {
        facts.push(("verifier key", key.clone()));
    }
    output::facts(&facts)
}
