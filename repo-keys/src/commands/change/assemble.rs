//! `change assemble`: the signatures of all holders on all payloads, checked as a whole, or
//! nothing.

use std::path::PathBuf;

use clap::Args;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_repo_keys_signing::metadata::{self, Signature, make};
use lazaret_repo_keys_signing::repository::Trusted;
use lazaret_repo_keys_signing::{FileName, RoleName};

use super::folder::{ANCHORS_FILE, Folder, read_signatures};
use super::plan::write;
use crate::change::{self, Resigned};
use crate::commands::sign::SignatureFile;
use crate::difference::Names;
use crate::error::{Rule, StepError};
use crate::plan::KeySet;
use crate::session::{Session, Step};

/// See [`super::Command::Assemble`].
#[derive(Debug, Args)]
pub struct AssembleChange {
    /// The folder of the change.
    #[arg(long, value_name = "DIR")]
    pub change: PathBuf,
    /// A folder of signatures; give it once for each.
    #[arg(long, value_name = "DIR", required = true)]
    pub signatures: Vec<PathBuf>,
    /// Say whether it is complete, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder for the signed files. It must not be there yet.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub out_dir: Option<PathBuf>,
}

/// Assembles.
///
/// # Errors
/// A signature does not hold, or a role is below its threshold: then who is missing stands in the
/// words.
pub(super) fn run(session: &Session, args: &AssembleChange) -> Result<(), StepError> {
    let mut step = session.begin("change assemble");
    let change = Folder::read(&mut step, &args.change)?;
    let mut files = Vec::new();
    for folder in &args.signatures {
        files.extend(read_signatures(&mut step, folder)?);
    }
    let mut signed = Vec::new();
    let mut missing = Vec::new();
    for (resigned, payload) in &change.roles {
        let signatures = signatures_of(&mut step, resigned, payload, &files)?;
        missing.extend(still_missing(resigned, &signatures, &change.names)?);
        let name = FileName::of(RoleName::Offline(resigned.after.role()), resigned.after.version());
        signed.push((name.to_string(), metadata::assemble(payload, &signatures)));
    }
    if !missing.is_empty() {
        return Err(StepError::refused(Rule::Incomplete, missing.join("; ")));
    }
    // Read as everybody else will read it: a role that would be left without valid signatures is
    // found here, and not by the server.
    let whole = change.current.clone().with(signed.clone());
    change::check_roots(&whole)?;
    Trusted::read(&whole)?;
    step.say("the whole verifies: every role has the signatures of those who are listed for it");
    signed.extend(change.anchors.map(|anchors| (ANCHORS_FILE.to_owned(), anchors)));
    let Some(out) = args.out_dir.as_ref().filter(|_| !args.dry_run) else {
        step.say("a rehearsal: nothing was written");
        session.finish_reading(step);
        return Ok(());
    };
    write(&mut step, out, &signed)?;
    session.finish(step)?;
    Ok(())
}

fn signatures_of(
    step: &mut Step,
    resigned: &Resigned,
    payload: &[u8],
    files: &[SignatureFile],
) -> Result<Vec<Signature>, StepError> {
    let digest = Sha256Digest::of(payload);
    let role = resigned.after.role().to_string();
    let mut signatures: Vec<Signature> = Vec::new();
    for file in files.iter().filter(|file| file.role == role) {
        let bad = |why: &str| {
            StepError::refused(
                Rule::BadSignature,
                format!("{}'s signature on {role} {why}", file.holder),
            )
        };
        if file.payload_sha256 != digest {
            return Err(bad("is over another payload"));
        }
        let keys = resigned.signers.iter().flat_map(|set| &set.keys);
        let key = keys
            .into_iter()
            .find(|key| make::key_id(&role, key).is_ok_and(|keyid| keyid == file.keyid));
        let key = key.ok_or_else(|| {
            let what = format!("{}'s key {} may not sign {role}", file.holder, file.keyid);
            StepError::refused(Rule::NotListed, what)
        })?;
        let sig = hex::decode(&file.sig).map_err(|_| bad("is not hexadecimal"))?;
        key.verify(payload, &sig).map_err(|_| bad("does not hold"))?;
        if signatures.iter().any(|other| other.keyid == file.keyid) {
            continue;
        }
        step.say(format!("{} signed {role} version {}", file.holder, file.version));
        signatures.push(Signature { keyid: file.keyid.clone(), sig });
    }
    Ok(signatures)
}

/// Which sets of signers are below their threshold, in words that name who could still sign.
fn still_missing(
    resigned: &Resigned,
    signatures: &[Signature],
    names: &Names,
) -> Result<Vec<String>, StepError> {
    let role = resigned.after.role().to_string();
    let mut missing: Vec<String> = Vec::new();
    for KeySet { keys, threshold } in &resigned.signers {
        let mut open = Vec::new();
        let mut valid: u64 = 0;
        for key in keys {
            let keyid = make::key_id(&role, key)?;
            match signatures.iter().any(|signature| signature.keyid == keyid) {
                true => valid = valid.saturating_add(1),
                false => open.push(names.show(key)),
            }
        }
        if valid < *threshold {
            let wanted = threshold.saturating_sub(valid);
            let words = format!("{role} needs {wanted} more of {}", open.join(", "));
            if !missing.contains(&words) {
                missing.push(words);
            }
        }
    }
    Ok(missing)
}
