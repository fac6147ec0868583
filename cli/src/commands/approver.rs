//! `lazaret approver ...`: the SSH keys with which operators approve plans.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use lazaret_protocol::operator::{ApproverKeyRequest, ApproverKeyView, Page};
use lazaret_protocol::sshsig::SshKey;

use super::{Range, Session, list_end};
use crate::client::pem_bytes;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enter a public key with which you will approve
    Add(AddArgs),
    /// List the keys that may approve
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret approver add --ssh-key ~/.ssh/id_ed25519.pub")]
pub(crate) struct AddArgs {
    /// The public key
    #[arg(long, value_name = "FILE")]
    ssh_key: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lazaret approver list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    range: Range,
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Add(args) => add(&args, session),
            Self::List(args) => list(args, session),
        }
    }
}

fn add(args: &AddArgs, session: &Session) -> anyhow::Result<()> {
    let path = args.ssh_key.display();
    let text = String::from_utf8(pem_bytes(&args.ssh_key)?);
    let text = text.with_context(|| format!("{path} is no public key"))?;
    let key: SshKey = text.trim().parse().with_context(|| format!("{path} cannot be used"))?;
    let view: ApproverKeyView =
        session.client()?.post("/v1/approvers/keys", &ApproverKeyRequest { key })?;
    session
        .output
        .show(&view, |view| format!("{} may approve as {}", view.fingerprint, view.operator))
}

fn list(args: ListArgs, session: &Session) -> anyhow::Result<()> {
    let client = session.client()?;
    let page: Page<ApproverKeyView> =
        client.list("/v1/approvers/keys", args.range.after, args.range.limit)?;
    session.output.show(&page, |page| {
        let rows = page.items.iter().map(|key| {
            vec![key.operator.to_string(), key.fingerprint.clone(), key.added.to_string()]
        });
        let table = output::table(&["operator", "key", "added"], rows);
        table + &list_end("keys", page.items.len(), page.next.as_deref())
    })
}
