//! The verdict over an evidence bundle: what is checked, in which order, and whose doing a fault can
//! be. The caller has read the archive and checked the certificate; nothing here reads a file.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::LogHead;

use crate::log::{LogError, Record, VerifiedLog, verify_log};
use crate::manifest::{LOG_FILE, MANIFEST_FILE, Manifest, ManifestError};

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

/// What is checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CheckName {
    /// `device.pem` chains to the device CA.
    Certificate,
    /// The key of that certificate signed the manifest.
    Signature,
    /// The manifest is by the device that the certificate names.
    Device,
    /// Every file that the manifest names is there.
    Complete,
    /// No file is there that the manifest does not name.
    NothingAdded,
    /// Every file has the digest and the length that the manifest says.
    Unchanged,
    /// The forensic log is one unbroken chain.
    LogChain,
    /// The log ends where the manifest says.
    LogHead,
}

impl CheckName {
    /// All checks, in their order.
    pub const ALL: [Self; 8] = [
        Self::Certificate,
        Self::Signature,
        Self::Device,
        Self::Complete,
        Self::NothingAdded,
        Self::Unchanged,
        Self::LogChain,
        Self::LogHead,
    ];

    /// The check's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Signature => "signature",
            Self::Device => "device",
            Self::Complete => "complete",
            Self::NothingAdded => "nothing-added",
            Self::Unchanged => "unchanged",
            Self::LogChain => "log-chain",
            Self::LogHead => "log-head",
        }
    }

    /// What holds where the check is passed, in plain words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Certificate => "the certificate in the bundle is one of this device CA",
            Self::Signature => "the manifest is signed with that certificate's key",
            Self::Device => "the manifest is by the device that the certificate names",
            Self::Complete => "every file that the manifest names is there",
            Self::NothingAdded => "no file is there that the manifest does not name",
            Self::Unchanged => "every file has the bytes that the device signed for",
            Self::LogChain => "the forensic log is one unbroken chain",
            Self::LogHead => "the forensic log ends where the device signed that it ends",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Holds,
    /// It is not, and why: at least one fault.
    Fails(Vec<Fault>),
    /// It could not be looked at, because this check before it failed.
    NotChecked(CheckName),
}

/// One check and how it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// How.
    pub outcome: Outcome,
}

/// What is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The certificate proves nothing.
    #[error("the signer is not proved")]
    Certificate(#[source] CertificateFault),
    /// The manifest proves nothing or contradicts itself.
    #[error("the manifest is not to be believed")]
    Manifest(#[source] ManifestError),
    /// The manifest is by another device than the certificate says.
    #[error("expected a manifest by {certificate}, got one by {manifest}")]
    WrongDevice {
        /// Whom the certificate names.
        certificate: DeviceId,
        /// Whom the manifest names.
        manifest: DeviceId,
    },
    /// A file is not there.
    #[error("{name} is missing")]
    Missing {
        /// Which.
        name: String,
    },
    /// A file is there that the device did not sign for.
    #[error("{name:?} is not named in the manifest")]
    Extra {
        /// Which.
        name: String,
    },
    /// A file is there twice, so that readers may differ on which one counts.
    #[error("{name:?} is there twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// A file has other bytes.
    #[error("expected {name} with the digest {expected}, got {got}")]
    Changed {
        /// Which.
        name: String,
        /// The digest that the device signed for.
        expected: Sha256Digest,
        /// The digest of what is there.
        got: Sha256Digest,
    },
    /// An artifact has the right bytes, but the manifest says another length.
    #[error("expected {name} to be {expected} bytes long, got {got}")]
    Length {
        /// Which.
        name: String,
        /// The length that the device signed for.
        expected: u64,
        /// The length of what is there.
        got: u64,
    },
    /// The forensic log is not one unbroken chain.
    #[error("the forensic log is broken")]
    LogBroken {
        /// Where, and how.
        #[source]
        fault: LogError,
        /// When it was broken.
        since: Since,
    },
    /// The log ends elsewhere than the manifest says.
    #[error(
        "expected the log to end at record {} with the hash {}, got record {} with {}",
        .expected.size, .expected.hash, .got.size, .got.hash
    )]
    WrongLogHead {
        /// The head in the manifest.
        expected: LogHead,
        /// The head of the log that is there.
        got: LogHead,
        /// Since when it does.
        since: Since,
    },
}

/// Since when the log is as it is, told by whether its bytes are those that the device signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    /// They are: it was so when the device signed.
    Signing,
    /// They are not: it became so later.
    AfterSigning,
    /// No signature tells.
    Unknown,
}

/// Whose doing a fault can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Blame {
    /// It is not proved who made the bundle: nothing in it counts as a device's word.
    Unproved,
    /// Changed or added after the device signed: on the way, in a store, or by whoever held it.
    ChangedAfterSigning,
    /// Left out or lost after the device signed.
    Missing,
    /// The device itself signed for it: its software is wrong, or it was not its own master.
    Device,
}

impl Blame {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproved => "unproved",
            Self::ChangedAfterSigning => "changed-after-signing",
            Self::Missing => "missing",
            Self::Device => "device",
        }
    }

    /// What it means, in plain words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unproved => "who made it is not proved, so nothing in it is a device's word",
            Self::ChangedAfterSigning => "changed after the device signed for it",
            Self::Missing => "left out or lost after the device signed for it",
            Self::Device => "the device itself signed for it like that",
        }
    }
}

impl Fault {
    /// Whose doing it can be.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Certificate(CertificateFault::Missing) | Self::Missing { .. } => Blame::Missing,
            Self::Certificate(_)
            | Self::Manifest(ManifestError::Envelope(_) | ManifestError::NotCanonical) => {
                Blame::Unproved
            }
            Self::Extra { .. } | Self::Twice { .. } | Self::Changed { .. } => {
                Blame::ChangedAfterSigning
            }
            Self::LogBroken { since, .. } | Self::WrongLogHead { since, .. } => match since {
                Since::Signing => Blame::Device,
                Since::AfterSigning => Blame::ChangedAfterSigning,
                Since::Unknown => Blame::Unproved,
            },
            Self::Manifest(_) | Self::WrongDevice { .. } | Self::Length { .. } => Blame::Device,
        }
    }
}

/// What is to be thought of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Each check, in the order of [`CheckName::ALL`].
    pub checks: Vec<Check>,
    /// The manifest, where its signature holds.
    pub manifest: Option<Manifest>,
    /// The records of the log, where its chain is whole. They are the device's word only where every
    /// check holds.
    pub records: Vec<Record>,
}

impl Verdict {
    /// Whether everything was looked at and is as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.outcome == Outcome::Holds)
    }

    /// The first thing that is wrong, none where the verdict holds.
    #[must_use]
    pub fn first_fault(&self) -> Option<&Fault> {
        self.checks.iter().find_map(|check| match &check.outcome {
            Outcome::Fails(faults) => faults.first(),
            Outcome::Holds | Outcome::NotChecked(_) => None,
        })
    }
}

/// Checks a bundle. Everything that can be looked at is; nothing is believed of an unsigned manifest.
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

fn outcome(faults: Vec<Fault>) -> Outcome {
    if faults.is_empty() { Outcome::Holds } else { Outcome::Fails(faults) }
}

#[cfg(test)]
mod tests;
