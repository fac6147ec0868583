//! `responder`: the age key of somebody who reads evidence. `age-keygen` makes the same; this is
//! for machines without it.

use std::path::PathBuf;

use clap::Args;
use curve25519_dalek::montgomery::MontgomeryPoint;
use lazaret_protocol_evidence::age::{Identity, Recipient};
use lazaret_repo_keys_signing::durable::{self, Access};

use crate::error::StepError;
use crate::session::Session;

/// See [`crate::cli::Command::Responder`].
#[derive(Debug, Args)]
pub struct Responder {
    /// Where the secret goes: a file as age-keygen writes it, for `age -d -i FILE`.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Makes a responder's key, and says its recipient, which goes into the anchors.
///
/// # Errors
/// There is no randomness, or the file is there already.
pub fn run(session: &Session, args: &Responder) -> Result<Recipient, StepError> {
    let mut step = session.begin("responder");
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|err| StepError::misuse(format!("the system gives no randomness: {err}")))?;
    let recipient = Recipient(MontgomeryPoint::mul_base_clamped(secret).to_bytes());
    let text = format!("# public key: {recipient}\n{}\n", Identity(secret).to_text());
    durable::write_new(&args.out, text.as_bytes(), Access::Private)?;
    step.say(format!("evidence for this key is encrypted to {recipient}"));
    step.beside(&args.out);
    session.finish(step)?;
    Ok(recipient)
}
