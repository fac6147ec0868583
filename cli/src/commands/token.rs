//! `lazaret token ...`: service tokens for programs that act for you.

use clap::Subcommand;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::operator::{
    Page, ReasonRequest, Role, Scope, TokenMade, TokenRequest, TokenView,
};
use lazaret_protocol::time::{DAY_MS, Timestamp};

use super::{Session, list_end, operator};
use crate::output;
use crate::words::Reason;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token; its secret is shown once
    Create(CreateArgs),
    /// List tokens, without their secrets
    List(ListArgs),
    /// Revoke a token, at once and for good
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A token counts as you wherever persons are counted, and allows no more than you may do at the
moment it is used. Put the secret into a file that the program alone reads, and name that file as
`token` in its settings, with the address of the sign-in listener as `server`.

Example:
  lazaret token create --purpose ci --roles viewer --days 30 --reason \"the lab's dashboard\"")]
pub(crate) struct CreateArgs {
    /// What it is for, in a word
    #[arg(long, value_name = "WORD")]
    purpose: String,
    /// What it allows: roles of yours
    #[arg(long, value_name = "ROLES", value_delimiter = ',', required = true)]
    #[arg(value_parser = operator::role)]
    roles: Vec<Role>,
    /// Only devices of these hardware models
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    models: Vec<ModelName>,
    /// Only devices in these groups
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    groups: Vec<String>,
    /// Only devices whose label `incident` has this value
    #[arg(long, value_name = "INCIDENT")]
    incident: Option<String>,
    /// When it ends, from now
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Your own; everybody's where you are admin or auditor.

Example:
  lazaret token list")]
pub(crate) struct ListArgs {}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret token revoke t-0a1b2c3d --reason \"was in a log\"")]
pub(crate) struct RevokeArgs {
    /// Which token
    #[arg(value_name = "ID")]
    token: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        let client = session.client()?;
        match self {
            Self::Create(args) => {
                let scope =
                    Scope { models: args.models, groups: args.groups, incident: args.incident };
                let body = TokenRequest {
                    purpose: args.purpose,
                    roles: args.roles,
                    scope: (!scope.is_empty()).then_some(scope),
                    valid_ms: args.days * DAY_MS,
                    reason: args.reason.into(),
                };
                let made: TokenMade = client.post("/v1/tokens", &body)?;
                session.output.show(&made, |made| {
                    format!("{}secret   {} (shown once)\n", facts(&made.token), made.secret)
                })
            }
            Self::List(ListArgs {}) => {
                let page: Page<TokenView> = client.get("/v1/tokens")?;
                session.output.show(&page, in_words)
            }
            Self::Revoke(args) => {
                let path = format!("/v1/tokens/{}/revoke", crate::client::escaped(&args.token));
                let body = ReasonRequest { reason: args.reason.into() };
                let token: TokenView = client.post(&path, &body)?;
                session.output.show(&token, facts)
            }
        }
    }
}

fn in_words(page: &Page<TokenView>) -> String {
    let moment = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |t| t.to_string());
    let rows = page.items.iter().map(|token| {
        vec![
            token.id.clone(),
            token.operator.to_string(),
            token.purpose.clone(),
            operator::roles(Some(&token.roles)),
            operator::scope(token.scope.as_ref()),
            token.ends.to_string(),
            moment(token.last_used),
            state(token),
        ]
    });
    let columns = ["token", "of", "purpose", "roles", "scope", "ends", "last used", "state"];
    output::table(&columns, rows) + &list_end("tokens", page.items.len(), None)
}

fn facts(token: &TokenView) -> String {
    output::facts(&[
        ("token", token.id.clone()),
        ("of", token.operator.to_string()),
        ("purpose", token.purpose.clone()),
        ("roles", operator::roles(Some(&token.roles))),
        ("scope", operator::scope(token.scope.as_ref())),
        ("ends", token.ends.to_string()),
        ("state", state(token)),
    ])
}

fn state(token: &TokenView) -> String {
    match token.revoked {
        Some(at) => format!("revoked {at}"),
        None if token.ends <= output::now() => "ended".to_owned(),
        None => "good".to_owned(),
    }
}
