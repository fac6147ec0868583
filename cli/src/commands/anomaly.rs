//! `lazaret anomaly ...`: what speaks against devices, and what it is worth.

use clap::Subcommand;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{AnomalyView, ReasonRequest};
use lazaret_server_domain::anomaly::RULES;
use serde_json::json;

use super::{Range, Session, list_end};
use crate::output;
use crate::words::Reason;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List devices that something speaks against, with what
    List(ListArgs),
    /// Say that a suspicion was looked at
    Dismiss(DismissArgs),
    /// List the rules
    Rules(RulesArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A score adds up what rules say, each rule once: 50 and above is proof that something is wrong, if
not of what. Nobody is contained by a score: open an incident, and contain.

Examples:
  lazaret anomaly list
  lazaret incident open --devices d-41 --title \"two of d-41\" --severity high --reason \"clone\"")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    range: Range,
    /// Those that were dismissed, too
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What comes later is a suspicion anew.

Example:
  lazaret anomaly dismiss d-41 --reason \"restored from a backup by us\"")]
pub(crate) struct DismissArgs {
    /// Which device
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret anomaly rules")]
pub(crate) struct RulesArgs {}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::List(args) => list(args, session),
            Self::Dismiss(args) => {
                let path = format!("/v1/anomalies/{}/dismiss", args.device);
                let body = ReasonRequest { reason: args.reason.into() };
                let view: AnomalyView = session.client()?.post(&path, &body)?;
                session.output.show(&view, |view| in_words(std::slice::from_ref(view)))
            }
            Self::Rules(_) => {
                let rule = |rule: &lazaret_server_domain::anomaly::Rule| {
                    json!({ "rule": rule.name, "score": rule.score,
                            "technique": rule.technique, "about": rule.about })
                };
                let all: Vec<serde_json::Value> = RULES.iter().map(rule).collect();
                session.output.show(&all, |_| {
                    let rows = RULES.iter().map(|rule| {
                        let technique = rule.technique.unwrap_or("-").to_owned();
                        vec![rule.name.into(), rule.score.to_string(), technique, rule.about.into()]
                    });
                    output::table(&["rule", "score", "ATT&CK for ICS", "what it sees"], rows)
                })
            }
        }
    }
}

fn list(args: ListArgs, session: &Session) -> anyhow::Result<()> {
    let mut page: lazaret_protocol::operator::Page<AnomalyView> =
        session.client()?.list("/v1/anomalies", args.range.after, args.range.limit)?;
    page.items.retain(|one| args.all || one.dismissed.is_none());
    page.items.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.device.cmp(&b.device)));
    session.output.show(&page, |page| {
        let end = list_end("suspicions", page.items.len(), page.next.as_deref());
        format!("{}{end}", in_words(&page.items))
    })
}

fn in_words(all: &[AnomalyView]) -> String {
    let rows = all.iter().flat_map(|one| {
        one.reasons.iter().enumerate().map(|(at, reason)| {
            let first = |text: String| if at == 0 { text } else { String::new() };
            vec![
                first(one.device.to_string()),
                first(one.score.to_string()),
                reason.rule.clone(),
                reason.count.to_string(),
                reason.last.to_string(),
                output::shown(&reason.word),
                first(one.dismissed.clone().unwrap_or_default()),
            ]
        })
    });
    output::table(&["device", "score", "rule", "times", "last", "says", "dismissed"], rows)
}
