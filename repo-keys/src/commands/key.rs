//! `key create` and `key show`: a holder's own key.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lazaret_protocol::id::HolderName;
use lazaret_repo_keys_signing::key::create_holder_key;
use lazaret_repo_keys_signing::{HolderPublic, sources};

use crate::error::StepError;
use crate::session::{Purpose, Session};

/// A holder's own key.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key pair: `alice.key`, encrypted with a passphrase, and `alice.pub` to hand out.
    #[command(after_help = "\
Example:
  lazaret-keys key create --holder alice --out alice.key

The private key is PKCS#8, encrypted with scrypt and AES-256, and never leaves this machine.
`openssl pkey -in alice.key -text` reads it. Nothing is ever overwritten.")]
    Create(Create),
    /// Show the public half of a key.
    #[command(after_help = "\
Example:
  lazaret-keys key show alice.pub
  lazaret-keys key show alice.key    (asks for the passphrase)")]
    Show(Show),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub struct Create {
    /// Who will hold it, such as `alice`.
    #[arg(long)]
    pub holder: HolderName,
    /// Where the private key goes; the public half goes beside it as `.pub`.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub struct Show {
    /// A `.pub` file, or a private key.
    pub key: PathBuf,
}

/// Runs one of them.
///
/// # Errors
/// The key cannot be made or read.
pub fn run(session: &Session, command: &Command) -> Result<(), StepError> {
    match command {
        Command::Create(args) => create(session, args).map(|_| ()),
        Command::Show(args) => show(session, args),
    }
}

/// Makes a holder's key.
///
/// # Errors
/// The file exists, the passphrase is not taken, or it cannot be written.
pub fn create(session: &Session, args: &Create) -> Result<HolderPublic, StepError> {
    if args.out.extension().is_some_and(|extension| extension == "pub") {
        let what =
            "expected --out to name the private key, such as alice.key; .pub is made beside it";
        return Err(StepError::misuse(what));
    }
    let what = format!("{}'s new key", args.holder);
    let passphrase = session.passphrase(&what, Purpose::Protect)?;
    let public = create_holder_key(&args.holder, &args.out, &passphrase)?;
    let mut step = session.begin("key create");
    step.say(format!("{} holds key {}", public.holder, public.key.key_id()));
    step.say(format!("private key in {}, encrypted, mode 0600", args.out.display()));
    step.beside(&args.out);
    let json = serde_json::to_vec(&public).unwrap_or_default();
    step.note_written(&args.out.with_extension("pub"), &json);
    session.finish(step)?;
    Ok(public)
}

fn show(session: &Session, args: &Show) -> Result<(), StepError> {
    let mut step = session.begin("key show");
    let is_public = args.key.extension().is_some_and(|extension| extension == "pub");
    let public = if is_public {
        super::read_public(&mut step, &args.key)?
    } else {
        let what = args.key.display().to_string();
        let passphrase = session.passphrase(&what, Purpose::Open)?;
        let mut once = Some(passphrase);
        let signer = sources::open(&what, &mut || {
            once.take().ok_or(lazaret_repo_keys_signing::KeyError::Encoding)
        })?;
        let stem = args.key.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
        let holder = stem.and_then(|stem| stem.parse().ok());
        let holder = holder.ok_or_else(|| {
            StepError::misuse("expected a key file named after its holder, such as alice.key")
        })?;
        HolderPublic { holder, key: signer.public() }
    };
    step.say(format!("holder {}", public.holder));
    step.say(format!("key {}", public.key.key_id()));
    step.say(serde_json::to_string(&public).unwrap_or_default());
    session.finish_reading(step);
    Ok(())
}
