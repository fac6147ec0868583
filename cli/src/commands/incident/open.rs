//! `lazaret incident open`.

use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::{
    IncidentRequest, IncidentStatus, Obligation, PlaybookChoice, Severity,
};
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::incident::playbook::SHIPPED;

use super::playbook;
use super::show::in_words;
use crate::commands::{Session, sweep};
use crate::words::Reason;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("who").required(true).multiple(true)
    .args(["filter", "devices", "component", "advisory", "file"])))]
#[command(after_help = "\
Who is in it is resolved once and kept, with a digest over the names: a device that changes later
stays in. --dry-run shows who it would be, and keeps nothing.

The clocks of the EU Cyber Resilience Act (Article 14) run from --aware: 24 h, 72 h, and the final
report 14 days after a corrective measure (exploited-vulnerability) or 28 days after the
notification, the shortest month (severe-incident).

Example:
  lazaret incident open --title \"cameras call strangers\" --severity high --declare \\
      --filter \"model==cam1;label.site==lyon\" --playbook compromised-device \\
      --obligation severe-incident --reason \"seen by the firewall\"
  lazaret incident open --title \"CVE-2026-1234\" --severity high --declare \\
      --advisory CVE-2026-1234 --reason \"is being used\"")]
pub(crate) struct Args {
    /// What it is, in one line
    #[arg(long, value_name = "TEXT")]
    title: String,
    /// How bad
    #[arg(long, value_name = "low|medium|high|critical", value_parser = severity)]
    severity: Severity,
    /// Declare it at once; otherwise it is suspected
    #[arg(long)]
    declare: bool,
    /// Who leads [default: you]
    #[arg(long, value_name = "NAME")]
    commander: Option<OperatorName>,
    /// Devices that match
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// These devices, too
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    devices: Vec<DeviceId>,
    #[command(flatten)]
    query: sweep::Query,
    /// What has to be filed with authorities
    #[arg(long, value_name = "none|exploited-vulnerability|severe-incident")]
    #[arg(default_value = "none", value_parser = obligation)]
    obligation: Obligation,
    /// When it began, as far as is known, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    began: Option<Timestamp>,
    /// When you became aware of it [default: now]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    aware: Option<Timestamp>,
    /// A shipped playbook, or a file of your own
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// Only show who would be in it
    #[arg(long)]
    dry_run: bool,
}

fn severity(text: &str) -> Result<Severity, String> {
    word(text, "low, medium, high or critical")
}

fn obligation(text: &str) -> Result<Obligation, String> {
    word(text, "none, exploited-vulnerability or severe-incident")
}

/// Reads a word of the interface.
pub(super) fn word<T: serde::de::DeserializeOwned>(
    text: &str,
    expected: &str,
) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("expected {expected}, got {text:?}"))
}

pub(super) fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let chosen = args.playbook.map(|name| -> anyhow::Result<PlaybookChoice> {
        if SHIPPED.iter().any(|(known, _)| *known == name) {
            return Ok(PlaybookChoice::Shipped(name));
        }
        playbook::usable(&name)?;
        Ok(PlaybookChoice::Text(playbook::text(&name)?))
    });
    let sweep = args.query.into_query(args.filter.clone());
    let body = IncidentRequest {
        title: args.title,
        severity: args.severity,
        declared: args.declare,
        commander: args.commander,
        filter: if sweep.is_some() { None } else { args.filter },
        sweep,
        devices: args.devices,
        obligation: args.obligation,
        began: args.began,
        aware: args.aware,
        playbook: chosen.transpose()?,
        reason: args.reason.into(),
        dry_run: args.dry_run,
    };
    let status: IncidentStatus = session.client()?.post("/v1/incidents", &body)?;
    if args.dry_run {
        session.output.remark("nothing was kept: this is what it would be");
    }
    session.output.show(&status, in_words)
}
