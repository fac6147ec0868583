//! `online create`: the keys that a server may have.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lazaret_repo_keys_signing::online::ONLINE_PUBLIC_FILE;
use lazaret_repo_keys_signing::{OnlineKeys, OnlinePublic};

use crate::error::StepError;
use crate::session::Session;

/// The keys that a server may have.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the server's five keys: snapshot, timestamp, deltas, orders and audit.
    #[command(after_help = "\
Example:
  lazaret-keys online create --out online

The five .pem files go to the server, unencrypted and with mode 0600. `online.pub.json` stays with
the ceremony: root and targets list these keys. A server refuses to start with any other key.")]
    Create(Create),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub struct Create {
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// The folder is not empty or cannot be written.
pub fn run(session: &Session, command: &Command) -> Result<(), StepError> {
    let Command::Create(args) = command;
    create(session, args).map(|_| ())
}

/// Makes the server's keys.
///
/// # Errors
/// The folder is not empty or cannot be written.
pub fn create(session: &Session, args: &Create) -> Result<OnlinePublic, StepError> {
    let public = OnlineKeys::create(&args.out)?;
    let mut step = session.begin("online create");
    for (name, key) in [
        ("snapshot", &public.snapshot),
        ("timestamp", &public.timestamp),
        ("deltas", &public.deltas),
        ("orders", &public.orders),
    ]
    .into_iter()
    .chain(public.audit.iter().map(|key| ("audit", key)))
    {
        step.say(format!("{name} has key {}, private in {name}.pem", key.key_id()));
    }
    step.beside(&args.out);
    let json = serde_json::to_vec(&public).unwrap_or_default();
    step.note_written(&args.out.join(ONLINE_PUBLIC_FILE), &json);
    session.finish(step)?;
    Ok(public)
}
