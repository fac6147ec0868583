//! `lazaret operator ...`: who may act here.

use clap::Subcommand;
use lazaret_protocol::id::{ModelName, OperatorName};
use lazaret_protocol::operator::{
    InvitationRequest, OperatorMade, OperatorRequest, OperatorView, Page, ReasonRequest, Role,
    Scope,
};
use lazaret_protocol::time::{HOUR_MS, Timestamp};

use super::{Range, Session, list_end, login};
use crate::output;
use crate::words::Reason;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Become the first administrator: the same as `lazaret login` with the bootstrap code
    Bootstrap(BootstrapArgs),
    /// Enter somebody, and make the one-time code with which they log in
    Add(AddArgs),
    /// Make another code for somebody who lost their key
    Invite(InviteArgs),
    /// List operators that the registry has
    List(ListArgs),
    /// Let somebody in no more, at once
    Disable(ActArgs),
    /// Let somebody in again
    Enable(EnableArgs),
    /// Say who you are here, and what you may do
    Whoami(WhoamiArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret operator bootstrap --at https://lazaret.example:8445 --server-ca server-ca.pem \\
      --name ana --code-file code.txt --out ~/.config/lazaret")]
pub(crate) struct BootstrapArgs {
    #[command(flatten)]
    login: login::Args,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Roles: viewer, operator, release-manager, incident-commander, responder, auditor, admin. Admin goes
with viewer and auditor only. A third party has a scope and an end: it sees and does nothing outside
of both. The code is shown once and is for this name alone.

Example:
  lazaret operator add bert --roles operator,responder --reason \"joins the night shift\"
  lazaret operator add acme-forensics --roles responder --models gw2 --groups lyon \\
      --ends 2026-12-31T00:00:00Z --reason \"contract 17\"")]
pub(crate) struct AddArgs {
    /// Who
    #[arg(value_name = "NAME")]
    name: OperatorName,
    /// What they may do
    #[arg(long, value_name = "ROLES", value_delimiter = ',', required = true, value_parser = role)]
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
    /// When their access ends (RFC 3339, UTC); a third party has an end
    #[arg(long, value_name = "TIME", value_parser = moment)]
    ends: Option<Timestamp>,
    /// How long the code is good
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=336))]
    valid_hours: u64,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What they have stays good until the code is used, and is void from then on. If the key may be in
other hands, disable them first.

Example:
  lazaret operator invite bert --reason \"the laptop fell into the harbour\"")]
pub(crate) struct InviteArgs {
    /// Who
    #[arg(value_name = "NAME")]
    name: OperatorName,
    /// How long the code is good
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=336))]
    valid_hours: u64,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret operator list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    range: Range,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
It takes hold at once, on open connections and with service tokens too. It works for whoever has a
certificate of the key tool as well.

Example:
  lazaret operator disable bert --reason \"left the company\"")]
pub(crate) struct ActArgs {
    /// Who
    #[arg(value_name = "NAME")]
    name: OperatorName,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret operator enable bert --reason \"was a mistake\"")]
pub(crate) struct EnableArgs {
    /// Who
    #[arg(value_name = "NAME")]
    name: OperatorName,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret operator whoami")]
pub(crate) struct WhoamiArgs {}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Bootstrap(args) => login::run(args.login, session),
            Self::Add(args) => add(args, session),
            Self::Invite(args) => invite(args, session),
            Self::List(args) => list(args, session),
            Self::Disable(args) => change("disable", &args.name, args.reason, session),
            Self::Enable(args) => change("enable", &args.name, args.reason, session),
            Self::Whoami(WhoamiArgs {}) => {
                let who: serde_json::Value = session.client()?.get("/v1/whoami")?;
                session.output.show(&who, whoami)
            }
        }
    }
}

/// Reads a role.
pub(super) fn role(text: &str) -> Result<Role, String> {
    let all = || Role::ALL.map(Role::as_str).join(", ");
    Role::parse(text).ok_or_else(|| format!("expected one of {}", all()))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|err| err.to_string())
}

fn add(args: AddArgs, session: &Session) -> anyhow::Result<()> {
    let scope = Scope { models: args.models, groups: args.groups, incident: args.incident };
    let body = OperatorRequest {
        name: args.name,
        roles: args.roles,
        scope: (!scope.is_empty()).then_some(scope),
        ends: args.ends,
        valid_ms: args.valid_hours * HOUR_MS,
        reason: args.reason.into(),
    };
    made(&session.client()?.post("/v1/operators", &body)?, session)
}

fn invite(args: InviteArgs, session: &Session) -> anyhow::Result<()> {
    let body =
        InvitationRequest { valid_ms: args.valid_hours * HOUR_MS, reason: args.reason.into() };
    let path = format!("/v1/operators/{}/invite", args.name);
    made(&session.client()?.post(&path, &body)?, session)
}

fn made(made: &OperatorMade, session: &Session) -> anyhow::Result<()> {
    session.output.show(made, |made| {
        format!(
            "{}\ncode     {} (shown once, good until {})\n\
             they run `lazaret login --name {}` with it",
            facts(&made.operator),
            made.code,
            made.expires,
            made.operator.name
        )
    })
}

fn list(args: ListArgs, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let page: Page<OperatorView> =
        client.list("/v1/operators", args.range.after, args.range.limit)?;
    session.output.show(&page, |page| {
        let rows = page.items.iter().map(|operator| {
            vec![
                operator.name.to_string(),
                roles(operator.roles.as_deref()),
                scope(operator.scope.as_ref()),
                operator.ends.map_or_else(|| "-".to_owned(), |ends| ends.to_string()),
                state(operator),
            ]
        });
        let table = output::table(&["operator", "roles", "scope", "ends", "state"], rows);
        table + &list_end("operators", page.items.len(), page.next.as_deref())
    })
}

fn change(
    what: &str,
    name: &OperatorName,
    reason: Reason,
    session: &Session,
) -> anyhow::Result<()> {
    let path = format!("/v1/operators/{name}/{what}");
    let body = ReasonRequest { reason: reason.into() };
    let operator: OperatorView = session.client()?.post(&path, &body)?;
    session.output.show(&operator, facts)
}

fn facts(operator: &OperatorView) -> String {
    output::facts(&[
        ("operator", operator.name.to_string()),
        ("roles", roles(operator.roles.as_deref())),
        ("scope", scope(operator.scope.as_ref())),
        ("state", state(operator)),
    ])
}

fn state(operator: &OperatorView) -> String {
    match &operator.disabled {
        Some(why) => format!("disabled: {why}"),
        None if operator.invited => "invited".to_owned(),
        None => "let in".to_owned(),
    }
}

/// Roles in words.
pub(super) fn roles(roles: Option<&[Role]>) -> String {
    let words = |roles: &[Role]| roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    roles.map_or_else(|| "as the certificate says".to_owned(), words)
}

/// A scope in words.
pub(super) fn scope(scope: Option<&Scope>) -> String {
    let Some(scope) = scope else { return "all".to_owned() };
    let models: Vec<String> = scope.models.iter().map(ToString::to_string).collect();
    let mut parts = Vec::new();
    for (what, names) in [("model", models), ("group", scope.groups.clone())] {
        if !names.is_empty() {
            parts.push(format!("{what} {}", names.join(" or ")));
        }
    }
    parts.extend(scope.incident.iter().map(|incident| format!("incident {incident}")));
    parts.join(", ")
}

fn whoami(who: &serde_json::Value) -> String {
    let text = |name: &str| who.get(name).and_then(|v| v.as_str()).unwrap_or("-").to_owned();
    let list = |name: &str| who.get(name).map(ToString::to_string).unwrap_or_default();
    output::facts(&[("name", text("name")), ("roles", list("roles")), ("scopes", list("scopes"))])
}
