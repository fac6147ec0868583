//! `inspect`: any file of a ceremony in plain words. It proves nothing but what it says it checked.

use std::path::PathBuf;

use clap::Args;
use lazaret_protocol::anchors::Anchors;
use lazaret_repo_keys_signing::metadata::{Document, Keyring, as_json};
use lazaret_repo_keys_signing::{HolderPublic, OnlinePublic};
use serde_json::Value;
use tough::schema::{self, RoleType, Root, Snapshot, Targets};
use x509_parser::pem::Pem;

use super::sign::SignatureFile;
use crate::difference::{self, Names};
use crate::error::{Rule, StepError};
use crate::plan::Plan;
use crate::session::{Session, Step};

/// See [`crate::cli::Command::Inspect`].
#[derive(Debug, Args)]
pub struct Inspect {
    /// Metadata, a payload, a signature, a public key, anchors or a certificate.
    pub file: PathBuf,
}

/// Says what a file is.
///
/// # Errors
/// It is nothing that this tool knows.
pub fn run(session: &Session, args: &Inspect) -> Result<(), StepError> {
    let mut step = session.begin("inspect");
    let bytes = step.read(&args.file)?;
    let folder = args.file.parent().unwrap_or(std::path::Path::new("."));
    let names = Names::in_folder(folder);
    let value = serde_json::from_slice::<Value>(&bytes);
    let known = match value.or_else(|_| serde_json::from_slice(&as_json(&bytes))) {
        Ok(value) => json(session, &mut step, (&value, &bytes), &names)?,
        Err(_) => pem(&mut step, &bytes),
    };
    if !known {
        let what = format!("{} is nothing that this tool knows", args.file.display());
        return Err(StepError::refused(Rule::WrongFile, what));
    }
    session.finish_reading(step);
    Ok(())
}

fn json(
    session: &Session,
    step: &mut Step,
    file: (&Value, &[u8]),
    names: &Names,
) -> Result<bool, StepError> {
    let (value, bytes) = file;
    if let Some(signed) = value.get("signed") {
        return metadata(session, step, (signed, bytes), names);
    }
    if value.get("_type").is_some() {
        let plan = Plan::read_payload(bytes)?;
        step.say("a payload, not yet signed");
        for words in difference::between(None, &plan, names, session.now) {
            step.say(words);
        }
        return Ok(true);
    }
    if let Ok(signature) = serde_json::from_slice::<SignatureFile>(bytes) {
        step.say(format!(
            "{}'s signature on {} version {}, key {}, over the payload with sha256 {}",
            signature.holder,
            signature.role,
            signature.version,
            signature.keyid,
            signature.payload_sha256
        ));
        return Ok(true);
    }
    if let Ok(public) = serde_json::from_slice::<HolderPublic>(bytes) {
        step.say(format!("{}'s public key {}", public.holder, public.key.key_id()));
        return Ok(true);
    }
    if let Ok(online) = serde_json::from_slice::<OnlinePublic>(bytes) {
        step.say("a server's public keys");
        for (name, key) in [
            ("snapshot", online.snapshot),
            ("timestamp", online.timestamp),
            ("deltas", online.deltas),
            ("orders", online.orders),
        ]
        .into_iter()
        .chain(online.audit.map(|key| ("audit", key)))
        {
            step.say(format!("{name} has key {}", key.key_id()));
        }
        return Ok(true);
    }
    let Ok(anchors) = Anchors::parse(bytes) else {
        return Ok(false);
    };
    step.say("anchors: what devices trust beside TUF");
    for key in &anchors.order_keys {
        step.say(format!("orders are signed by key {}", key.key_id()));
    }
    for key in &anchors.audit_keys {
        step.say(format!("the audit log is signed by key {}", key.key_id()));
    }
    if let Some(approvers) = &anchors.approvers {
        for entry in &approvers.keys {
            step.say(format!("{} may release with {}", entry.name, entry.key.fingerprint()));
        }
        step.say(format!("{} different approvers must sign", approvers.threshold));
    }
    for recipient in &anchors.responders {
        step.say(format!("evidence is encrypted to {recipient}"));
    }
    for approver in &anchors.plan_approvers {
        step.say(super::anchors::in_words(approver));
    }
    for (kind, cas) in [("servers", &anchors.server_cas), ("devices", &anchors.device_cas)] {
        for ca in cas {
            step.say(format!("for {kind}:"));
            pem(step, ca.as_bytes());
        }
    }
    Ok(true)
}

fn metadata(
    session: &Session,
    step: &mut Step,
    file: (&Value, &[u8]),
    names: &Names,
) -> Result<bool, StepError> {
    let (signed, bytes) = file;
    match signed.get("_type").and_then(Value::as_str) {
        Some("root") => {
            let root = Document::<Root>::parse(bytes)?;
            offline(session, step, bytes, names)?;
            let ring = Keyring::of_root(&root.signed, RoleType::Root)?;
            for key in ring.signers(&root.payload, &root.signatures) {
                step.say(format!("signed by {}", names.show(&key)));
            }
            match ring.check(&root) {
                Ok(()) => step.say("its own threshold is met"),
                Err(err) => step.say(format!("WARNING: {err}")),
            }
        }
        Some("targets") => {
            let targets = Document::<Targets>::parse(bytes)?;
            if Plan::read_signed(bytes).is_ok() {
                offline(session, step, bytes, names)?;
            } else {
                deltas(step, &targets)?;
            }
            unchecked(step, targets.signatures.len());
        }
        Some("snapshot") => {
            let snapshot = Document::<Snapshot>::parse(bytes)?;
            step.say(format!(
                "snapshot version {}, expires {}",
                snapshot.version(),
                snapshot.expires()
            ));
            say_meta(step, &snapshot.signed.meta);
            unchecked(step, snapshot.signatures.len());
        }
        Some("timestamp") => {
            let timestamp = Document::<schema::Timestamp>::parse(bytes)?;
            let (version, expires) = (timestamp.version(), timestamp.expires());
            step.say(format!("timestamp version {version}, expires {expires}"));
            say_meta(step, &timestamp.signed.meta);
            unchecked(step, timestamp.signatures.len());
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn offline(
    session: &Session,
    step: &mut Step,
    bytes: &[u8],
    names: &Names,
) -> Result<(), StepError> {
    let plan = Plan::read_signed(bytes)?;
    let words = difference::between(None, &plan, names, session.now);
    step.say(format!("signed metadata: {} version {}", plan.role(), plan.version()));
    for words in words.into_iter().skip(1) {
        step.say(words.trim_start_matches("+ ").to_owned());
    }
    if plan.expires() <= session.now {
        step.say("WARNING: it has expired");
    }
    Ok(())
}

fn deltas(step: &mut Step, targets: &Document<Targets>) -> Result<(), StepError> {
    let entries = lazaret_repo_keys_signing::metadata::rules::check_deltas(&targets.signed)?;
    step.say(format!("deltas version {}, expires {}", targets.version(), targets.expires()));
    for entry in entries {
        step.say(format!("{}: {} bytes, sha256 {}", entry.name, entry.length, entry.sha256));
    }
    Ok(())
}

fn say_meta(step: &mut Step, meta: &std::collections::HashMap<String, schema::Metafile>) {
    let mut lines: Vec<_> =
        meta.iter().map(|(name, file)| format!("{name} version {}", file.version)).collect();
    lines.sort();
    for line in lines {
        step.say(line);
    }
}

fn unchecked(step: &mut Step, count: usize) {
    step.say(format!("{count} signatures, not checked: this file does not say who may sign it"));
}

fn pem(step: &mut Step, bytes: &[u8]) -> bool {
    let Ok(found) = Pem::iter_from_buffer(bytes).collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    for pem in &found {
        if pem.label.contains("PRIVATE KEY") {
            let state =
                if pem.label.starts_with("ENCRYPTED") { "encrypted" } else { "UNENCRYPTED" };
            step.say(format!("a private key, {state}"));
            continue;
        }
        let Ok(certificate) = pem.parse_x509() else {
            return false;
        };
        let kind = if certificate.is_ca() { "a CA certificate" } else { "a certificate" };
        step.say(format!(
            "{kind} for {}, issued by {}, serial {}, from {} to {}",
            certificate.subject(),
            certificate.issuer(),
            certificate.raw_serial_as_string(),
            certificate.validity().not_before,
            certificate.validity().not_after
        ));
    }
    !found.is_empty()
}
