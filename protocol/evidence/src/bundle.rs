//! Checking an evidence bundle from its parts. The caller has read the archive and the certificate
//! chain; nothing here reads a file.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;

use crate::log::{LogError, VerifiedLog, verify_log};
use crate::manifest::{LOG_FILE, MANIFEST_FILE, Manifest};
use crate::verdict::{Check, CheckName, Fault, Outcome, Since, Verdict};

/// What a bundle holds, as its reader found it.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The bytes of `manifest.dsse.json`, none where there is no such file.
    pub manifest: Option<&'a [u8]>,
    /// The bytes of `log.jsonl`, none where there is no such file.
    pub log: Option<&'a [u8]>,
    /// Every file but these two.
    pub files: &'a [FileFound],
    /// Whose certificate `device.pem` is, or why it proves nothing.
    pub signer: Result<Signer, CertificateFault>,
}

/// A file of the bundle, hashed by the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFound {
    /// Its path in the bundle.
    pub name: String,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// The device that a certificate names, its chain checked by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The common name of its certificate.
    pub device: DeviceId,
    /// The public key of its certificate.
    pub key: PublicKey,
    /// When its certificate begins.
    pub not_before: Timestamp,
    /// When its certificate ends.
    pub not_after: Timestamp,
}

/// A `device.pem` that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// There is none.
    #[error("device.pem is missing")]
    Missing,
    /// It is no certificate, or does not chain to the device CA.
    #[error("device.pem is not a device's certificate: {why}")]
    Refused {
        /// What was expected and what came.
        why: String,
    },
}

/// Checks a bundle. Everything that can be looked at is; nothing is believed of an unsigned
/// manifest.
#[must_use]
pub fn verify(parts: &Parts<'_>) -> Verdict {
    let read = Read::of(parts);
    let checks = CheckName::ALL.into_iter().map(|name| Check { name, outcome: read.check(name) });
    let checks = checks.collect();
    let manifest = read.manifest.and_then(Result::ok);
    let records = read.log.and_then(Result::ok).map(|log| log.records).unwrap_or_default();
    Verdict { checks, manifest, records }
}

/// The parts as far as they can be read, each read once.
struct Read<'a> {
    parts: &'a Parts<'a>,
    /// None without a signer.
    manifest: Option<Result<Manifest, Fault>>,
    /// None without a signer: the first hash of the chain is the device's name, which only the
    /// certificate proves. None without a log, too.
    log: Option<Result<VerifiedLog, LogError>>,
    /// Digest and length by name; of a name that is there twice, the first.
    files: BTreeMap<&'a str, (Sha256Digest, u64)>,
    /// Whether the log has the bytes that the device signed for.
    log_since: Since,
}

impl<'a> Read<'a> {
    fn of(parts: &'a Parts<'a>) -> Self {
        let signer = parts.signer.as_ref().ok();
        let manifest = signer.map(|signer| open(parts.manifest, signer));
        let log = signer.zip(parts.log).map(|(signer, log)| verify_log(&signer.device, log));
        let mut files = BTreeMap::new();
        if let Some(log) = parts.log {
            let length = u64::try_from(log.len()).unwrap_or(u64::MAX);
            files.insert(LOG_FILE, (Sha256Digest::of(log), length));
        }
        for FileFound { name, sha256, length } in parts.files {
            files.entry(name.as_str()).or_insert((*sha256, *length));
        }
        let log_since = match (&manifest, files.get(LOG_FILE)) {
            (Some(Ok(manifest)), Some((sha256, _))) if *sha256 == manifest.log => Since::Signing,
            (Some(Ok(_)), _) => Since::AfterSigning,
            _ => Since::Unknown,
        };
        Self { parts, manifest, log, files, log_since }
    }

    fn check(&self, name: CheckName) -> Outcome {
        let signer = match &self.parts.signer {
            Err(fault) if name == CheckName::Certificate => {
                return Outcome::Fails(vec![Fault::Certificate(fault.clone())]);
            }
            Err(_) => return Outcome::NotChecked(CheckName::Certificate),
            Ok(signer) => signer,
        };
        match (name, &self.manifest) {
            (CheckName::Certificate, _) | (CheckName::Signature, Some(Ok(_))) => Outcome::Holds,
            (CheckName::LogChain, _) => self.check_log_chain(),
            (CheckName::Signature, Some(Err(fault))) => Outcome::Fails(vec![fault.clone()]),
            (CheckName::Device, Some(Ok(manifest))) => check_device(manifest, signer),
            (CheckName::Validity, Some(Ok(manifest))) => check_validity(manifest, signer),
            (CheckName::Complete, Some(Ok(manifest))) => self.check_complete(manifest),
            (CheckName::NothingAdded, Some(Ok(manifest))) => self.check_nothing_added(manifest),
            (CheckName::Unchanged, Some(Ok(manifest))) => self.check_unchanged(manifest),
            (CheckName::LogHead, Some(Ok(manifest))) => self.check_log_head(manifest),
            (_, Some(Err(_)) | None) => Outcome::NotChecked(CheckName::Signature),
        }
    }

    fn check_complete(&self, manifest: &Manifest) -> Outcome {
        let missing = |(name, _): (String, Sha256Digest)| {
            (!self.files.contains_key(name.as_str())).then_some(Fault::Missing { name })
        };
        outcome(manifest.files().into_iter().filter_map(missing).collect())
    }

    fn check_nothing_added(&self, manifest: &Manifest) -> Outcome {
        let signed: BTreeSet<String> = manifest.files().into_iter().map(|(name, _)| name).collect();
        let log = self.parts.log.map(|_| LOG_FILE);
        let found = log.into_iter().chain(self.parts.files.iter().map(|file| file.name.as_str()));
        let mut seen = BTreeSet::new();
        let mut faults = Vec::new();
        for name in found {
            if !seen.insert(name) {
                faults.push(Fault::Twice { name: name.to_string() });
            } else if !signed.contains(name) {
                faults.push(Fault::Extra { name: name.to_string() });
            }
        }
        outcome(faults)
    }

    fn check_unchanged(&self, manifest: &Manifest) -> Outcome {
        let mut faults = Vec::new();
        for (name, expected) in manifest.files() {
            if let Some(&(got, _)) = self.files.get(name.as_str())
                && got != expected
            {
                faults.push(Fault::Changed { name, expected, got });
            }
        }
        for artifact in &manifest.artifacts {
            let (name, expected) = (artifact.path(), artifact.length);
            if let Some(&(sha256, got)) = self.files.get(name.as_str())
                && sha256 == artifact.sha256
                && got != expected
            {
                faults.push(Fault::Length { name, expected, got });
            }
        }
        outcome(faults)
    }

    fn check_log_chain(&self) -> Outcome {
        match &self.log {
            Some(Ok(_)) => Outcome::Holds,
            Some(Err(fault)) => {
                let (fault, since) = (fault.clone(), self.log_since);
                Outcome::Fails(vec![Fault::LogBroken { fault, since }])
            }
            None => Outcome::Fails(vec![Fault::Missing { name: LOG_FILE.to_string() }]),
        }
    }

    fn check_log_head(&self, manifest: &Manifest) -> Outcome {
        let Some(Ok(log)) = &self.log else { return Outcome::NotChecked(CheckName::LogChain) };
        if log.head == manifest.log_head {
            return Outcome::Holds;
        }
        let (expected, got) = (manifest.log_head.clone(), log.head.clone());
        Outcome::Fails(vec![Fault::WrongLogHead { expected, got, since: self.log_since }])
    }
}

fn open(manifest: Option<&[u8]>, signer: &Signer) -> Result<Manifest, Fault> {
    let bytes = manifest.ok_or_else(|| Fault::Missing { name: MANIFEST_FILE.to_string() })?;
    Manifest::open(bytes, &signer.key).map_err(Fault::Manifest)
}

fn check_device(manifest: &Manifest, signer: &Signer) -> Outcome {
    if manifest.device == signer.device {
        return Outcome::Holds;
    }
    let (certificate, manifest) = (signer.device.clone(), manifest.device.clone());
    Outcome::Fails(vec![Fault::WrongDevice { certificate, manifest }])
}

fn check_validity(manifest: &Manifest, signer: &Signer) -> Outcome {
    let collected = manifest.collected_at;
    if signer.not_before <= collected && collected <= signer.not_after {
        return Outcome::Holds;
    }
    let (not_before, not_after) = (signer.not_before, signer.not_after);
    Outcome::Fails(vec![Fault::OutsideValidity { collected, not_before, not_after }])
}

fn outcome(faults: Vec<Fault>) -> Outcome {
    if faults.is_empty() { Outcome::Holds } else { Outcome::Fails(faults) }
}

#[cfg(test)]
mod tests;
