//! `assemble`: a payload and enough signatures become signed metadata. No key is needed for it, so
//! it can be done anywhere and by anybody.

use std::path::PathBuf;

use clap::Args;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::limits::SIGNATURES_MAX;
use lazaret_repo_keys_signing::metadata::{self, Document, Keyring, Signature};
use lazaret_repo_keys_signing::{FileName, OfflineRole, RoleName};
use tough::schema::{RoleType, Root, Targets};

use super::sign::SignatureFile;
use crate::error::{Rule, StepError};
use crate::plan::{self, Plan};
use crate::session::{Session, Step};

/// See [`crate::cli::Command::Assemble`].
#[derive(Debug, Args)]
pub struct Assemble {
    /// What was signed.
    #[arg(long, value_name = "FILE")]
    pub payload: PathBuf,
    /// A holder's signature; give it once for each.
    #[arg(long = "sig", value_name = "FILE", required = true)]
    pub signatures: Vec<PathBuf>,
    /// For a root after the first: the last signed root. For targets: the root that lists their
    /// holders.
    #[arg(long, value_name = "N.root.json")]
    pub root: Option<PathBuf>,
    /// For a release or an emergency: the targets that list its signers.
    #[arg(long, value_name = "N.targets.json")]
    pub targets: Option<PathBuf>,
    /// The folder for the signed file, which is named after its version and role.
    #[arg(long, value_name = "DIR")]
    pub out_dir: PathBuf,
}

/// Puts the signed file together and says its path.
///
/// # Errors
/// A signature does not hold or is of nobody who may sign, or there are too few.
pub fn run(session: &Session, args: &Assemble) -> Result<PathBuf, StepError> {
    let mut step = session.begin("assemble");
    let payload = step.read(&args.payload)?;
    let plan = Plan::read_payload(&payload)?;
    let rings = keyrings(&mut step, args, &plan, &payload)?;
    let signatures = read_signatures(&mut step, args, &rings, &payload)?;
    let file = metadata::assemble(&payload, &signatures);
    check(&plan, &rings, &file)?;

    let name = FileName::of(RoleName::Offline(plan.role()), plan.version());
    let path = args.out_dir.join(name.to_string());
    step.say(format!("{} version {} is signed", plan.role(), plan.version()));
    // The transcript lies beside the folder and not in it: the folder is what is handed to a
    // server.
    step.beside(&args.out_dir);
    step.write(&path, &file)?;
    session.finish(step)?;
    Ok(path)
}

/// Whose signatures count. A root after the first needs the threshold of the last root and its own
/// (TUF 5.3.4).
fn keyrings(
    step: &mut Step,
    args: &Assemble,
    plan: &Plan,
    payload: &[u8],
) -> Result<Vec<Keyring>, StepError> {
    let missing = |option: &str| {
        let what =
            format!("expected {option} to assemble {} version {}", plan.role(), plan.version());
        StepError::misuse(what)
    };
    match plan.role() {
        OfflineRole::Root => {
            let own = Document::<Root>::parse_payload(payload)?;
            let mut rings = vec![Keyring::of_root(&own.signed, RoleType::Root)?];
            if plan.version() > 1 {
                let path = args.root.as_ref().ok_or_else(|| missing("--root N.root.json"))?;
                let last = plan::read_root(&step.read(path)?)?;
                follows(last.version(), plan.version())?;
                rings.push(Keyring::of_root(&last.signed, RoleType::Root)?);
            }
            Ok(rings)
        }
        OfflineRole::Targets => {
            let path = args.root.as_ref().ok_or_else(|| missing("--root N.root.json"))?;
            let root = plan::read_root(&step.read(path)?)?;
            Ok(vec![Keyring::of_root(&root.signed, RoleType::Targets)?])
        }
        role @ (OfflineRole::Release(_) | OfflineRole::Emergency) => {
            let path = args.targets.as_ref().ok_or_else(|| missing("--targets N.targets.json"))?;
            let targets = Document::<Targets>::parse(&step.read(path)?)?;
            if let Some(path) = &args.root {
                let root = plan::read_root(&step.read(path)?)?;
                Keyring::of_root(&root.signed, RoleType::Targets)?.check(&targets)?;
            }
            Ok(vec![Keyring::of_delegation(&targets.signed, &RoleName::Offline(role))?])
        }
    }
}

fn follows(last: u64, next: u64) -> Result<(), StepError> {
    if last.saturating_add(1) == next {
        return Ok(());
    }
    let what = format!("expected version {} after {last}, got {next}", last.saturating_add(1));
    Err(StepError::refused(Rule::WrongVersion, what))
}

fn read_signatures(
    step: &mut Step,
    args: &Assemble,
    rings: &[Keyring],
    payload: &[u8],
) -> Result<Vec<Signature>, StepError> {
    if args.signatures.len() > SIGNATURES_MAX {
        let what =
            format!("expected at most {SIGNATURES_MAX} signatures, got {}", args.signatures.len());
        return Err(StepError::misuse(what));
    }
    let digest = Sha256Digest::of(payload);
    let mut signatures: Vec<Signature> = Vec::new();
    for path in &args.signatures {
        let file: SignatureFile = step.read_json(path, "a holder's signature")?;
        let bad = |why: &str| {
            StepError::refused(Rule::BadSignature, format!("{}'s signature {why}", file.holder))
        };
        if file.payload_sha256 != digest {
            return Err(bad("is over another payload"));
        }
        let key = rings.iter().find_map(|ring| ring.keys.get(&file.keyid));
        let key = key.ok_or_else(|| {
            let what = format!("{}'s key {} may not sign this", file.holder, file.keyid);
            StepError::refused(Rule::NotListed, what)
        })?;
        let sig = hex::decode(&file.sig).map_err(|_| bad("is not hexadecimal"))?;
        key.verify(payload, &sig).map_err(|_| bad("does not hold"))?;
        if signatures.iter().any(|other| other.keyid == file.keyid) {
            step.say(format!("{} signed twice, which counts once", file.holder));
            continue;
        }
        step.say(format!("{} signed", file.holder));
        signatures.push(Signature { keyid: file.keyid, sig });
    }
    Ok(signatures)
}

/// Reads the assembled file the way everybody else will.
fn check(plan: &Plan, rings: &[Keyring], file: &[u8]) -> Result<(), StepError> {
    for ring in rings {
        match plan {
            Plan::Root(_) => ring.check(&Document::<Root>::parse(file)?)?,
            _ => ring.check(&Document::<Targets>::parse(file)?)?,
        }
    }
    Ok(())
}
