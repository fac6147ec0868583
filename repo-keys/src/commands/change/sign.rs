//! `change sign`: one key, and all payloads of a change that it may sign.

use std::path::PathBuf;

use clap::Args;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_repo_keys_signing::metadata::make;

use super::folder::{self, Folder};
use super::plan::say;
use crate::change::Resigned;
use crate::commands::sign::{KeyArgs, SignatureFile};
use crate::error::{Rule, StepError};
use crate::session::Session;

/// See [`super::Command::Sign`].
#[derive(Debug, Args)]
pub struct SignChange {
    /// The folder of the change.
    #[arg(long, value_name = "DIR")]
    pub change: PathBuf,
    /// Your key.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Your own copy of any root that you trust, such as the first.
    #[arg(long, value_name = "N.root.json")]
    pub trusted_root: Option<PathBuf>,
    /// Say what would be signed, and sign nothing. No key is opened.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder for the signatures; made where it is not there.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub out_dir: Option<PathBuf>,
}

/// Signs.
///
/// # Errors
/// The change is none, has expired, or gives this key nothing to sign.
pub(super) fn run(session: &Session, args: &SignChange) -> Result<(), StepError> {
    let mut step = session.begin("change sign");
    let change = Folder::read(&mut step, &args.change)?;
    match &args.trusted_root {
        Some(path) => folder::check_trusted_root(&mut step, &change.current, path)?,
        None => step.say("the roots are taken at your word: no --trusted-root was given"),
    }
    for (resigned, _) in &change.roles {
        if resigned.after.expires() <= session.now {
            let what = format!("{} expired {}", resigned.after.role(), resigned.after.expires());
            return Err(StepError::refused(Rule::Expired, what));
        }
    }
    let all: Vec<Resigned> = change.roles.iter().map(|(resigned, _)| resigned.clone()).collect();
    say(&mut step, session, &all, &change.names);
    let Some(out) = args.out_dir.as_ref().filter(|_| !args.dry_run) else {
        step.say("a rehearsal: nothing was signed");
        session.finish_reading(step);
        return Ok(());
    };
    // A person sees what is to be signed before the passphrase is asked for.
    session.show_before_asking(&step);
    let (holder, signer) = args.key.open(session, &change.names)?;
    let public = signer.public();
    let mut signed = 0;
    for (resigned, payload) in &change.roles {
        if !resigned.signers.iter().any(|set| set.keys.contains(&public)) {
            continue;
        }
        let (role, version) = (resigned.after.role(), resigned.after.version());
        let file = SignatureFile {
            holder: holder.clone(),
            role: role.to_string(),
            version,
            payload_sha256: Sha256Digest::of(payload),
            keyid: make::key_id(&role.to_string(), &public)?,
            sig: hex::encode(signer.sign(&role, payload)?),
        };
        step.say(format!("{holder} signed {role} version {version}"));
        let path = out.join(format!("{version}.{role}.{holder}.sig"));
        step.beside(out);
        step.write(&path, &lazaret_protocol::canonical::to_bytes(&file)?)?;
        signed += 1;
    }
    if signed == 0 {
        let what = format!("{holder}'s key {} may sign nothing of this change", public.key_id());
        return Err(StepError::refused(Rule::NotListed, what));
    }
    session.finish(step)?;
    Ok(())
}
