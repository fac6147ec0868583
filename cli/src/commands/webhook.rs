//! `lazaret webhook ...`: whom the server tells of events.

use clap::Subcommand;
use lazaret_protocol::operator::{
    NoticeFormat, Page, ReasonRequest, WebhookMade, WebhookRequest, WebhookView,
};

use super::Session;
use crate::output;
use crate::words::Reason;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Have events delivered to an address
    Add(AddArgs),
    /// List webhooks and how their deliveries go
    List(ListArgs),
    /// Deliver nothing there any more
    Stop(StopArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The secret is shown once: deliveries are signed with it (docs/PROTOCOL.md). Only https to public
addresses is called, or what the server's settings allow.

Example:
  lazaret webhook add --url https://example.org/lazaret --kinds rollout-halted,quarantined \\
      --reason \"page the people on call\"
  lazaret webhook add --url syslog+tls://siem.example.org --format cef --reason \"to the SIEM\"

Collectors of syslog are syslog://HOST (UDP, 514), syslog+tcp://HOST (601) and syslog+tls://HOST
(6514); the first two only within networks that the server's settings allow.")]
pub(crate) struct AddArgs {
    /// Where to
    #[arg(long, value_name = "URL")]
    url: String,
    /// What events are written as: json, ocsf, or cef (to syslog)
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = format)]
    format: NoticeFormat,
    /// Only events of these kinds [default: all]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    kinds: Vec<String>,
    /// Begin behind the event of this number [default: with what is to come]
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret webhook list")]
pub(crate) struct ListArgs {}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret webhook stop w-0a1b2c3d --reason \"the receiver is gone\"")]
pub(crate) struct StopArgs {
    /// Which webhook
    #[arg(value_name = "ID")]
    webhook: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        let client = session.client()?;
        match self {
            Self::Add(args) => {
                let body = WebhookRequest {
                    url: args.url,
                    format: args.format,
                    kinds: args.kinds,
                    after: args.after,
                    reason: args.reason.into(),
                };
                let made: WebhookMade = client.post("/v1/webhooks", &body)?;
                session.output.show(&made, |made| {
                    format!("{}\nsecret  {} (shown once)\n", facts(&made.webhook), made.secret)
                })
            }
            Self::List(_) => {
                let page: Page<WebhookView> = client.get("/v1/webhooks")?;
                session.output.show(&page, in_words)
            }
            Self::Stop(args) => {
                let path = format!("/v1/webhooks/{}/stop", crate::client::escaped(&args.webhook));
                let body = ReasonRequest { reason: args.reason.into() };
                let webhook: WebhookView = client.post(&path, &body)?;
                session.output.show(&webhook, facts)
            }
        }
    }
}

fn format(text: &str) -> Result<NoticeFormat, String> {
    serde_json::from_value(text.into())
        .map_err(|_| format!("expected json, ocsf or cef, got {text:?}"))
}

fn in_words(page: &Page<WebhookView>) -> String {
    match page.items.is_empty() {
        true => "no webhooks".to_owned(),
        false => page.items.iter().map(facts).collect::<Vec<_>>().join("\n"),
    }
}

fn facts(webhook: &WebhookView) -> String {
    let kinds = if webhook.kinds.is_empty() { "all".to_owned() } else { webhook.kinds.join(", ") };
    let state = match (webhook.stopped, webhook.failures) {
        (true, _) => "stopped".to_owned(),
        (false, 0) => "delivering".to_owned(),
        (false, failures) => format!(
            "{failures} tries failed: {}; next {}",
            webhook.last_error.as_deref().unwrap_or("-"),
            webhook.next_try.map_or_else(|| "-".to_owned(), |at| at.to_string())
        ),
    };
    let mut facts = vec![
        ("webhook", webhook.id.clone()),
        ("to", webhook.url.clone()),
        ("kinds", kinds),
        ("by", webhook.by.to_string()),
        ("state", state),
        ("delivered up to", webhook.delivered_up_to.to_string()),
    ];
    for lost in &webhook.given_up {
        facts.push((
            "NOT DELIVERED",
            format!("events {} to {}, given up {}: {}", lost.first, lost.last, lost.at, lost.why),
        ));
    }
    output::facts(&facts)
}
