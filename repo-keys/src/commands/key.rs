//! `key create|protect|show`: a holder's own key, in a file or a token.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lazaret_protocol::id::HolderName;
use lazaret_protocol::key::PublicKey;
use lazaret_repo_keys_signing::key::{create_holder_key, protect_again};
use lazaret_repo_keys_signing::sources::pkcs11::{self, Algorithm, TokenUri};
use lazaret_repo_keys_signing::{HolderPublic, sources};

use crate::error::StepError;
use crate::session::{Purpose, Session, Step};

/// A holder's own key.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key pair: `alice.key`, encrypted with a passphrase, or a key in a token; and
    /// `alice.pub` to hand out.
    #[command(
        visible_alias = "new",
        after_help = "\
Examples:
  lazaret-keys key create --holder alice --out alice.key
  lazaret-keys key create --holder alice --out alice.pub \\
      --pkcs11 'pkcs11:token=alice;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so'

A file is encrypted under its passphrase with Argon2id (64 MiB, 3 passes) and AES-256-GCM, and
never leaves this machine. A token makes the key itself, Ed25519 or, where it has none, ECDSA over
P-256, and never gives it out; its PIN is asked for, or read from --pin-fd. Nothing is ever
overwritten."
    )]
    Create(Create),
    /// Put a key under another passphrase, in a new file.
    #[command(after_help = "\
Example:
  lazaret-keys key protect alice.key --out alice-2.key

It also takes in a PKCS#8 key that another tool encrypted. The old file stays; destroy it
yourself.")]
    Protect(Protect),
    /// Show the public half of a key.
    #[command(after_help = "\
Example:
  lazaret-keys key show alice.pub
  lazaret-keys key show alice.key    (asks for the passphrase)
  lazaret-keys key show 'pkcs11:token=alice;object=root?module-path=/usr/lib/p11.so'")]
    Show(Show),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub struct Create {
    /// Who will hold it, such as `alice`.
    #[arg(long)]
    pub holder: HolderName,
    /// Where the private key goes; the public half goes beside it as `.pub`. With --pkcs11 only the
    /// public half is written.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Make the key in a token instead of a file.
    #[arg(long, value_name = "URI")]
    pub pkcs11: Option<String>,
    /// What the token's key is for: `ed25519`, `ecdsa-p256`, or the best of both that it has.
    #[arg(long, value_name = "NAME", requires = "pkcs11", value_parser = algorithm)]
    pub algorithm: Option<Algorithm>,
}

/// See [`Command::Protect`].
#[derive(Debug, Args)]
pub struct Protect {
    /// The key as it is.
    pub key: PathBuf,
    /// Where it goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A file whose only line is the new passphrase, instead of asking at the terminal.
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "ed25519" => Ok(Algorithm::Ed25519),
        "ecdsa-p256" => Ok(Algorithm::EcdsaP256),
        _ => Err("expected ed25519 or ecdsa-p256".to_owned()),
    }
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub struct Show {
    /// A `.pub` file, a private key, or a `pkcs11:` URI.
    pub key: String,
}

/// Runs one of them.
///
/// # Errors
/// The key cannot be made or read.
pub fn run(session: &Session, command: &Command) -> Result<(), StepError> {
    match command {
        Command::Create(args) => create(session, args).map(|_| ()),
        Command::Protect(args) => protect(session, args),
        Command::Show(args) => show(session, args),
    }
}

/// Makes a holder's key.
///
/// # Errors
/// The file exists, the passphrase is not taken, or it cannot be written.
pub fn create(session: &Session, args: &Create) -> Result<HolderPublic, StepError> {
    if let Some(uri) = &args.pkcs11 {
        return create_in_token(session, args, uri);
    }
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

fn create_in_token(session: &Session, args: &Create, uri: &str) -> Result<HolderPublic, StepError> {
    let Some(place) = uri.strip_prefix("pkcs11:") else {
        return Err(StepError::misuse("expected a URI that begins with pkcs11:"));
    };
    let out = args.out.with_extension("pub");
    if out.exists() {
        let exists = lazaret_repo_keys_signing::durable::FileError::Exists { path: out };
        return Err(exists.into());
    }
    TokenUri::parse(place)?;
    let pin = session.pin(uri)?;
    let algorithm = args.algorithm.unwrap_or(Algorithm::Best);
    let key = pkcs11::create(place, &pin, algorithm)?;
    let public = HolderPublic { holder: args.holder.clone(), key };
    let mut step = session.begin("key create");
    step.say(format!("{} holds key {}", public.holder, public.key.key_id()));
    step.say(format!("private key in the token {uri}, never to leave it"));
    let json = serde_json::to_vec(&public).unwrap_or_default();
    step.write(&out, &json)?;
    session.finish(step)?;
    Ok(public)
}

fn protect(session: &Session, args: &Protect) -> Result<(), StepError> {
    let what = args.key.display().to_string();
    let old = session.passphrase(&what, Purpose::Open)?;
    let mut anew = session.clone();
    anew.passphrase_file.clone_from(&args.new_passphrase_file);
    let new = anew.passphrase("the new file", Purpose::Protect)?;
    protect_again(&args.key, &old, &args.out, &new)?;
    let mut step = session.begin("key protect");
    step.say(format!("{what} again in {}, under another passphrase", args.out.display()));
    step.beside(&args.out);
    session.finish(step)?;
    Ok(())
}

fn show(session: &Session, args: &Show) -> Result<(), StepError> {
    let mut step = session.begin("key show");
    let path = Path::new(&args.key);
    if path.extension().is_some_and(|extension| extension == "pub") {
        let public = super::read_public(&mut step, path)?;
        step.say(format!("holder {}", public.holder));
        say_key(&mut step, &public.key);
        step.say(serde_json::to_string(&public).unwrap_or_default());
    } else {
        let signer = sources::open(&args.key, session.secret(&args.key)?)?;
        say_key(&mut step, &signer.public());
        step.say(serde_json::to_string(&signer.public()).unwrap_or_default());
    }
    session.finish_reading(step);
    Ok(())
}

fn say_key(step: &mut Step, key: &PublicKey) {
    let algorithm = match key {
        PublicKey::Ed25519(_) => "Ed25519",
        _ => "ECDSA P-256",
    };
    step.say(format!("key {} ({algorithm})", key.key_id()));
}
