//! Checking an evidence bundle from its parts. The caller has decrypted it, read the archive and
//! checked the certificate chain; nothing here reads a file.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::{LogHead, LogRing};
use lazaret_protocol::sshsig::{SshKey, SshSignature};
use lazaret_protocol::time::Timestamp;

use crate::device_log::verify::{LogFault, Proved, Witness};
use crate::manifest::{
    DEVICE_FILE, LogPart, MANIFEST_FILE, Manifest, SUMS_FILE, SUMS_NAMESPACE, SUMS_SIGNATURE_FILE,
};
use crate::sums::{self, SumsError};
use crate::verdict::{Check, CheckName, Fault, Outcome, Since, Verdict};

mod ring;

/// What a bundle holds, as its reader found it.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The content of `manifest.dsse.json`, `SHA256SUMS`, its signature, and of every file of the
    /// log, by path, as far as they are there.
    pub content: &'a BTreeMap<String, Vec<u8>>,
    /// Every file that is there, the manifest among them.
    pub files: &'a [FileFound],
    /// Whose certificate `device.pem` is, or why it proves nothing.
    pub signer: Result<Signer, CertificateFault>,
    /// Keys of the server as a witness. With none, nothing is said of the witness.
    pub witnesses: &'a [PublicKey],
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
    let mut records = Vec::new();
    for (ring, proved) in read.rings {
        let of_ring = proved.map(|proved| proved.records).unwrap_or_default();
        records.extend(of_ring.into_iter().map(|record| (ring, record)));
    }
    Verdict { checks, manifest, records }
}

/// The parts as far as they can be read, each read once.
struct Read<'a> {
    parts: &'a Parts<'a>,
    /// None without a signer.
    manifest: Option<Result<Manifest, Fault>>,
    /// What the device signed for: the manifest's own files, and those of its `SHA256SUMS`.
    signed: Result<BTreeMap<String, Sha256Digest>, SumsError>,
    /// The rings, where there is a signer: only the certificate proves whose log it is.
    rings: Vec<(LogRing, Result<Proved, Fault>)>,
    /// Digest and length by name; of a name that is there twice, the first.
    files: BTreeMap<&'a str, (Sha256Digest, u64)>,
}

impl<'a> Read<'a> {
    fn of(parts: &'a Parts<'a>) -> Self {
        let signer = parts.signer.as_ref().ok();
        let content = |name: &str| parts.content.get(name).map(Vec::as_slice);
        let manifest = signer.map(|signer| open(content(MANIFEST_FILE), signer));
        let mut files = BTreeMap::new();
        for FileFound { name, sha256, length } in parts.files {
            files.entry(name.as_str()).or_insert((*sha256, *length));
        }
        let signed = match &manifest {
            Some(Ok(manifest)) => signed(manifest, content(SUMS_FILE)),
            _ => Ok(BTreeMap::new()),
        };
        let mut read = Self { parts, manifest, signed, rings: Vec::new(), files };
        if let Some(signer) = signer {
            read.rings =
                LogRing::ALL.into_iter().map(|ring| (ring, read.ring(ring, signer))).collect();
        }
        read
    }

    fn ring(&self, ring: LogRing, signer: &Signer) -> Result<Proved, Fault> {
        ring::read(ring, self.parts, signer, self.since(ring))
    }

    /// Since when the files of a ring are as they are, told by whether the device signed for them.
    fn since(&self, ring: LogRing) -> Since {
        let (Some(Ok(_)), Ok(signed)) = (&self.manifest, &self.signed) else {
            return Since::Unknown;
        };
        let prefix = ring::prefix(ring);
        let of_ring = |name: &str| name.starts_with(&prefix);
        let as_signed = signed.iter().filter(|(name, _)| of_ring(name)).all(|(name, digest)| {
            self.files.get(name.as_str()).is_some_and(|(found, _)| found == digest)
        });
        let added = self.files.keys().any(|name| of_ring(name) && !signed.contains_key(*name));
        if as_signed && !added { Since::Signing } else { Since::AfterSigning }
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
            (CheckName::SshSignature, _) => self.check_ssh_signature(signer),
            (CheckName::SecurityLog, _) => self.check_ring(LogRing::Security),
            (CheckName::OperationsLog, _) => self.check_ring(LogRing::Operations),
            (CheckName::Witness, _) => self.check_witness(),
            (CheckName::Signature, Some(Err(fault))) => Outcome::Fails(vec![fault.clone()]),
            (CheckName::Device, Some(Ok(manifest))) => check_device(manifest, signer),
            (CheckName::Validity, Some(Ok(manifest))) => check_validity(manifest, signer),
            (CheckName::Complete, Some(Ok(_))) => self.check_complete(),
            (CheckName::NothingAdded, Some(Ok(_))) => self.check_nothing_added(),
            (CheckName::Unchanged, Some(Ok(manifest))) => self.check_unchanged(manifest),
            (CheckName::LogHeads, Some(Ok(manifest))) => self.check_log_heads(manifest),
            (_, Some(Err(_)) | None) => Outcome::NotChecked(CheckName::Signature),
        }
    }

    fn check_complete(&self) -> Outcome {
        let signed = match &self.signed {
            Ok(signed) => signed,
            Err(_) if !self.files.contains_key(SUMS_FILE) => {
                return Outcome::Fails(vec![Fault::Missing { name: SUMS_FILE.to_string() }]);
            }
            Err(fault) => return self.sums_fault(fault),
        };
        let wanted = signed.keys().map(String::as_str).chain([SUMS_SIGNATURE_FILE]);
        let missing = |name: &str| {
            (!self.files.contains_key(name)).then(|| Fault::Missing { name: name.to_string() })
        };
        outcome(wanted.filter_map(missing).collect())
    }

    /// `SHA256SUMS` itself is wrong: changed, which its digest in the manifest says, or so from the
    /// device on.
    fn sums_fault(&self, fault: &SumsError) -> Outcome {
        if let Some(Ok(manifest)) = &self.manifest
            && let Some((_, expected)) = manifest.fixed.iter().find(|(name, _)| name == SUMS_FILE)
            && let Some((got, _)) = self.files.get(SUMS_FILE)
            && got != expected
        {
            let (name, expected, got) = (SUMS_FILE.to_string(), *expected, *got);
            return Outcome::Fails(vec![Fault::Changed { name, expected, got }]);
        }
        Outcome::Fails(vec![Fault::Sums(fault.clone())])
    }

    fn check_nothing_added(&self) -> Outcome {
        let Ok(signed) = &self.signed else { return Outcome::NotChecked(CheckName::Complete) };
        let mut seen = BTreeSet::new();
        let mut faults = Vec::new();
        for name in self.parts.files.iter().map(|file| file.name.as_str()) {
            let known = signed.contains_key(name)
                || matches!(name, MANIFEST_FILE | SUMS_FILE | SUMS_SIGNATURE_FILE);
            if !seen.insert(name) {
                faults.push(Fault::Twice { name: name.to_string() });
            } else if !known {
                faults.push(Fault::Extra { name: name.to_string() });
            }
        }
        outcome(faults)
    }

    fn check_unchanged(&self, manifest: &Manifest) -> Outcome {
        let Ok(signed) = &self.signed else { return Outcome::NotChecked(CheckName::Complete) };
        let mut faults = Vec::new();
        for (name, expected) in signed {
            if let Some(&(got, _)) = self.files.get(name.as_str())
                && got != *expected
            {
                faults.push(Fault::Changed { name: name.clone(), expected: *expected, got });
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

    fn check_ssh_signature(&self, signer: &Signer) -> Outcome {
        let content = |name: &str| self.parts.content.get(name);
        let (Some(sums), Some(signature)) = (content(SUMS_FILE), content(SUMS_SIGNATURE_FILE))
        else {
            return Outcome::NotChecked(CheckName::Complete);
        };
        let text = core::str::from_utf8(signature).unwrap_or_default();
        let checked = SshSignature::parse(text)
            .and_then(|signature| signature.verify(&SshKey::of(&signer.key), SUMS_NAMESPACE, sums));
        match checked {
            Ok(()) => Outcome::Holds,
            Err(fault) => Outcome::Fails(vec![Fault::SshSignature(fault)]),
        }
    }

    fn proved(&self, ring: LogRing) -> Option<&Result<Proved, Fault>> {
        self.rings.iter().find(|(it, _)| *it == ring).map(|(_, proved)| proved)
    }

    fn check_ring(&self, ring: LogRing) -> Outcome {
        match self.proved(ring) {
            // What only the witness knows is said of the witness.
            Some(Ok(_)) | Some(Err(Fault::LogBroken { fault: LogFault::Rewritten { .. }, .. })) => {
                Outcome::Holds
            }
            Some(Err(Fault::NotWitnessed { .. })) => Outcome::Holds,
            Some(Err(fault)) => Outcome::Fails(vec![fault.clone()]),
            None => Outcome::NotChecked(CheckName::Certificate),
        }
    }

    fn check_witness(&self) -> Outcome {
        if self.parts.witnesses.is_empty() {
            return Outcome::NotProved("no key of the witness was given");
        }
        let mut continued = 0_usize;
        let mut faults = Vec::new();
        for (ring, proved) in &self.rings {
            match proved {
                Ok(Proved { witness: Witness::Continued { .. }, .. }) => {
                    continued = continued.saturating_add(1);
                }
                Ok(_) => {}
                Err(fault @ Fault::NotWitnessed { .. }) => faults.push(fault.clone()),
                Err(fault @ Fault::LogBroken { fault: LogFault::Rewritten { .. }, .. }) => {
                    faults.push(fault.clone());
                }
                Err(_) => return Outcome::NotChecked(ring::check_of(*ring)),
            }
        }
        match (faults.is_empty(), continued) {
            (false, _) => Outcome::Fails(faults),
            (true, 0) => Outcome::NotProved("the bundle has no checkpoint that was witnessed"),
            (true, 1) if self.rings.len() > 1 => {
                Outcome::NotProved("of one ring the bundle has no checkpoint that was witnessed")
            }
            (true, _) => Outcome::Holds,
        }
    }

    fn check_log_heads(&self, manifest: &Manifest) -> Outcome {
        let mut faults = Vec::new();
        for (ring, proved) in &self.rings {
            let expected = manifest.logs.iter().find(|part| part.ring == *ring);
            let Ok(proved) = proved else {
                if self.check_ring(*ring) == Outcome::Holds {
                    continue;
                }
                return Outcome::NotChecked(ring::check_of(*ring));
            };
            let head = LogHead { size: proved.seal.size, hash: proved.seal.root };
            let got = LogPart { ring: *ring, head, from: proved.from };
            let nothing = LogHead { size: 0, hash: crate::tlog::tree::empty_root() };
            let none = LogPart { ring: *ring, head: nothing, from: 0 };
            let expected = expected.unwrap_or(&none).clone();
            if expected != got {
                let since = self.since(*ring);
                faults.push(Fault::WrongLogHead { expected, got, since });
            }
        }
        outcome(faults)
    }
}

fn open(manifest: Option<&[u8]>, signer: &Signer) -> Result<Manifest, Fault> {
    let bytes = manifest.ok_or_else(|| Fault::Missing { name: MANIFEST_FILE.to_string() })?;
    Manifest::open(bytes, &signer.key).map_err(Fault::Manifest)
}

/// Everything that the device signed for by path: what its manifest names, and what `SHA256SUMS`
/// does, which the manifest names. The two must agree.
fn signed(
    manifest: &Manifest,
    sums: Option<&[u8]>,
) -> Result<BTreeMap<String, Sha256Digest>, SumsError> {
    let named = manifest.files();
    let disagrees =
        |(name, expected): (String, Sha256Digest)| SumsError::Disagrees { name, expected };
    let bytes = sums.unwrap_or_default();
    let (own, named): (Vec<_>, Vec<_>) = named.into_iter().partition(|(name, _)| name == SUMS_FILE);
    if let Some((name, expected)) = own.into_iter().next()
        && Sha256Digest::of(bytes) != expected
    {
        return Err(disagrees((name, expected)));
    }
    let signed = sums::parse(bytes)?;
    for file in named {
        if signed.get(&file.0) != Some(&file.1) {
            return Err(disagrees(file));
        }
    }
    Ok(signed)
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

/// Whether the content of a file is needed for the verdict, and not only its digest.
#[must_use]
pub fn is_looked_into(name: &str) -> bool {
    matches!(name, MANIFEST_FILE | SUMS_FILE | SUMS_SIGNATURE_FILE | DEVICE_FILE)
        || crate::manifest::log_path(name).is_some()
}

#[cfg(test)]
mod tests;
