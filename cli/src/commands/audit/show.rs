//! `lazaret audit show`: entries of the audit log by who, what and when.

use lazaret_protocol::operator::{AuditEntry, Page};
use lazaret_protocol::time::Timestamp;

use super::super::{Session, list_end};
use super::moment;
use crate::client::escaped;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs the role auditor. What is shown is what the server says; `lazaret audit verify` checks it.

Example:
  lazaret audit show --last 20
  lazaret audit show --who ana --what rollouts --since 2026-11-01T00:00:00Z
  lazaret audit show --outcome forbidden --json")]
pub(crate) struct Args {
    /// Only of this person, device or address
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only whose route or path holds this text, such as `rollouts`
    #[arg(long, value_name = "TEXT")]
    what: Option<String>,
    /// Only with this outcome: `done`, or the code of a refusal
    #[arg(long, value_name = "CODE")]
    outcome: Option<String>,
    /// Not before this moment (RFC 3339, UTC)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Show what comes after the entry of this index
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    /// Look at the last so many entries only
    #[arg(long, value_name = "N", conflicts_with = "after")]
    last: Option<u64>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let after = match args.last {
        None => args.after,
        Some(last) => {
            let note = super::folder::fetched(&client, "/v1/audit/checkpoint")?;
            super::folder::size_of(&note)?.checked_sub(last).and_then(|from| from.checked_sub(1))
        }
    };
    let moment = |time: Option<Timestamp>| time.map(|time| time.to_rfc3339());
    let wanted = [
        ("who", args.who),
        ("what", args.what),
        ("outcome", args.outcome),
        ("since", moment(args.since)),
        ("until", moment(args.until)),
    ];
    let filter: String = wanted
        .into_iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", escaped(&value?))))
        .collect();
    let page: Page<AuditEntry> = client.list_where(
        "/v1/audit/entries",
        &filter,
        (after.map(|after| after.to_string()), args.limit),
    )?;
    session.output.show(&page, |page| {
        let columns = ["index>", "when", "who", "what", "outcome", "reason or detail"];
        let table = output::table(&columns, page.items.iter().map(row));
        table + &list_end("entries", page.items.len(), page.next.as_deref())
    })
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let act = &entry.act;
    let who = match act.who.name.as_str() {
        "-" => format!("{} {}", act.who.kind.as_str(), act.who.address),
        name if act.who.kind == lazaret_protocol::operator::AuditWhoKind::Operator => name.into(),
        name => format!("{} {name}", act.who.kind.as_str()),
    };
    let method = act.what.split(' ').next().unwrap_or_default();
    let what =
        if act.target.is_empty() { act.what.clone() } else { format!("{method} {}", act.target) };
    let outcome = match act.count {
        1 => act.outcome.clone(),
        count => format!("{} ({count} times)", act.outcome),
    };
    let why = if act.reason.is_empty() { act.detail.clone() } else { act.reason.clone() };
    vec![entry.index.to_string(), act.at.to_string(), who, what, outcome, why]
}
